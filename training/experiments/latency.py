"""Time beside quality: a sample of the queries asked cold, with the encoder's work in it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from training.judgments.judged import JudgedQuery
from training.measures.metrics import DEPTH
from training.measures.percentiles import percentiles
from training.systems.bench import Bench
from training.systems.port import SearchSystem

_SAMPLE: Final = 150
_WARM_UP: Final = 5
_SEED: Final = 20_809
_WHOLE: Final = "total"


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds by stage; `total` is the search as a whole, whose retrievers run side by side."""

    queries: int
    stages: Mapping[str, Mapping[str, float]]


async def measure_latency(system: SearchSystem, bench: Bench, queries: Sequence[JudgedQuery]) -> Latency:
    """Ask a seeded sample of the queries one after the other, the first few unmeasured.

    The system must encode each query anew, or the figure is not what a buyer waits for.
    """
    sample = random.Random(_SEED).sample(list(queries), min(_SAMPLE + _WARM_UP, len(queries)))  # noqa: S311 - a sample, no secret
    measured: dict[str, list[float]] = {}
    for number, query in enumerate(sample):
        answer = await system.answer(query.text, bench.tenant_of(query.tenant), DEPTH)
        if number >= _WARM_UP or len(sample) <= _WARM_UP:
            for stage, milliseconds in answer.milliseconds.items():
                measured.setdefault(stage, []).append(milliseconds)
    stages = {stage: percentiles(values) for stage, values in measured.items()}
    return Latency(len(measured.get(_WHOLE, ())), stages)
