"""What stands beside each committed offset, and what it says when it is read again. Pure.

An offset means "everything below is in the store". That is true of one topic and of one collection, so their ids are committed
with it, in the offset's metadata: in one request with the offset, they can never be of another moment. They are of the group
alone, so a generation, which has a group, a collection and a documents topic of its own, has its own marks, and moving the
pointer or dropping another generation touches none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

import orjson

from indexer.records import TopicPartition

_NAMES: Final = ("topic", "collection", "documents")


@dataclass(frozen=True, slots=True)
class Mark:
    """What an offset is of: its topic, the collection that holds what lies below it, the documents topic that tells of that.

    Each by its id, empty where that is unknown.
    """

    topic: str = ""
    collection: str = ""
    documents: str = ""

    @classmethod
    def parse(cls, metadata: str) -> Self:
        """Read an offset's metadata; that of an earlier release, or of another tool, knows nothing."""
        try:
            held = orjson.loads(metadata)
        except orjson.JSONDecodeError:
            return cls()
        held = held if isinstance(held, dict) else {}
        return cls(*(str(held.get(name) or "") for name in _NAMES))

    def to_metadata(self) -> str:
        """What is committed beside the offset; empty where nothing is known."""
        known = {name: value for name in _NAMES if (value := getattr(self, name))}
        return orjson.dumps(known).decode() if known else ""


@dataclass(frozen=True, slots=True)
class Committed:
    """One committed offset and its mark."""

    offset: int
    mark: Mark = Mark()


@dataclass(frozen=True, slots=True)
class Present:
    """The ids as they are now: of the topics, those left out that cannot be known, of the collection, and of the documents topic.

    The last two are empty where they are not compared.
    """

    topics: Mapping[str, str]
    collection: str = ""
    documents: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a group's offsets are worth.

    `void` are of a topic that was deleted and created again; `others` are collections that are not the present one, under
    offsets beyond the beginning; `renewed` are all offsets as they should stand, where that differs from how they do. `agreed`
    says that some are of the present collection already. `untold`: the documents topic was deleted and created again, and
    nobody has published in it what the store holds; it is then the id of the former.
    """

    void: frozenset[TopicPartition] = frozenset()
    others: frozenset[str] = frozenset()
    renewed: Mapping[TopicPartition, Committed] = field(default_factory=dict)
    agreed: bool = False
    untold: str = ""


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
    told = {entry.mark.documents for entry in committed.values() if entry.offset} - {""}
    untold = max(told) if told and present.documents and present.documents not in told else ""
    beside = replace(present, documents=untold or present.documents)
    wanted = {place: _renewed(place, entry, beside, void=place in void) for place, entry in committed.items()}
    renewed = {place: entry for place, entry in wanted.items() if entry != committed[place]}
    agreed = any(entry.mark.collection == present.collection for entry in committed.values())
    return Judged(void, others, renewed, agreed, untold)


def _renewed(place: TopicPartition, entry: Committed, present: Present, *, void: bool) -> Committed:
    topic = present.topics.get(place[0], entry.mark.topic)
    mark = Mark(topic, present.collection or entry.mark.collection, present.documents or entry.mark.documents)
    return Committed(0 if void else entry.offset, mark)
