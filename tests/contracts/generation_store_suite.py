"""What every place for the records of the generations must give: newest values, and decisions that nobody else cuts into."""

import asyncio

import pytest

from retrieval.generations import transitions
from retrieval.generations.port import GenerationStore
from retrieval.generations.view import GenerationRefusedError, PointerMovedError, reports_of, view_of
from schemas.records.generations import MAIN, EncoderChoice, Generation, GenerationStage, Pointer, ReplicaReport


def manifest(name: str, **changes) -> Generation:
    made = {
        "name": name,
        "collection": f"catalogue.{name}",
        "documents": f"catalog.documents.{name}",
        "encoder": EncoderChoice(model="hashing"),
        "revision": "0" * 16,
        "text_schema": "2",
        "analyser": "1",
        "created_us": 1,
    }
    return Generation(**(made | changes))


async def prepared(store: GenerationStore, *names: str) -> None:
    for name in names:
        await store.commit(transitions.create(manifest(name), now_us=1))
        await store.commit(transitions.mark_prepared(name, now_us=2))


class GenerationStoreContract:
    @pytest.fixture
    async def store(self) -> GenerationStore:
        raise AssertionError("each adapter gives its own")

    async def test_a_store_without_records_has_the_generation_of_the_settings(self, store):
        view = view_of(await store.records())
        assert (view.names(), view.live, view.prepared()) == ((MAIN,), MAIN, (MAIN,))

    async def test_what_is_committed_is_read_back_whole(self, store):
        made = manifest("e5", starts={"t/0": 7}, encoder=EncoderChoice(model="m", query_prompt="query: "))
        assert (await store.commit(transitions.create(made, now_us=5))).stage("e5") is GenerationStage.BUILDING
        assert view_of(await store.records()).manifests == {"e5": made}
        after = await store.commit(transitions.mark_prepared("e5", now_us=6))
        assert view_of(await store.records()) == after
        assert after.prepared() == (MAIN, "e5")

    async def test_a_refused_transition_writes_nothing(self, store):
        await prepared(store, "a")
        before = await store.records()
        with pytest.raises(GenerationRefusedError):
            await store.commit(transitions.promote("nobody", expected_epoch=0, now_us=3))
        assert await store.records() == before

    async def test_promotion_and_rollback_move_one_pointer(self, store):
        await prepared(store, "a")
        moved = await store.commit(transitions.promote("a", expected_epoch=0, now_us=3, forced="why"))
        assert moved.pointer == Pointer(live="a", previous=MAIN, epoch=1, moved_us=3, forced="why")
        back = await store.commit(transitions.roll_back(expected_epoch=1, now_us=4))
        assert view_of(await store.records()).pointer == back.pointer
        assert back.pointer == Pointer(live=MAIN, previous="a", epoch=2, moved_us=4)

    async def test_of_two_promotions_at_once_one_is_told_that_the_pointer_moved(self, store):
        await prepared(store, "a", "b")
        outcomes = await asyncio.gather(
            *(store.commit(transitions.promote(name, expected_epoch=0, now_us=3)) for name in "ab"),
            return_exceptions=True,
        )
        lost = [outcome for outcome in outcomes if isinstance(outcome, PointerMovedError)]
        assert len(lost) == 1, outcomes
        pointer = view_of(await store.records()).pointer
        assert pointer.epoch == 1
        assert pointer.live in {"a", "b"}

    async def test_a_dropped_generation_is_forgotten_and_main_stays_marked(self, store):
        await prepared(store, "a")
        await store.commit(transitions.promote("a", expected_epoch=0, now_us=3))
        assert (await store.commit(transitions.begin_drop(MAIN, now_us=4))).pointer.previous is None
        await store.commit(transitions.finish_drop(MAIN, now_us=5))
        view = view_of(await store.records())
        assert (view.names(), view.stage(MAIN)) == (("a",), GenerationStage.DROPPED)
        await prepared(store, "b")
        await store.commit(transitions.begin_drop("b", now_us=6))
        await store.commit(transitions.finish_drop("b", now_us=7))
        assert view_of(await store.records()).names() == ("a",)

    async def test_reports_are_beside_the_generations_and_change_none(self, store):
        await prepared(store, "a")
        before = view_of(await store.records())
        for ready in ("catching up", ""):
            await store.report(ReplicaReport(replica="host-1", ready={"a": ready}, written_us=9))
        await store.report(ReplicaReport(replica="host-0", ready={"a": ""}, written_us=9))
        records = await store.records()
        assert view_of(records) == before
        assert [(report.replica, report.ready) for report in reports_of(records)] == [
            ("host-0", {"a": ""}), ("host-1", {"a": ""})
        ]  # fmt: skip
