"""What every vector index must do: one suite, inherited by a class for each adapter."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from retrieval.encoders.port import ModelRevision
from retrieval.filters import CatalogueFilter
from retrieval.vectors.port import PointPayload, PointWrite, Vector, VectorCounts, VectorIndex
from retrieval.vectors.spaces import TEXT_VECTOR, Provenance, spaces_of
from schemas.errors import ModelMismatchError
from schemas.identity import SkuKey, TenantId

DIMENSION = 8
REVISION = ModelRevision(
    model="tiny",
    weights="0123456789abcdef",
    query_prompt="query: ",
    passage_prompt="passage: ",
    dimension=DIMENSION,
    pooling="mean",
    normalised=True,
    backend="onnx",
    quantisation="none",
    library="onnxruntime 1.31",
)
TENANT = TenantId("acme")
OTHER_TENANT = TenantId("bolt")


def key(sku: str, tenant: str = TENANT) -> SkuKey:
    return SkuKey.of(tenant, sku)


def axis(number: int, *, lean: float = 0.0) -> Vector:
    """The unit vector of one axis, leaning towards the next one."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[number] = 1.0
    vector[(number + 1) % DIMENSION] = lean
    return vector / np.linalg.norm(vector)


def payload(rev: int, **fields) -> PointPayload:
    return PointPayload(**{"rev": rev, "alive": True, "state": f'{{"rev":{rev},"ñ":"½"}}'.encode(), **fields})


def create(sku: str, vector: Vector | None = None, *, tenant: str = TENANT, rev: int = 1, **fields) -> PointWrite:
    vectors = {} if vector is None else {TEXT_VECTOR: vector}
    return PointWrite(key(sku, tenant), None, payload(rev, **fields), vectors)


def update(sku: str, expected_rev: int, vector: Vector | None = None, **fields) -> PointWrite:
    vectors = {} if vector is None else {TEXT_VECTOR: vector}
    return PointWrite(key(sku), expected_rev, payload(expected_rev + 1, **fields), vectors)


async def found(index: VectorIndex, vector: Vector, limit: int = 10, **conditions) -> list[str]:
    within = CatalogueFilter(**{"tenant": TENANT, **conditions})
    return [hit.key.sku for hit in await index.search(vector, using=TEXT_VECTOR, within=within, limit=limit)]


async def scanned(index: VectorIndex, tenant: TenantId | None = None, page: int = 1000) -> dict[SkuKey, PointPayload]:
    everything: dict[SkuKey, PointPayload] = {}
    async for points in index.scan(tenant, page=page):
        everything.update(points)
    return everything


NARROWED = [
    ({}, {"cheap", "dear", "unpriced", "sold"}),
    ({"brands": frozenset({"truper"})}, {"cheap", "sold"}),
    ({"brands": frozenset({"truper", "stanley"})}, {"cheap", "sold", "dear"}),
    ({"categories": frozenset({"llaves"})}, {"cheap", "dear"}),
    ({"brands": frozenset({"truper"}), "categories": frozenset({"llaves"})}, {"cheap"}),
    ({"price_min": 10.0}, {"cheap", "dear"}),
    ({"price_max": 10.0}, {"cheap", "sold"}),
    ({"price_min": 5.5, "price_max": 99.99}, {"cheap", "dear"}),
    ({"price_min": 100.0}, set()),
    ({"in_stock": True}, {"cheap", "dear", "unpriced"}),
    ({"brands": frozenset({"nobody"})}, set()),
]
"""Conditions of a search, and who of the four products of its test meets them."""


