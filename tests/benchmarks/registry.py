"""The benchmarks by name, in the order in which they run."""

from collections.abc import Callable, Mapping

from tests.benchmarks.cases import (
    cold_start,
    embedding,
    freshness,
    generations,
    load,
    memory,
    nightly,
    overload,
    payload,
    query,
    shedding,
    stalls,
)
from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.outcome import Outcome

BENCHMARKS: Mapping[str, Callable[[Context], Outcome]] = {
    "freshness": freshness.run,
    "payload": payload.run,
    "embedding": embedding.run,
    "query": query.run,
    "memory": memory.run,
    "cold_start": cold_start.run,
    "nightly": nightly.run,
    "stalls": stalls.run,
    "overload": overload.run,
    "shedding": shedding.run,
    "load": load.run,
    "generations": generations.run,
}
