"""One run: every judged query asked of one system, one after the other, so that times are those of a quiet worker.

A saved run keeps the ranked lists; its scores are computed anew by whoever compares with it. Latency is measured on a sample
of the queries asked cold, with the encoder's work in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from schemas.errors import ConfigurationError
from training.judgments import JudgedQuery, JudgedSet
from training.metrics import DEPTH, Judge, QueryScore, percentiles
from training.systems.indexed_catalogue import IndexedCatalogue
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
    system: SearchSystem,
    catalogue: IndexedCatalogue,
    judge: Judge,
    on_progress: OnProgress = lambda _fraction, _text: None,
) -> Run:
    """Ask everything.

    Raises:
        ConfigurationError: a query names a tenant that the catalogue does not have.
    """
    judged = judge.judged
    answers: dict[str, RankedAnswer] = {}
    for number, query in enumerate(judged.queries, start=1):
        answers[query.id] = await system.answer(query.text, catalogue.tenant_of(query.tenant), DEPTH)
        on_progress(number / len(judged.queries), f"{number:,} queries")
    return Run(system.name, judged, answers, judge.score(answers))


def save_run(run: Run, path: Path) -> None:
    """Write a run's answers as one JSON object."""
    answers = {
        identity: {
            "skus": answer.skus,
            "found_by": answer.found_by,
            "low_confidence": answer.low_confidence,
            "milliseconds": answer.milliseconds,
        }
        for identity, answer in run.answers.items()
    }
    path.write_bytes(orjson.dumps({"system": run.system, "answers": answers}, option=orjson.OPT_NON_STR_KEYS))


def load_run(path: Path, judge: Judge) -> Run:
    """Read a saved run and score it by today's judgments.

    Raises:
        ConfigurationError: the file is no saved run, or lacks an answer to a judged query.
    """
    try:
        raw = orjson.loads(path.read_bytes())
        answers = {identity: _answer(answer) for identity, answer in raw["answers"].items()}
        system = str(raw["system"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not a run that `ferroflux eval --report` saved: {error!r}") from error
    missing = [query.id for query in judge.judged.queries if query.id not in answers]
    if missing:
        raise ConfigurationError(f"{path} has no answer to {len(missing)} of the judged queries; it is of another set")
    wanted = {query.id: answers[query.id] for query in judge.judged.queries}
    return Run(system, judge.judged, wanted, judge.score(wanted))


def _answer(raw: dict[str, Any]) -> RankedAnswer:
    return RankedAnswer(
        skus=tuple(raw["skus"]),
        found_by=raw["found_by"],
        low_confidence=raw["low_confidence"],
        milliseconds=raw["milliseconds"],
    )


_SAMPLE: Final = 150
_WARM_UP: Final = 5
_SEED: Final = 20_809
_WHOLE: Final = "total"


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds by stage; `total` is the search as a whole, whose retrievers run side by side."""

    queries: int
    stages: Mapping[str, Mapping[str, float]]


async def measure_latency(system: SearchSystem, catalogue: IndexedCatalogue, queries: Sequence[JudgedQuery]) -> Latency:
    """Ask a seeded sample of the queries one after the other, the first few unmeasured.

    The system must encode each query anew, or the figure is not what a buyer waits for.
    """
    sample = random.Random(_SEED).sample(list(queries), min(_SAMPLE + _WARM_UP, len(queries)))  # noqa: S311 - a sample, no secret
    measured: dict[str, list[float]] = {}
    for number, query in enumerate(sample):
        answer = await system.answer(query.text, catalogue.tenant_of(query.tenant), DEPTH)
        if number >= _WARM_UP or len(sample) <= _WARM_UP:
            for stage, milliseconds in answer.milliseconds.items():
                measured.setdefault(stage, []).append(milliseconds)
    stages = {stage: percentiles(values) for stage, values in measured.items()}
    return Latency(len(measured.get(_WHOLE, ())), stages)
