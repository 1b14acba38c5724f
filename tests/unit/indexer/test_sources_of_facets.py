"""Facets with declared sources through the pipeline: handovers, resets, and what a rebuild, a replay or a redrive makes of them."""

import random

import pytest

from indexer.batch.plan import Arrival
from indexer.records import InboundRecord
from indexer.sources.live import LiveSources, SourcesUnknownError
from indexer.sources.port import MemorySourceStore
from retrieval.vectors.memory import MemoryIndex
from schemas.events.admission import AdmissionRules
from schemas.events.canonical import encode_event
from schemas.events.parser import Changes, EventParser
from schemas.identity import SkuKey, TenantId
from schemas.product.changes import FacetKey
from schemas.product.merge import ItemState
from schemas.product.sources import HOLDS_AFTER_MS, SourceHistory, handed_over, reset_entry
from tests.support.indexing.fakes import TOPIC, DeadLetterLog, FakeClock, event, make_pipeline

START_S = 1_764_532_307.0
YEAR_US = 365 * 86_400 * 1_000_000
SHOP, PRICE = TenantId("acme"), FacetKey("price")
KEY = SkuKey.of("acme", "A")


class Shop:
    """One product, one facet, several sources, a log with its own time, and an operator."""

    def __init__(self, max_ahead_s: float = 600.0) -> None:
        self.clock = FakeClock()
        self.clock.seconds = START_S
        self.log: list[InboundRecord] = []
        self.letters = DeadLetterLog()
        self.index = MemoryIndex()
        self.live = LiveSources(self.clock, fresh_for_s=1e9)
        self.store = MemorySourceStore(self.clock)
        self.max_ahead_s = max_ahead_s
        self.live.hear(())
        self.pipeline = self.reading(self.index, self.letters)

    def reading(self, index: MemoryIndex, letters: DeadLetterLog):
        rules = AdmissionRules(self.max_ahead_s, self.live.history)
        return make_pipeline(index, parser=EventParser(admission=rules), dead_letters=letters, clock=self.clock)

    async def sends(self, source: str, version: int, price: float) -> None:
        made = event("A", "price", version, {"price": price})
        key, value = made.key.kafka_key, encode_event(made, source)
        self.log.append(InboundRecord(TOPIC, 0, len(self.log), self.clock.now_us() // 1_000, key, value))
        await self.pipeline.process(self.log[-1:])

    async def does(self, decide, *, facet: FacetKey = PRICE) -> None:
        await self.store.add(lambda history, since: decide(history.exactly(SHOP, facet), SHOP, facet, since_ms=since))
        self.live.hear(await self.store.entries())
        self.clock.advance(HOLDS_AFTER_MS / 1_000 + 1)

    async def price(self, index: MemoryIndex | None = None) -> float:
        held = (await (index or self.index).read([KEY]))[KEY]
        return ItemState.from_bytes(held.state).facets[PRICE].values()["price"]

    async def rebuilt(self, rng: random.Random) -> float:
        """Price in a new index that reads the log anew, in whatever order, a year later."""
        self.clock.advance(365 * 86_400)
        index, records = MemoryIndex(), list(self.log)
        rng.shuffle(records)
        await self.reading(index, DeadLetterLog()).process(records)
        return await self.price(index)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def to(source: str):
    return lambda history, *place, since_ms: handed_over(history, *place, source, since_ms=since_ms)


async def test_without_a_declaration_the_larger_count_wins_as_ever(shop: Shop) -> None:
    await shop.sends("clock", int(START_S * 1e6), 1.0)
    await shop.sends("lsn", 10**11, 2.0)
    assert await shop.price() == 1.0


async def test_after_a_handover_the_smaller_count_wins_now_and_in_a_rebuild(shop: Shop) -> None:
    await shop.does(to("clock"))
    await shop.sends("clock", int(START_S * 1e6), 1.0)
    await shop.does(to("lsn"))
    assert await shop.price() == 1.0, "what the former source wrote stays until the new one sends the row"
    await shop.sends("lsn", 10**11, 2.0)
    await shop.sends("clock", int(START_S * 1e6) + 30_000_000, 3.0)
    assert await shop.price() == await shop.rebuilt(random.Random(1)) == 2.0
    assert shop.letters.letters == []


async def test_a_source_that_was_never_declared_is_a_letter_and_comes_in_once_it_is(shop: Shop) -> None:
    await shop.does(to("erp"))
    await shop.sends("erp", 5, 1.0)
    await shop.sends("new", 1, 2.0)
    (letter,) = shop.letters.letters
    assert (letter.reason, await shop.price()) == ("undeclared_source", 1.0)
    await shop.does(to("new"))
    await shop.pipeline.process([letter.record])
    assert await shop.price() == await shop.rebuilt(random.Random(2)) == 2.0


async def test_a_frozen_price_is_freed_by_a_reset_and_stays_free_in_a_rebuild() -> None:
    shop = Shop(max_ahead_s=1e9)  # as it was before there was a bound
    await shop.sends("producer", int(START_S * 1e6) + YEAR_US, 1.0)
    await shop.sends("producer", int(START_S * 1e6), 2.0)
    assert await shop.price() == 1.0
    await shop.does(reset_entry)
    await shop.sends("producer", int(START_S * 1e6) + 60_000_000, 3.0)
    await shop.sends("other", int(START_S * 1e6) + 70_000_000, 4.0)
    assert await shop.price() == await shop.rebuilt(random.Random(3)) == 4.0


async def test_a_clock_a_year_ahead_freezes_nothing_and_a_rebuild_a_year_later_agrees(shop: Shop) -> None:
    await shop.sends("producer", int(START_S * 1e6) + YEAR_US, 1.0)
    await shop.sends("producer", int(START_S * 1e6), 2.0)
    assert [one.reason for one in shop.letters.letters] == ["version_ahead"]
    assert await shop.price() == await shop.rebuilt(random.Random(4)) == 2.0


async def test_a_batch_waits_where_the_history_is_not_known(shop: Shop) -> None:
    shop.live = LiveSources(shop.clock)
    waiting = shop.reading(shop.index, shop.letters)
    await shop.sends("producer", 1, 1.0)
    with pytest.raises(SourcesUnknownError):
        await waiting.process(shop.log)
    shop.live.hear(())
    assert (await waiting.process(shop.log)).duplicates == 1
    shop.clock.advance(60)
    with pytest.raises(SourcesUnknownError):
        await waiting.process(shop.log)
    assert shop.letters.letters == []


async def test_what_was_applied_once_is_what_a_replay_applies(shop: Shop) -> None:
    """`apply` is the entrance for replays: it takes events that were parsed under the same rules."""
    await shop.does(to("lsn"))
    await shop.sends("lsn", 7, 1.0)
    parsed = EventParser(admission=AdmissionRules(history=shop.live.history)).parse(
        None, shop.log[0].value, taken_ms=shop.log[0].timestamp_ms
    )
    assert isinstance(parsed, Changes)
    arrivals = [Arrival(one, shop.log[0]) for one in parsed.events]
    assert (await shop.pipeline.apply(arrivals)).duplicates == 1


async def test_many_operators_and_sources_end_alike_in_every_order() -> None:
    for seed in range(40):
        rng, shop = random.Random(seed), Shop()
        sources = ("a", "b", "producer")
        for step in range(12):
            if rng.random() < 0.3:
                choice = rng.choice(sources)
                history = SourceHistory(await shop.store.entries()).exactly(SHOP, PRICE)
                present = history[-1].source if history else ""
                await shop.does(reset_entry if rng.random() < 0.4 or present == choice else to(choice))
            else:
                await shop.sends(rng.choice(sources), rng.randrange(50), float(step))
            shop.clock.advance(rng.uniform(0, 20))
        once = EventParser(admission=AdmissionRules(history=shop.live.history))
        taken = [r for r in shop.log if r.offset not in {one.record.offset for one in shop.letters.letters}]
        if not taken:
            continue
        index = MemoryIndex()
        rng.shuffle(taken)
        await make_pipeline(index, parser=once, clock=shop.clock).process(taken)
        assert await shop.price(index) == await shop.price(), f"seed {seed}"
