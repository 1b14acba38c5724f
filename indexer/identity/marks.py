"""What stands beside each committed offset, and what it says when it is read again. Pure.

An offset means "everything below is in the store". That is true of one topic and of one collection, so their ids are committed
with it, in the offset's metadata: in one request with the offset, they can never be of another moment. They are of the group
alone, so a generation, which has a group, a collection and a documents topic of its own, has its own marks, and moving the
pointer or dropping another generation touches none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import orjson

from indexer.records import TopicPartition


@dataclass(frozen=True, slots=True)
class Mark:
    """The ids of the topic that an offset is of and of the collection that holds what lies below it; empty where unknown."""

    topic: str = ""
    collection: str = ""

    @classmethod
    def parse(cls, metadata: str) -> Self:
        """Read an offset's metadata; that of an earlier release, or of another tool, knows nothing."""
        try:
            held = orjson.loads(metadata)
        except orjson.JSONDecodeError:
            return cls()
        held = held if isinstance(held, dict) else {}
        return cls(str(held.get("topic") or ""), str(held.get("collection") or ""))

    def to_metadata(self) -> str:
        """What is committed beside the offset; empty where nothing is known."""
        known = {name: value for name, value in (("topic", self.topic), ("collection", self.collection)) if value}
        return orjson.dumps(known).decode() if known else ""


@dataclass(frozen=True, slots=True)
class Committed:
    """One committed offset and its mark."""

    offset: int
    mark: Mark = Mark()


@dataclass(frozen=True, slots=True)
class Present:
    """The ids as they are now: of the topics, those left out that cannot be known, and of the collection (empty: not compared)."""

    topics: Mapping[str, str]
    collection: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a group's offsets are worth.

    `void` are of a topic that was deleted and created again; `others` are collections that are not the present one, under
    offsets beyond the beginning; `renewed` are all offsets as they should stand, where that differs from how they do. `agreed`
    says that some are of the present collection already.
    """

    void: frozenset[TopicPartition] = frozenset()
    others: frozenset[str] = frozenset()
    renewed: Mapping[TopicPartition, Committed] = field(default_factory=dict)
    agreed: bool = False


def judge(committed: Mapping[TopicPartition, Committed], present: Present) -> Judged:
    """Compare. What was not marked is adopted: it is of the release before, or was set by hand."""
    void = frozenset(
        place
        for place, entry in committed.items()
        if entry.mark.topic and entry.mark.topic != present.topics.get(place[0], entry.mark.topic)
    )
    others = frozenset(
        entry.mark.collection
        for entry in committed.values()
        if entry.offset and present.collection and entry.mark.collection not in ("", present.collection)
    )
    wanted = {place: _renewed(place, entry, present, void=place in void) for place, entry in committed.items()}
    renewed = {place: entry for place, entry in wanted.items() if entry != committed[place]}
    agreed = any(entry.mark.collection == present.collection for entry in committed.values())
    return Judged(void, others, renewed, agreed)


def _renewed(place: TopicPartition, entry: Committed, present: Present, *, void: bool) -> Committed:
    topic = present.topics.get(place[0], entry.mark.topic)
    return Committed(0 if void else entry.offset, Mark(topic, present.collection or entry.mark.collection))
