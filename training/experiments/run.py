"""One run: every judged query asked of one system, one after the other, so that times are those of a quiet worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.judgments.judged import JudgedSet
from training.measures.metrics import DEPTH, Judge, QueryScore
from training.systems.bench import Bench
from training.systems.port import RankedAnswer, SearchSystem

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """A system's answers to all queries, by query id, and the scores of those that have an answer."""

    system: str
    judged: JudgedSet
    answers: Mapping[str, RankedAnswer]
    scores: tuple[QueryScore, ...]


async def run_system(
    system: SearchSystem, bench: Bench, judge: Judge, on_progress: OnProgress = lambda _fraction, _text: None
) -> Run:
    """Ask everything.

    Raises:
        ConfigurationError: a query names a tenant that the catalogue does not have.
    """
    judged = judge.judged
    answers: dict[str, RankedAnswer] = {}
    for number, query in enumerate(judged.queries, start=1):
        answers[query.id] = await system.answer(query.text, bench.tenant_of(query.tenant), DEPTH)
        on_progress(number / len(judged.queries), f"{number:,} queries")
    return Run(system.name, judged, answers, judge.score(answers))
