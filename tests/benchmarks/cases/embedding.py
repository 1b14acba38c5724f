"""(c) Re-embedding through the whole path, as a share of what the bare encoder does with the same texts."""

import itertools
import time

from retrieval.passages import passage_text
from schemas.product.building import build_document
from schemas.product.changes import ChangeEvent
from schemas.product.merge import merge_all
from schemas.version import SourceVersion
from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.systems.backlog import drain
from tests.benchmarks.systems.prepared import encoder
from tests.benchmarks.workload.changes import Change, Kind, changes

_TEXTS = 4_000
_GOAL = 0.85


def run(context: Context) -> Outcome:
    """The bare encoder before and after the indexer, since a machine's clock drifts; the better of the two counts."""
    outcome = Outcome("embedding", "re-embedding through the consumer ÷ the bare encoder on the same texts")
    count = 400 if context.quick else _TEXTS
    work = list(itertools.islice(changes(context.prepared.catalogue, 7, {Kind.TEXT: 1.0}), count))
    texts = [_passage(change) for change in work]
    before = _bare(texts)
    with context.production() as system:
        found = drain(system, work)
        store = system.vector_store
    after = _bare(texts)
    bare = max(before, after)
    ratio = found.per_second / bare
    outcome.say(f"{ratio:.2f} = {found.per_second:,.1f} texts/s through Kafka, indexer and {store}")
    outcome.say(
        f"       ÷ {bare:,.1f} texts/s of the bare encoder, all {count:,} texts in one call (again: {min(before, after):,.1f})"
    )
    outcome.say(f"    seconds by stage: {found.as_json()['stage_seconds']}; processor ms a change: {found.cpu_ms}")
    outcome.figures = {"ratio": round(ratio, 3), "bare_per_second": [before, after], "consumer": found.as_json()}
    outcome.goal(Goal("ratio", ratio, _GOAL, "", most=False))
    return outcome


def _bare(texts: list[str]) -> float:
    """Texts a second in one call."""
    bare = encoder()
    bare.encode_passages(texts[:64])
    started = time.perf_counter()
    bare.encode_passages(texts)
    return round(len(texts) / (time.perf_counter() - started), 1)


def _passage(change: Change) -> str:
    """The text that the indexer will embed for this change."""
    state = merge_all([ChangeEvent(change.key, change.facet, SourceVersion.of(1), change.fields)])
    return passage_text(build_document(change.key, state, rev=1))
