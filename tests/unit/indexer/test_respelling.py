"""What a release before stored under another spelling of a SKU is joined to its product, and nothing of it stays."""

import random
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferroflux.embedded.recovery import respell_once
from indexer.batch.plan import Arrival
from indexer.ports import Target, Timing
from indexer.reconcile.ports import NO_DOCUMENTS
from indexer.reconcile.run import ReconcileOptions, Reconciliation
from indexer.respelling import Respelled, Respeller
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointPayload, PointWrite
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.identity import SkuId, SkuKey, TenantId
from schemas.product.building import build_document
from schemas.product.changes import ChangeEvent, facet_key
from schemas.product.merge import ItemState, merge_all
from schemas.version import SourceVersion
from tests.support.indexing.fakes import CountingEncoder, DocumentLog, FakeClock, make_pipeline, no_sleep, record

NFC = SkuKey.of("acme", "TUERCA-Ñ-6")
NFD = SkuKey(TenantId("acme"), SkuId(unicodedata.normalize("NFD", "TUERCA-Ñ-6")))
UNSEEN = SkuKey(TenantId("acme"), SkuId("TUERCA-\u200bÑ-6"))


class Topic(DocumentLog):
    """The documents topic with null records: what it ends on, by key."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[bytes, str | None] = {}

    async def publish(self, documents: Sequence[Any]) -> Any:
        published = await super().publish(documents)
        self.last |= {one.key.kafka_key: None if one.deleted else one.title for one in documents}
        return published

    async def remove(self, keys: Sequence[SkuKey]) -> None:
        for key in keys:
            self.last.pop(key.kafka_key, None)


class World:
    def __init__(self, index: MemoryIndex | None = None) -> None:
        self.index, self.topic, self.encoder = index or MemoryIndex(), Topic(), CountingEncoder()
        self.pipeline = make_pipeline(self.index, publisher=self.topic, encoder=self.encoder)
        self.respeller = Respeller(
            Target(self.index, self.topic, build_document), self.topic, self.encoder,
            Timing(FakeClock(), random.Random(1), no_sleep),
        )  # fmt: skip

    async def store(self, *events: ChangeEvent) -> None:
        """As the release before did, which took a SKU as it came."""
        await self.pipeline.apply([Arrival(one, record(one)) for one in events])

    async def state(self, key: SkuKey) -> ItemState | None:
        point = (await self.index.read([key])).get(key)
        return None if point is None else ItemState.from_bytes(point.state)


def change(key: SkuKey, version: int, fields: Mapping[str, Any] | None, facet: str = "item") -> ChangeEvent:
    return ChangeEvent(key, facet_key(facet), SourceVersion(0, version), fields)


async def test_a_product_under_another_spelling_is_moved_with_its_vector_and_without_inference() -> None:
    world = World()
    await world.store(change(NFD, 5, {"title": "Tuerca"}), change(NFD, 6, {"price": 3.5}, "price"))
    vector = (await world.index.vectors([NFD], using=TEXT_VECTOR))[NFD]
    inferences = len(world.encoder.texts)
    assert (await world.respeller.respell([NFD, NFC])).joined == 1
    assert await world.state(NFD) is None
    state = await world.state(NFC)
    assert state is not None
    assert state.facets["price"].values() == {"price": 3.5}
    assert world.topic.last == {NFC.kafka_key: "Tuerca"}
    assert len(world.encoder.texts) == inferences
    assert ((await world.index.vectors([NFC], using=TEXT_VECTOR))[NFC] == vector).all()


@pytest.mark.parametrize(("stored", "other", "title"), [(9, 5, "of the product"), (5, 9, "of the other")])
async def test_where_both_are_stored_the_newer_row_wins_whichever_spelling_it_came_by(stored, other, title) -> None:
    world = World()
    await world.store(change(NFC, stored, {"title": "of the product"}), change(NFD, other, {"title": "of the other"}))
    await world.respeller.respell_all()
    assert world.topic.last == {NFC.kafka_key: title}


async def test_a_deletion_that_came_under_one_spelling_deletes_the_product_and_an_older_one_does_not() -> None:
    world = World()
    await world.store(change(NFC, 5, {"title": "Tuerca"}), change(NFD, 4, None))
    await world.respeller.respell_all()
    assert world.topic.last == {NFC.kafka_key: "Tuerca"}
    await world.store(change(UNSEEN, 6, None))
    await world.respeller.respell_all()
    assert world.topic.last == {NFC.kafka_key: None}


async def test_it_is_done_with_one_look_and_a_second_changes_nothing() -> None:
    world = World()
    await world.store(change(NFD, 5, {"title": "Tuerca"}), change(UNSEEN, 7, {"title": "Tuerca M6"}))
    assert (await world.respeller.respell_all()).joined == 2
    published = len(world.topic.documents)
    assert await world.respeller.respell_all() == Respelled()
    assert len(world.topic.documents) == published
    assert world.topic.last == {NFC.kafka_key: "Tuerca M6"}


async def test_it_goes_on_where_a_crash_left_it_at_whichever_effect() -> None:
    for effects in range(1, 12):
        index = Crashing()
        world = World(index)
        await world.store(change(NFC, 1, {"title": "old"}), change(NFD, 5, {"title": "Tuerca"}))
        index.left = effects
        publish, remove = world.topic.publish, world.topic.remove
        world.topic.publish, world.topic.remove = index.counted(publish), index.counted(remove)  # type: ignore[method-assign]
        crashed = False
        try:
            await world.respeller.respell([NFD])
        except Crash:
            crashed = True
        index.left = -1
        # The verifier looks again: it had not committed. What is gone needs nothing more.
        await world.respeller.respell([NFD])
        assert world.topic.last == {NFC.kafka_key: "Tuerca"}, effects
        assert await world.state(NFD) is None
        if not crashed:
            return
    raise AssertionError("the number of effects has grown: raise the bound")


async def test_what_an_older_indexer_writes_meanwhile_is_joined_and_not_lost() -> None:
    index = MemoryIndex()
    world = World(index)
    await world.store(change(NFD, 5, {"title": "Tuerca"}))
    late = change(NFD, 8, {"title": "Tuerca M6"})

    async def write_meanwhile(products: Sequence[SkuKey]) -> object:
        nonlocal late
        if late is not None:
            event, late = late, None  # type: ignore[assignment]
            await world.store(event)
        return await world.pipeline.republish(products)

    world.respeller._settler.republish = write_meanwhile  # type: ignore[method-assign, assignment]
    await world.respeller.respell([NFD])
    assert world.topic.last == {NFC.kafka_key: "Tuerca M6"}
    assert await world.state(NFD) is None


async def test_a_state_that_cannot_be_read_stays_and_stops_no_other() -> None:
    world = World()
    await world.store(change(NFD, 5, {"title": "Tuerca"}))
    torn = SkuKey(TenantId("acme"), SkuId("Ä".replace("Ä", "A\u0308")))
    await world.index.write([PointWrite(torn, None, PointPayload(rev=1, alive=True, state=b"{torn"))])
    respelled = await world.respeller.respell_all()
    assert list(respelled.apart) == [torn.canonical]
    assert world.topic.last == {NFC.kafka_key: "Tuerca"}
    assert torn in await world.index.read([torn])


async def test_a_repair_never_deletes_a_product_for_its_other_spelling() -> None:
    world = World()
    row = change(NFC, 5, {"title": "Tuerca"})
    await world.store(row, change(NFD, 5, {"title": "Tuerca"}))

    class Warehouse:
        name, exact, versioned, rejected = "warehouse", True, True, 0
        documents = NO_DOCUMENTS
        facets, read_at = frozenset({"item"}), SourceVersion(0, 100)

        async def pages(self) -> Any:
            yield [row]

    options = ReconcileOptions(settle_s=0, delete_extra=True)
    reconciliation = Reconciliation(Warehouse(), world.index, None, options=options, clock=FakeClock(), sleep=no_sleep)
    await reconciliation.compare()
    assert reconciliation._deletions() == []


async def test_an_embedded_installation_looks_once_in_its_life(tmp_path: Path) -> None:
    world, marker = World(), tmp_path / "one-spelling"
    await world.store(change(NFD, 5, {"title": "Tuerca"}))
    assert await respell_once(marker, world.respeller) == 1
    assert marker.exists()
    await world.store(change(NFD, 6, {"title": "Tuerca"}))
    assert await respell_once(marker, world.respeller) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([NFC, NFD, UNSEEN]),
            st.sampled_from(["item", "price"]),
            st.integers(1, 9),
            st.sampled_from([None, 1, 2]),
        ),
        min_size=1,
        max_size=8,
    )
)
async def test_the_joined_state_is_that_of_all_events_under_the_one_spelling(history) -> None:
    world = World()
    fields = {"item": "title", "price": "price"}
    events = [
        change(
            key, version, None if value is None else {fields[facet]: str(value) if facet == "item" else value}, facet
        )
        for key, facet, version, value in history
    ]
    for one in events:
        await world.store(one)
    await world.respeller.respell_all()
    state = await world.state(NFC)
    assert state is not None
    expected = merge_all([change(NFC, one.version.sequence, one.fields, one.facet) for one in events])
    assert state.to_bytes() == expected.to_bytes()


class Crash(BaseException):
    """The process ends here; unlike KeyboardInterrupt it passes through a task of its own."""


class Crashing(MemoryIndex):
    """Ends the process after so many effects; below zero never."""

    def __init__(self) -> None:
        super().__init__()
        self.left = -1

    def _effect(self) -> None:
        if self.left == 0:
            raise Crash
        self.left -= 1

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        self._effect()
        return await super().write(writes)

    async def collect(self, tombstones: Mapping[SkuKey, int]) -> frozenset[SkuKey]:
        self._effect()
        return await super().collect(tombstones)

    def counted(self, call: Any) -> Any:
        async def counted(*arguments: Any) -> Any:
            self._effect()
            return await call(*arguments)

        return counted
