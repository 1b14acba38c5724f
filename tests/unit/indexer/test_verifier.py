"""The verifier: what it repairs, what it leaves alone, and how far it commits."""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from indexer.metrics import IndexerMetrics
from indexer.records import TopicPartition
from indexer.verification.feed import FedRecord, PendingLooks
from indexer.verification.verifier import DocumentVerifier
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointPayload, PointWrite
from schemas.errors import LogUnavailableError
from schemas.identity import SkuId, SkuKey, TenantId
from tests.support.indexing.fakes import DocumentLog, FakeClock, event, make_pipeline, records_of

PLACE: TopicPartition = ("documents", 0)
KEY = SkuKey.of("acme", "A1")
NEW = event("A1", "item", 10, {"title": "Hex bolt"})
NEWER = event("A1", "item", 11, {"title": "Hex bolt M8"})


def fed(offset: int, value: bytes | None, key: bytes = KEY.kafka_key) -> FedRecord:
    return FedRecord(PLACE, offset, key, value)


def document(rev: int, *, deleted: bool = False) -> bytes:
    return b'{"rev": %d%s}' % (rev, b', "deleted": true' if deleted else b"")


class Feed:
    """Gives its pages one poll after the other; the clock moves on a second with each."""

    def __init__(self, pages: Sequence[Sequence[FedRecord]], clock: FakeClock) -> None:
        self.pages = list(pages)
        self.committed: list[dict[TopicPartition, int]] = []
        self.epoch = 1
        self.rebalances_at: int | None = None
        self._clock = clock
        self._polls = 0

    async def open(self) -> None:
        if self.pages and self.pages[0] and self.pages[0][0].offset < 0:
            self.pages.pop(0)
            raise LogUnavailableError

    async def poll(self) -> Sequence[FedRecord]:
        self._polls += 1
        if self._polls > 8:
            raise asyncio.CancelledError
        self._clock.advance(1.0)
        if self._polls == self.rebalances_at:
            self.epoch += 1
        return self.pages.pop(0) if self.pages else ()

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        self.committed.append(dict(next_offsets))

    async def close(self) -> None:
        """Nothing is held."""


async def verify(
    index: MemoryIndex,
    log: DocumentLog,
    pages: Sequence[Sequence[FedRecord]],
    *,
    rebalances_at: int | None = None,
    respell: Any = None,
) -> tuple[Feed, CollectorRegistry]:
    clock, registry = FakeClock(), CollectorRegistry()
    feed = Feed(pages, clock)
    feed.rebalances_at = rebalances_at
    verifier = DocumentVerifier(
        lambda: feed, index, make_pipeline(index, publisher=log).republish,
        metrics=IndexerMetrics(registry), clock=clock, rng=random.Random(1), sleep=lambda delay: asyncio.sleep(0),
        respell=respell,
    )  # fmt: skip
    await asyncio.gather(asyncio.ensure_future(verifier.run()), return_exceptions=True)
    return feed, registry


async def stored() -> tuple[MemoryIndex, int]:
    index = MemoryIndex()
    pipeline = make_pipeline(index)
    await pipeline.process(records_of([NEW]))
    await pipeline.process(records_of([NEWER]))
    return index, (await index.revisions([KEY]))[KEY]


async def test_a_document_that_stands_last_and_is_older_than_the_store_is_followed_by_the_stored_one() -> None:
    (index, rev), log = await stored(), DocumentLog()
    feed, registry = await verify(index, log, [[fed(0, document(rev)), fed(1, document(rev - 1))]])
    assert [(one.rev, one.title) for one in log.documents] == [(rev, "Hex bolt M8")]
    assert registry.get_sample_value("ferroflux_indexer_verified_total", {"outcome": "repaired"}) == 1
    assert feed.committed[-1] == {PLACE: 2}


