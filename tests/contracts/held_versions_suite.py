"""What every way of looking at held versions does alike."""

from __future__ import annotations

import pytest

from ferroflux.ingest.held.versions import Held, HeldVersions
from schemas.api.limits import MAX_HELD
from schemas.identity import SkuKey, TenantId
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.product.sources import FIRST_OPERATOR_EPOCH, SourceEntry, SourceHistory
from schemas.version import SourceVersion

PRICE = FacetKey("price")
BRANCH = FacetKey("stock:sucursal ñ/2")
LIVING = SkuKey.of("norte", 'T 1/4"/ñ')
DELETED = SkuKey.of("norte", "T-2")
OTHERS = SkuKey.of("sur", "T-2")

EVENTS = (
    ChangeEvent(LIVING, ITEM_FACET, SourceVersion(0, 101), {"title": "Tornillo"}, changed_at_us=1_700_000_000_000_000),
    ChangeEvent(LIVING, PRICE, SourceVersion(2, 8_412), {"price": 95.0}),
    ChangeEvent(LIVING, BRANCH, SourceVersion(0, 2**64 - 1), {"stock": 4.0}),
    ChangeEvent(DELETED, ITEM_FACET, SourceVersion(0, 98_765_432_109), None),
    ChangeEvent(OTHERS, ITEM_FACET, SourceVersion(0, 7, 2**300), {"title": "Otro"}),
)

OF_PRICES = (
    SourceEntry(TenantId("norte"), PRICE, "erp", 0),
    SourceEntry(TenantId("norte"), PRICE, "pim", FIRST_OPERATOR_EPOCH, since_ms=1_700_000_000_000, note="by hand"),
)
SOURCES = SourceHistory([*OF_PRICES, SourceEntry(TenantId("sur"), PRICE, "erp", 3)])


class HeldVersionsContract:
    """A class of tests for each adapter; its fixture `held` looks at what the `EVENTS` left."""

    async def test_it_says_the_stamp_and_the_time_of_each_facet_asked_for(self, held: HeldVersions) -> None:
        look = await held.look([(one.key, one.facet) for one in EVENTS])
        assert look.held == {(one.key, one.facet): Held(one.stamp, one.changed_at_us) for one in EVENTS}

    async def test_what_holds_nothing_or_was_not_asked_for_is_left_out(self, held: HeldVersions) -> None:
        unknown = SkuKey.of("norte", "nothing")
        look = await held.look([(LIVING, PRICE), (DELETED, PRICE), (unknown, ITEM_FACET), (OTHERS, PRICE)])
        assert list(look.held) == [(LIVING, PRICE)]

    async def test_it_says_who_feeds_the_facets_asked_for(self, held: HeldVersions) -> None:
        look = await held.look([(LIVING, ITEM_FACET), (LIVING, PRICE)])
        assert look.histories == {("norte", PRICE): OF_PRICES}

    async def test_nothing_asked_is_nothing_said(self, held: HeldVersions) -> None:
        assert (await held.look([])).held == {}

    @pytest.mark.parametrize("count", [MAX_HELD + 1, 3 * MAX_HELD])
    async def test_very_many_are_looked_at_in_bounded_pieces(self, held: HeldVersions, count) -> None:
        many = [(SkuKey.of("norte", f"{n}-" + "x" * 200), ITEM_FACET) for n in range(count)]
        look = await held.look([*many, (LIVING, ITEM_FACET)])
        assert list(look.held) == [(LIVING, ITEM_FACET)]
