"""A bulk load beside live changes, on real Kafka: the load does not make live changes wait, and it is done in the end.

The encoder works at a fixed, slow pace, as a large model on a small machine does: without lanes a live change would wait
for all that came before it. What is asserted is order (how much of the load was still to do when the live changes were
through), which holds on a machine of any speed.
"""

import asyncio
import time

import httpx
import pytest

from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.version import SourceVersion
from tests.support.kafka.clients import append, committed, create_topic, end_offsets
from tests.support.processes import ManagedProcess
from tests.support.stack.histories import event_record
from tests.support.stack.oracle import assert_converged, oracle_of
from tests.support.stack.stack import Stack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LOAD = 1_500
SLOW_ENCODER = {"FERROFLUX_TEST_ENCODER": "slow"}


def load(count: int) -> list:
    return [
        event_record(
            ChangeEvent(
                SkuKey.of("acme", f"BULK-{n:05d}"), ITEM_FACET, SourceVersion(0, n + 1), {"title": f"Broca número {n}"}
            )
        )
        for n in range(count)
    ]


def read(event: ChangeEvent) -> bytes:
    """The same row as Debezium's snapshot gives it."""
    sku, title = event.key.sku, event.fields["title"]
    row = f'{{"tenant":"acme","sku":"{sku}","title":"{title}"}}'
    source = f'{{"connector":"postgresql","name":"w","db":"w","schema":"public","table":"products","snapshot":"true","lsn":{event.version.sequence}}}'
    return f'{{"before":null,"after":{row},"source":{source},"op":"r","ts_ms":1}}'.encode()


async def backlog(stack: Stack, topic: str) -> int:
    """Records of a topic that the indexers have not committed yet."""
    ends = await end_offsets(stack.kafka.bootstrap, topic)
    done = await committed(stack.kafka.bootstrap, stack.group)
    return sum(end - max(0, done.get((topic, number), 0)) for number, end in ends.items())


async def started(stack: Stack) -> ManagedProcess:
    """Topics, a slow indexer and a replica."""
    for topic in stack.topics.consumed:
        await create_topic(stack.kafka.bootstrap, topic, partitions=6)
    indexer = stack.start("indexer", environment=SLOW_ENCODER)
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    return indexer


async def live_changes_while_loading(stack: Stack, count: int) -> tuple[list, list[float], int]:
    """Send live changes one by one, each followed until it is committed; what was sent, the times, what was left of the load."""
    live, topic = stack.topics.changes[0], stack.topics.bulk
    sent, seconds = [], []
    for number in range(count):
        price = ChangeEvent(
            SkuKey.of("acme", "LIVE-1"), FacetKey("price"), SourceVersion(0, number + 1), {"price": 1.0 + number}
        )
        began = time.monotonic()
        sent.append(event_record(price))
        await append(stack.kafka.bootstrap, live, [sent[-1]])
        while await backlog(stack, live):
            assert time.monotonic() - began < 60, f"a live change waits:\n{stack.tails()}"
            await asyncio.sleep(0.01)
        seconds.append(time.monotonic() - began)
    return sent, seconds, await backlog(stack, topic)


async def all_done(stack: Stack) -> None:
    async with asyncio.timeout(180):
        while await backlog(stack, stack.topics.bulk):
            stack.assert_alive()
            await asyncio.sleep(0.25)
    await stack.settled()


async def test_live_changes_overtake_a_bulk_load(kafka, stack_of):
    stack = stack_of(kafka)
    await started(stack)
    bulk = load(LOAD)
    await append(kafka.bootstrap, stack.topics.bulk, bulk)
    live, seconds, left = await live_changes_while_loading(stack, 5)
    print(
        f"live changes committed after {[round(each, 2) for each in seconds]} s; {left} of {LOAD} bulk records were left"
    )
    assert left > LOAD / 3, "the load was nearly through before the live changes were: nothing was overtaken"
    await all_done(stack)
    await assert_converged(stack, oracle_of([*bulk, *live]))


async def test_a_snapshot_in_the_live_topic_makes_way_too(kafka, stack_of):
    stack = stack_of(kafka)
    await started(stack)
    bulk = load(LOAD)
    events = [
        ChangeEvent(
            SkuKey.of("acme", f"BULK-{n:05d}"), ITEM_FACET, SourceVersion(0, n + 1), {"title": f"Broca número {n}"}
        )
        for n in range(LOAD)
    ]
    reads = [type(record)(b'{"sku":"x"}', read(event)) for record, event in zip(bulk, events, strict=True)]
    await append(kafka.bootstrap, stack.topics.changes[0], reads)
    live, seconds, left = await live_changes_while_loading(stack, 5)
    print(f"live changes committed after {[round(each, 2) for each in seconds]} s; {left} of {LOAD} reads were left")
    assert left > LOAD / 3
    assert await end_offsets(kafka.bootstrap, stack.topics.bulk)
    await all_done(stack)
    await assert_converged(stack, oracle_of([*reads, *live]))


async def test_a_load_survives_its_indexer_being_killed(kafka, stack_of):
    stack = stack_of(kafka)
    indexer = await started(stack)
    bulk = load(LOAD)
    await append(kafka.bootstrap, stack.topics.bulk, bulk)
    live, _, left = await live_changes_while_loading(stack, 2)
    assert left
    indexer.kill()
    indexer.start()
    stack.wait_ready("indexer")
    await all_done(stack)
    await assert_converged(stack, oracle_of([*bulk, *live]))


async def test_the_lag_of_each_lane_is_shown_and_falls(kafka, stack_of):
    stack = stack_of(kafka)
    await started(stack)
    await append(kafka.bootstrap, stack.topics.bulk, load(600))

    def lag() -> int:
        shown = httpx.get(stack.url("indexer", "/readyz"), timeout=5).json()["lag"]
        return sum(records for place, records in shown.items() if place.startswith(f"{stack.topics.bulk}/"))

    await eventually(lambda: lag() > 100, timeout=30, pause=0.02)
    await eventually(lambda: lag() == 0, timeout=120, pause=0.1)