class VectorIndexContract:
    """Inherit it and give the fixtures `index` (prepared with REVISION) and `other` (a second handle on the same data)."""

    @pytest.fixture
    def other(self, index: VectorIndex) -> VectorIndex:
        return index

    async def test_a_created_point_is_read_back_whole(self, index):
        full = payload(
            1,
            provenance={TEXT_VECTOR: Provenance("h1", REVISION.id)},
            brand="truper",
            category="llaves",
            price=12.5,
            in_stock=False,
        )
        bare = payload(3, alive=False)
        refused = await index.write(
            [PointWrite(key("a"), None, full, {TEXT_VECTOR: axis(0)}), PointWrite(key("b/2 ½"), None, bare)]
        )
        assert refused == frozenset()
        assert await index.read([key("a"), key("b/2 ½"), key("absent")]) == {key("a"): full, key("b/2 ½"): bare}

    async def test_nothing_is_asked_or_written_for_no_keys(self, index):
        assert await index.read([]) == {}
        assert await index.revisions([]) == {}
        assert await index.vectors([], using=TEXT_VECTOR) == {}
        assert await index.write([]) == frozenset()

    async def test_revisions_name_only_the_points_that_exist(self, index):
        await index.write([create("a", axis(0)), create("b", rev=4)])
        assert await index.revisions([key("a"), key("b"), key("c"), key("a")]) == {key("a"): 1, key("b"): 4}

    async def test_an_update_from_the_expected_revision_takes_effect(self, index):
        await index.write([create("a", axis(0), price=1.0)])
        assert await index.write([update("a", 1, price=2.0)]) == frozenset()
        assert (await index.read([key("a")]))[key("a")] == payload(2, price=2.0)

    async def test_an_update_drops_fields_that_it_does_not_name(self, index):
        await index.write([create("a", axis(0), price=1.0, brand="truper", category="llaves")])
        await index.write([update("a", 1)])
        assert (await index.read([key("a")]))[key("a")] == payload(2)

    async def test_an_update_from_another_revision_is_refused_whole(self, index):
        await index.write([create("a", axis(0), price=1.0)])
        for expected in (0, 2, 7):
            for vector in (None, axis(1)):
                assert await index.write([update("a", expected, vector, price=9.0)]) == {key("a")}
        assert (await index.read([key("a")]))[key("a")] == payload(1, price=1.0)
        assert np.allclose((await index.vectors([key("a")], using=TEXT_VECTOR))[key("a")], axis(0), atol=1e-6)

    async def test_a_create_of_a_point_that_exists_is_refused(self, index):
        await index.write([create("a", axis(0), price=1.0)])
        assert await index.write([create("a", axis(1), price=2.0)]) == {key("a")}
        assert (await index.read([key("a")]))[key("a")].price == 1.0
        assert np.allclose((await index.vectors([key("a")], using=TEXT_VECTOR))[key("a")], axis(0), atol=1e-6)

    async def test_an_update_of_a_point_that_is_not_there_is_refused(self, index):
        assert await index.write([update("a", 1), update("b", 1, axis(1))]) == {key("a"), key("b")}
        assert await index.read([key("a"), key("b")]) == {}

    async def test_one_batch_applies_what_holds_and_reports_the_rest(self, index):
        await index.write([create("old"), create("moved"), create("plain", axis(2))])
        await index.write([update("moved", 1)])
        batch = [
            create("new", axis(0)),
            create("old", axis(1)),
            update("moved", 1, axis(3)),
            update("plain", 1, price=3.0),
            update("gone", 5),
        ]
        assert await index.write(batch) == {key("old"), key("moved"), key("gone")}
        assert await index.revisions([write.key for write in batch]) == {
            key("new"): 1,
            key("old"): 1,
            key("moved"): 2,
            key("plain"): 2,
        }

    async def test_a_batch_larger_than_any_request_is_written_whole(self, index):
        count = 700
        assert await index.write([create(f"s{n}", axis(n % DIMENSION)) for n in range(count)]) == frozenset()
        assert await index.write([update(f"s{n}", 1, price=float(n)) for n in range(count)]) == frozenset()
        held = await index.read([key(f"s{n}") for n in range(count)])
        assert [held[key(f"s{n}")].price for n in range(count)] == [float(n) for n in range(count)]
        assert len(await index.vectors(list(held), using=TEXT_VECTOR)) == count

    async def test_a_key_twice_in_one_batch_is_the_callers_mistake(self, index):
        with pytest.raises(ValueError, match="twice"):
            await index.write([create("a"), create("a")])

    async def test_a_payload_only_write_keeps_the_stored_vector(self, index):
        await index.write([create("a", axis(0)), create("b", axis(1))])
        await index.write([update("a", 1, price=5.0)])
        await index.write([update("a", 2, price=6.0)])
        assert await found(index, axis(0), limit=1) == ["a"]
        assert np.allclose((await index.vectors([key("a")], using=TEXT_VECTOR))[key("a")], axis(0), atol=1e-6)

    async def test_a_point_may_live_without_a_vector_and_gain_one(self, index):
        await index.write([create("a", price=5.0)])
        assert await found(index, axis(0)) == []
        assert await index.vectors([key("a")], using=TEXT_VECTOR) == {}
        await index.write([update("a", 1, price=6.0)])
        await index.write([update("a", 2, axis(0))])
        assert await found(index, axis(0)) == ["a"]

    async def test_a_new_vector_replaces_the_old_one_at_once(self, index):
        await index.write([create("a", axis(0)), create("b", axis(1, lean=0.5))])
        await index.write([update("a", 1, axis(4))])
        assert await found(index, axis(4), limit=1) == ["a"]
        assert await found(index, axis(1), limit=1) == ["b"]

    async def test_of_two_writers_from_one_revision_exactly_one_wins(self, index, other):
        await index.write([create("a", axis(0))])
        first, second = update("a", 1, price=1.0), update("a", 1, price=2.0)
        assert await index.write([first]) == frozenset()
        assert await other.write([second]) == {key("a")}, "its own revision number is stored, but by the other writer"
        assert (await index.read([key("a")]))[key("a")].price == 1.0

    async def test_two_writers_at_once_never_both_win(self, index, other):
        keys = [key(f"s{n}") for n in range(40)]
        first = [create(each.sku, axis(0), price=1.0) for each in keys]
        second = [create(each.sku, axis(0), price=2.0) for each in keys]
        for rev in range(1, 6):
            lost_first, lost_second = await asyncio.gather(index.write(first), other.write(second[::-1]))
            stored = await index.read(keys)
            for each in keys:
                assert (each in lost_first) != (each in lost_second)
                assert stored[each] == payload(rev, price=1.0 if each in lost_second else 2.0)
            first = [update(each.sku, rev, price=1.0) for each in keys]
            second = [update(each.sku, rev, axis(1), price=2.0) for each in keys]

    async def test_search_orders_by_cosine_and_keeps_the_limit(self, index):
        await index.write([create(f"s{n}", axis(0, lean=n / 4)) for n in range(6)])
        hits = await index.search(axis(0), using=TEXT_VECTOR, within=CatalogueFilter(TENANT), limit=4)
        assert [hit.key.sku for hit in hits] == ["s0", "s1", "s2", "s3"]
        cosines = [float(axis(0) @ axis(0, lean=n / 4)) for n in range(4)]
        assert [hit.score for hit in hits] == pytest.approx(cosines, abs=1e-5)
        assert all(hit.key.tenant == TENANT for hit in hits)

    async def test_search_sees_only_the_tenants_living_products(self, index):
        await index.write(
            [
                create("mine", axis(0)),
                create("theirs", axis(0), tenant=OTHER_TENANT),
                create("dead", axis(0), alive=False),
                create("mine", axis(0), tenant="acme-2"),
            ]
        )
        assert await found(index, axis(0)) == ["mine"]
        assert await found(index, axis(0), tenant=OTHER_TENANT) == ["theirs"]
        assert await found(index, axis(0), tenant=TenantId("nobody")) == []

    async def test_a_tombstone_hides_a_product_and_a_revival_shows_it_with_its_vector(self, index):
        await index.write([create("a", axis(0))])
        await index.write([update("a", 1, alive=False)])
        assert await found(index, axis(0)) == []
        assert (await index.read([key("a")]))[key("a")] == payload(2, alive=False)
        await index.write([update("a", 2)])
        assert await found(index, axis(0)) == ["a"]

    async def test_each_condition_narrows_the_search(self, index):
        await index.write(
            [
                create("cheap", axis(0), brand="truper", category="llaves", price=10.0),
                create("dear", axis(0), brand="stanley", category="llaves", price=99.99),
                create("unpriced", axis(0), brand="", category="cinta métrica"),
                create("sold", axis(0), brand="truper", category="", price=5.0, in_stock=False),
            ]
        )
        for conditions, expected in NARROWED:
            assert set(await found(index, axis(0), **conditions)) == expected, conditions

    async def test_counts_are_exact_by_tenant_and_over_all(self, index):
        await index.write(
            [
                create("a", axis(0)),
                create("b", axis(1)),
                create("c"),
                create("d", axis(2), alive=False),
                create("e", tenant=OTHER_TENANT),
            ]
        )
        assert await index.counts(TENANT) == VectorCounts(alive=3, dead=1, vectors={TEXT_VECTOR: 2})
        assert await index.counts() == VectorCounts(alive=4, dead=1, vectors={TEXT_VECTOR: 2})
        assert await index.counts(TenantId("nobody")) == VectorCounts(0, 0, {TEXT_VECTOR: 0})

    async def test_a_scan_visits_every_point_of_the_tenant(self, index):
        count = 20
        await index.write([create(f"s{n}", axis(0) if n % 2 else None, alive=n % 3 > 0) for n in range(count)])
        await index.write([create("theirs", tenant=OTHER_TENANT)])
        for page in (1, 7, 1000):
            mine = await scanned(index, TENANT, page)
            assert mine == {key(f"s{n}"): payload(1, alive=n % 3 > 0) for n in range(count)}
            assert set(await scanned(index, None, page)) == set(mine) | {key("theirs", OTHER_TENANT)}

    async def test_collecting_removes_only_tombstones_at_their_revision(self, index):
        dead = {"alive": False}
        await index.write(
            [create("dead", **dead), create("changed", **dead), create("revived", **dead), create("alive")]
        )
        await index.write([update("changed", 1, **dead), update("revived", 1, axis(0))])
        asked = {key(sku): 1 for sku in ("dead", "changed", "revived", "alive", "absent")}
        assert await index.collect(asked) == {key("changed"), key("revived"), key("alive")}
        assert await index.revisions(list(asked)) == {key("changed"): 2, key("revived"): 2, key("alive"): 1}
        assert await index.collect({}) == frozenset()
        assert await index.write([create("dead", axis(1))]) == frozenset()
        assert await found(index, axis(1)) == ["dead", "revived"]

    async def test_a_scan_of_nothing_ends(self, index):
        assert await scanned(index) == {}

    async def test_vectors_are_given_for_the_points_that_have_one(self, index):
        await index.write([create("a", axis(3)), create("b")])
        vectors = await index.vectors([key("a"), key("b"), key("c")], using=TEXT_VECTOR)
        assert set(vectors) == {key("a")}
        assert vectors[key("a")].dtype == np.float32
        assert np.allclose(vectors[key("a")], axis(3), atol=1e-6)

    async def test_preparing_again_with_the_same_encoder_keeps_everything(self, index, other):
        await index.write([create("a", axis(0))])
        await asyncio.gather(index.prepare(spaces_of(REVISION)), other.prepare(spaces_of(REVISION)))
        assert await found(index, axis(0)) == ["a"]

    async def test_the_settings_it_was_made_with_are_applied_to_it_again(self, index, other):
        await index.write([create("a", axis(0))])
        await asyncio.gather(index.apply_settings(), other.apply_settings())
        assert await found(index, axis(0)) == ["a"]

    async def test_the_recorded_revision_is_read_back_and_tells_what_to_open_it_with(self, index, other):
        assert await index.recorded() == await other.recorded() == REVISION.record()

    async def test_layers_of_another_precision_are_refused_with_both_remedies(self, index):
        int8 = replace(REVISION, quantisation=f"{REVISION.quantisation}, layers-int8")
        with pytest.raises(
            ModelMismatchError, match=r"with float32 layers.*has int8 layers: unset .*LAYERS.*generation"
        ):
            await index.prepare(spaces_of(int8))

    async def test_sparse_vectors_cannot_be_turned_on_over_it(self, index):
        with pytest.raises(ModelMismatchError, match=r"encoder\.sparse\.model .* cannot be added .* generation"):
            await index.prepare(
                spaces_of(replace(REVISION, sparse=replace(REVISION, model="splade", normalised=False)))
            )
        await index.prepare(spaces_of(REVISION))

    async def test_another_encoder_is_refused_by_name(self, index):
        for change in ({"weights": "f" * 16}, {"dimension": 16}, {"passage_prompt": ""}):
            newcomer = replace(REVISION, model="newcomer", **change)
            with pytest.raises(ModelMismatchError) as raised:
                await index.prepare(spaces_of(newcomer))
            message = str(raised.value)
            assert all(part in message for part in (REVISION.id, newcomer.id, "tiny", "newcomer", *change))

    async def test_a_collection_has_an_id_from_its_beginning_that_every_handle_sees(self, index, other):
        made = await index.identity()
        assert made
        assert made == await other.identity() == await index.identify() == await other.identify()
        await other.prepare(spaces_of(REVISION))
        assert await other.identity() == made
