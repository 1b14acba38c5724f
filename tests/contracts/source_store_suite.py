"""What every place for the history of sources must give: entries that stay, and additions that nobody else cuts into."""

import asyncio
from functools import partial

import pytest

from indexer.sources.port import SourceStore
from schemas.errors import InvalidRequestError
from schemas.identity import TenantId
from schemas.product.changes import FacetKey
from schemas.product.sources import SourceEntry, SourceHistory, handed_over, reset_entry

SHOP, PRICE, STOCK = TenantId("shop"), FacetKey("price"), FacetKey("stock:norte/1")


def hand_over(to: str, history: SourceHistory, since_ms: int, *, facet: FacetKey = PRICE) -> SourceEntry:
    return handed_over(history.exactly(SHOP, facet), SHOP, facet, to, since_ms=since_ms, note="señal")


def reset(history: SourceHistory, since_ms: int) -> SourceEntry:
    return reset_entry(history.exactly(SHOP, PRICE), SHOP, PRICE, since_ms=since_ms)


class SourceStoreContract:
    @pytest.fixture
    async def store(self) -> SourceStore:
        raise AssertionError("each adapter gives its own")

    async def test_a_system_in_which_nothing_was_handed_over_has_no_entries(self, store):
        assert list(await store.entries()) == []

    async def test_what_is_added_is_read_back_whole_and_decided_on(self, store):
        first = await store.add(partial(hand_over, "a"))
        second = await store.add(partial(hand_over, "b"))
        third = await store.add(reset)
        other = await store.add(partial(hand_over, "b", facet=STOCK))
        assert set(await store.entries()) == {first, second, third, other}
        assert [first.source, second.source, third.source] == ["a", "b", "b"]
        assert first.epoch < second.epoch < third.epoch
        assert first.since_ms <= second.since_ms <= third.since_ms

    async def test_what_is_refused_adds_nothing(self, store):
        await store.add(partial(hand_over, "a"))
        with pytest.raises(InvalidRequestError):
            await store.add(partial(hand_over, "a"))
        assert len(await store.entries()) == 1

    async def test_two_operators_at_once_get_an_epoch_each(self, store):
        entries = await asyncio.gather(store.add(reset), store.add(reset))
        assert len({entry.epoch for entry in entries}) == 2
        assert set(await store.entries()) == set(entries)