async def test_a_product_that_cannot_be_published_again_is_counted_and_stops_no_other() -> None:
    (index, rev), log = await stored(), DocumentLog()
    other = event("B1", "item", 10, {"title": "Washer"})
    await make_pipeline(index).process(records_of([other]))
    held = (await index.read([KEY]))[KEY]
    await index.write([PointWrite(KEY, rev, replace(held, rev=rev + 1, state=b"{torn"))])
    feed, registry = await verify(index, log, [[fed(0, document(rev)), fed(1, document(0), other.key.kafka_key)]])
    assert [one.sku for one in log.documents] == ["B1"]
    outcomes = {
        outcome: registry.get_sample_value("ferroflux_indexer_verified_total", {"outcome": outcome})
        for outcome in ("compared", "repaired", "set_apart")
    }
    assert outcomes == {"compared": 2, "repaired": 1, "set_apart": 1}
    assert registry.get_sample_value("ferroflux_indexer_set_apart_total", {"stage": "plan"}) == 1
    assert feed.committed[-1] == {PLACE: 2}


async def test_an_overtaken_document_whose_successor_follows_in_time_needs_no_repair() -> None:
    (index, rev), log = await stored(), DocumentLog()
    await verify(index, log, [[fed(0, document(rev - 1))], [fed(1, document(rev))]])
    assert log.documents == []


async def test_a_null_record_over_a_stored_product_is_followed_by_its_document() -> None:
    (index, rev), log = await stored(), DocumentLog()
    await verify(index, log, [[fed(0, None)]])
    assert [one.rev for one in log.documents] == [rev]


async def test_a_document_under_another_spelling_of_a_sku_is_joined_to_its_product_and_not_published_again() -> None:
    index, log, joined = MemoryIndex(), DocumentLog(), list[SkuKey]()
    other = SkuKey(TenantId("acme"), SkuId("Pin\u0303a"))
    gone = SkuKey(TenantId("acme"), SkuId("Ten\u0303ir"))
    await index.write([PointWrite(other, None, PointPayload(rev=7, alive=True, state=b"{}"))])

    async def respell(keys: Collection[SkuKey]) -> None:
        joined.extend(keys)

    pages = [[fed(0, document(3), other.kafka_key), fed(1, None, gone.kafka_key)]]
    feed, _ = await verify(index, log, pages, respell=respell)
    assert joined == [other]
    assert log.documents == []
    assert feed.committed[-1] == {PLACE: 2}


async def test_what_the_store_does_not_know_is_counted_and_never_undone() -> None:
    log = DocumentLog()
    unknown = [fed(0, document(5)), fed(1, document(6, deleted=True), b"acme/B"), fed(2, None, b"acme/C")]
    _, registry = await verify(MemoryIndex(), log, [unknown])
    assert log.documents == []
    assert registry.get_sample_value("ferroflux_indexer_verified_total", {"outcome": "unknown"}) == 1


async def test_nothing_is_committed_past_a_document_that_was_not_looked_at() -> None:
    (index, rev), log = await stored(), DocumentLog()
    pages = [[fed(0, document(rev)), fed(1, b"no json", b"acme/Z"), fed(2, b"{}", b"no key")]]
    feed, _ = await verify(index, log, pages)
    assert feed.committed == [{PLACE: 0}, {PLACE: 3}]


async def test_a_rebalance_makes_what_was_read_before_worthless() -> None:
    (index, rev), log = await stored(), DocumentLog()
    feed, _ = await verify(index, log, [[fed(0, document(rev - 1))]], rebalances_at=2)
    assert log.documents == []
    assert feed.committed == [{PLACE: 0}]


async def test_a_log_that_is_away_is_waited_for() -> None:
    (index, rev), log = await stored(), DocumentLog()
    await verify(index, log, [[fed(-1, None)], [fed(0, document(rev - 1))]])
    assert [one.rev for one in log.documents] == [rev]


def test_a_later_record_of_the_product_takes_the_place_of_the_one_before() -> None:
    looks = PendingLooks(settle_s=2.0)
    looks.note([fed(0, document(1)), fed(1, document(7), b"acme/B")], now=0.0)
    looks.note([fed(2, document(2))], now=1.0)
    assert looks.committable() == {PLACE: 1}
    assert {key.sku: seen.rev for key, seen in looks.due(2.5, 10).items()} == {"B": 7}
    looks.looked([SkuKey.of("acme", "B")])
    assert looks.committable() == {PLACE: 2}
    assert {key.sku: seen.rev for key, seen in looks.due(3.0, 10).items()} == {"A1": 2}
