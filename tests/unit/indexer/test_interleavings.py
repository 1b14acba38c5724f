"""Two writers on one store, interleaved at every call of a port: they converge to the oracle, and the newest document is last."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from retrieval.vectors.memory import MemoryIndex
from schemas.identity import SkuKey
from schemas.product.building import state_digest
from schemas.product.changes import ChangeEvent
from schemas.product.merge import ItemState, merge_all
from tests.support.indexing.fakes import DocumentLog, event, make_pipeline, records_of
from tests.support.indexing.schedule import Schedule, ScheduledIndex, ScheduledPublisher

SKUS = ("A", "B", "C")


def random_events(rng: random.Random, count: int) -> list[ChangeEvent]:
    events = []
    for version in range(1, count + 1):
        sku, facet = rng.choice(SKUS), rng.choice(["item", "item", "price", "stock:one", "stock:two"])
        fields = {"item": {"title": f"Bolt {rng.randrange(3)}"}, "price": {"price": float(version)}}.get(
            facet, {"stock": float(version)}
        )
        deleted = facet == "item" and rng.random() < 0.25
        events.append(event(sku, facet, version, None if deleted else fields))
    rng.shuffle(events)
    return events


async def check(index: MemoryIndex, log: DocumentLog, events: Sequence[ChangeEvent]) -> None:
    stored = await index.read([SkuKey.of("acme", sku) for sku in SKUS])
    compacted = log.compacted()
    for sku in SKUS:
        key = SkuKey.of("acme", sku)
        truth = merge_all(one for one in events if one.key == key)
        if not truth.facets:
            continue
        assert ItemState.from_bytes(stored[key].state) == truth
        if not truth.known:
            assert key not in compacted
            continue
        assert (compacted[key].rev, compacted[key].state) == (stored[key].rev, state_digest(truth))


def writer(name: str, index: MemoryIndex, log: DocumentLog, schedule: Schedule, seed: int):
    async def pause(_: float, /) -> None:
        await schedule.turn(name)

    return make_pipeline(
        ScheduledIndex(index, schedule, name),  # type: ignore[arg-type] # only what the pipeline calls
        publisher=ScheduledPublisher(log, schedule, name),
        rng=random.Random(seed),
        sleep=pause,
    )


@pytest.mark.parametrize("seed", range(40))
async def test_two_writers_converge_and_the_newest_document_is_last(seed: int) -> None:
    rng = random.Random(seed)
    events, index, log, schedule = random_events(rng, 14), MemoryIndex(), DocumentLog(), Schedule(seed)
    one, two = (writer(name, index, log, schedule, seed) for name in ("one", "two"))
    results = await schedule.run(
        {"one": one.process(records_of(events[:9])), "two": two.process(records_of(events[5:], partition=1))}
    )
    assert not [result for result in results.values() if isinstance(result, BaseException)]
    await check(index, log, events)


@pytest.mark.parametrize("seed", range(40))
async def test_a_writer_killed_anywhere_is_made_good_by_redelivery(seed: int) -> None:
    rng = random.Random(1_000 + seed)
    events, index, log = random_events(rng, 14), MemoryIndex(), DocumentLog()
    schedule = Schedule(seed, crash_after={"one": rng.randrange(1, 30)})
    one, two = (writer(name, index, log, schedule, seed) for name in ("one", "two"))
    results = await schedule.run(
        {"one": one.process(records_of(events[:9])), "two": two.process(records_of(events[5:], partition=1))}
    )
    if isinstance(results["one"], asyncio.CancelledError):
        # Its offsets were not committed, so its records come again, to whoever owns the partition now.
        await make_pipeline(index, publisher=log).process(records_of(events[:9]))
    await check(index, log, events)


@pytest.mark.parametrize("seed", range(20))
async def test_a_zombie_beside_the_new_owner_of_its_partition_does_no_harm(seed: int) -> None:
    rng = random.Random(2_000 + seed)
    events, index, log, schedule = random_events(rng, 12), MemoryIndex(), DocumentLog(), Schedule(seed)
    zombie, owner = (writer(name, index, log, schedule, seed) for name in ("zombie", "owner"))
    await schedule.run({"zombie": zombie.process(records_of(events[:8])), "owner": owner.process(records_of(events))})
    await check(index, log, events)


async def test_without_the_fence_some_schedule_ends_on_an_older_document() -> None:
    """The harness can fail: with the read-back taken away, it finds a schedule that leaves an old document last."""
    failures = 0
    for seed in range(40):
        rng = random.Random(seed)
        events, index, log, schedule = random_events(rng, 14), MemoryIndex(), DocumentLog(), Schedule(seed)
        one, two = (writer(name, index, log, schedule, seed) for name in ("one", "two"))
        for pipeline in (one, two):
            pipeline._settler._documents._moved = _nothing_moved  # type: ignore[method-assign] # the guard under test is taken away
        await schedule.run(
            {"one": one.process(records_of(events[:9])), "two": two.process(records_of(events[5:], partition=1))}
        )
        try:
            await check(index, log, events)
        except AssertionError:
            failures += 1
    assert failures


async def _nothing_moved(documents: object) -> list[SkuKey]:
    del documents
    return []
