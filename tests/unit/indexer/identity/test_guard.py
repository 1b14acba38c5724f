"""Offsets are of one topic and one collection: what another one means, and what an unknown one."""

import pytest

from indexer.identity import Committed, Mark, OffsetGuard, Present, StoreReplacedError, TopicMadeAgainError, judge
from schemas.errors import LogUnavailableError

A, B = ("changes", 0), ("changes", 1)
HERE = Present({"changes": "t1"}, "c1")
OURS = Mark("t1", "c1")


@pytest.mark.parametrize(
    ("name", "entry", "void", "others", "renewed"),
    [
        ("offsets of this topic and store stand", Committed(7, OURS), False, False, Committed(7, OURS)),
        ("what nobody marked is adopted", Committed(7), False, False, Committed(7, OURS)),
        ("so is what an earlier right to describe left open", Committed(7, Mark("", "c1")), False, False, Committed(7, OURS)),
        ("a topic that was made again is read from its beginning", Committed(7, Mark("t0", "c1")), True, False, Committed(0, OURS)),
        ("a store that was replaced under offsets is another", Committed(7, Mark("t1", "c0")), False, True, Committed(7, OURS)),
        ("a topic made again does not excuse it", Committed(7, Mark("t0", "c0")), True, True, Committed(0, OURS)),
        ("at the beginning nothing is missing in a new store", Committed(0, Mark("t1", "c0")), False, False, Committed(0, OURS)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_an_offset_is_worth(name, entry, void, others, renewed):
    judged = judge({A: entry}, HERE)
    assert judged.void == ({A} if void else set())
    assert bool(judged.others) is others
    assert judged.renewed == ({} if renewed == entry else {A: renewed})


def test_a_topic_that_may_not_be_described_is_not_taken_for_another():
    judged = judge({A: Committed(7, OURS)}, Present({}, "c1"))
    assert (judged.void, judged.others, judged.renewed) == (set(), set(), {})


def test_a_group_that_fills_no_store_compares_topics_only():
    assert not judge({A: Committed(7, OURS)}, Present({"changes": "t1"})).others


@pytest.mark.parametrize("mark", [Mark(), Mark("t1"), Mark("", "c1"), OURS])
def test_a_mark_survives_as_metadata(mark):
    assert Mark.parse(mark.to_metadata()) == mark


@pytest.mark.parametrize("metadata", ["", "written by a tool", "[1]", "null", '{"topic": null}'])
def test_metadata_of_others_says_nothing(metadata):
    assert Mark.parse(metadata) == Mark()


class Group:
    """A group's offsets, a cluster's topics and a store's id, to be changed at will."""

    def __init__(self, offsets=None, *, members=0):
        self.offsets = dict(offsets or {})
        self.running = members
        self.topics = {"changes": "t1"}
        self.collection: str | None = "c1"
        self.away = False

    async def committed(self):
        return dict(self.offsets)

    async def members(self):
        return self.running

    async def begin_at(self, offsets):
        self.offsets.update(offsets)

    async def ids(self, topics):
        if self.away:
            raise LogUnavailableError
        return {topic: topic_id for topic, topic_id in self.topics.items() if topic in topics}

    async def identity(self):
        return self.collection

    def guard(self, documents=""):
        return OffsetGuard(
            self, ["changes"], self.ids, identify=self.identity, identity=self.identity, documents=documents
        )


async def settled(group: Group) -> OffsetGuard:
    guard = group.guard()
    await guard.settle()
    return guard


async def test_the_first_start_after_the_upgrade_adopts_what_there_is_and_says_so_beside_every_offset():
    group = Group({A: Committed(7), B: Committed(3)})
    guard = await settled(group)
    assert group.offsets == {A: Committed(7, OURS), B: Committed(3, OURS)}
    assert Mark.parse(guard.beside("changes")) == OURS


async def test_in_a_rolling_upgrade_who_runs_goes_on_and_each_marks_what_it_commits():
    group = Group({A: Committed(7)}, members=1)
    guard = await settled(group)
    assert group.offsets == {A: Committed(7)}
    assert Mark.parse(guard.beside("changes")) == OURS


async def test_a_store_that_is_new_under_old_offsets_stops_the_start_with_the_remedy_and_touches_nothing():
    group = Group({A: Committed(7, OURS), B: Committed(3)})
    group.collection = "c2"
    for _ in range(2):
        with pytest.raises(StoreReplacedError, match="ferroflux reconcile --source documents --repair"):
            await group.guard().settle()
    assert group.offsets == {A: Committed(7, OURS), B: Committed(3)}


async def test_a_store_that_was_restored_is_adopted_once_nobody_runs():
    group = Group({A: Committed(7, OURS), B: Committed(3, OURS)}, members=2)
    group.collection = "c2"
    with pytest.raises(LogUnavailableError, match="stop the indexers"):
        await group.guard().adopt()
    group.running = 0
    assert await group.guard().replaced()
    await group.guard().adopt()
    assert not await group.guard().replaced()
    assert group.offsets == {A: Committed(7, Mark("t1", "c2")), B: Committed(3, Mark("t1", "c2"))}
    await settled(group)
    group.running = 2
    await group.guard().adopt()  # it agrees already: a restored store is reconciled again beside its indexers
    group.offsets.clear()
    with pytest.raises(LogUnavailableError, match="stop the indexers"):
        await group.guard().adopt()  # nothing says of which store those are that run


async def test_a_topic_that_was_made_again_is_read_from_its_beginning_once_nobody_reads_the_former():
    group = Group({A: Committed(7, Mark("t0", "c1")), B: Committed(3, Mark("t0", "c1"))}, members=1)
    with pytest.raises(LogUnavailableError, match="still read the former"):
        await group.guard().settle()
    assert group.offsets[A].offset == 7
    group.running = 0
    await settled(group)
    assert group.offsets == {A: Committed(0, OURS), B: Committed(0, OURS)}


async def test_a_topics_id_that_cannot_be_asked_any_more_is_not_forgotten():
    group = Group({A: Committed(7, OURS)})
    group.topics.clear()
    guard = await settled(group)
    assert Mark.parse(guard.beside("changes")) == OURS
    assert group.offsets == {A: Committed(7, OURS)}


async def test_offsets_of_topics_that_are_not_read_any_more_are_nobodys_business():
    group = Group({("former", 0): Committed(9, Mark("x", "c0"))})
    await settled(group)
    assert group.offsets == {("former", 0): Committed(9, Mark("x", "c0"))}


async def test_while_it_runs_a_topic_that_is_made_again_ends_it():
    group = Group({A: Committed(7, OURS)})
    guard = await settled(group)
    await guard.check()
    group.topics.clear()
    await guard.check()  # deleted, and nothing in its place yet
    group.topics["changes"] = "t2"
    with pytest.raises(TopicMadeAgainError, match="changes"):
        await guard.check()
    assert Mark.parse(guard.beside("changes")) == OURS  # what is committed to the last is of the former


async def test_a_late_commit_of_who_filled_the_former_store_ends_who_fills_the_new_one() -> None:
    group = Group({A: Committed(7, OURS)})
    guard = group.guard()
    await guard.settle()
    group.offsets[B] = Committed(0, Mark("t1", "c0"))
    await guard.check()  # below the beginning there is nothing to miss
    group.offsets[B] = Committed(90, Mark("t1", "c0"))
    with pytest.raises(StoreReplacedError):
        await guard.check()


async def test_a_late_commit_of_who_read_the_former_ends_who_reads_the_new_one_so_that_it_can_be_set_back():
    group = Group({A: Committed(7, OURS), B: Committed(3, OURS)})
    guard = group.guard()
    await guard.settle()
    await guard.check()
    group.offsets[B] = Committed(90, Mark("t0", "c1"))
    with pytest.raises(TopicMadeAgainError, match="changes"):
        await guard.check()
    await group.guard().settle()
    assert group.offsets == {A: Committed(7, OURS), B: Committed(0, OURS)}


@pytest.mark.parametrize("now", ["c2", None], ids=["replaced", "gone"])
async def test_while_it_runs_a_store_that_is_replaced_or_gone_ends_it(now):
    group = Group({A: Committed(7, OURS)})
    guard = await settled(group)
    group.collection = now
    with pytest.raises(StoreReplacedError):
        await guard.check()


async def test_a_documents_topic_that_was_made_again_is_filled_and_only_then_named_beside_the_offsets():
    group = Group({A: Committed(7, Mark("t1", "c1", "d1")), B: Committed(3)})
    group.topics["documents"] = "d2"
    for _ in range(2):  # a start that is killed before all is published begins anew
        guard = group.guard("documents")
        await guard.settle()
        assert guard.documents_are_due
        assert Mark.parse(guard.beside("changes")).documents == "d1"
        await guard.check()
        assert {entry.mark.documents for entry in group.offsets.values()} == {"d1"}
    guard.documents_were_published()
    assert Mark.parse(guard.beside("changes")) == Mark("t1", "c1", "d2")
    group.offsets[B] = Committed(4, Mark.parse(guard.beside("changes")))
    later = group.guard("documents")
    await later.settle()
    assert not later.documents_are_due
    assert {entry.mark.documents for entry in group.offsets.values()} == {"d2"}
    group.topics["documents"] = "d3"
    with pytest.raises(TopicMadeAgainError, match="documents"):
        await later.check()


async def test_a_documents_topic_of_the_release_before_is_adopted():
    group = Group({A: Committed(7, OURS)})
    group.topics["documents"] = "d1"
    guard = group.guard("documents")
    await guard.settle()
    assert not guard.documents_are_due
    assert group.offsets == {A: Committed(7, Mark("t1", "c1", "d1"))}


async def test_a_cluster_that_is_away_is_waited_for():
    group = Group({A: Committed(7, OURS)})
    waits = 0

    async def sleep(_: float, /) -> None:
        nonlocal waits
        waits += 1
        group.away = waits < 3
        if waits == 4:
            group.collection = "c2"

    guard = OffsetGuard(group, ["changes"], group.ids, identify=group.identity, identity=group.identity, sleep=sleep)
    await guard.settle()
    with pytest.raises(StoreReplacedError):
        await guard.watch()
    assert waits == 4
