"""The guard of a group's offsets: what they are of is compared before the group is joined, and again and again while it works.

the collection is another one   the indexer stops: below these offsets, this store holds nothing. Going on, it would
                                never get the products that were lost, and nobody would know.
a topic is another one          its offsets are void: it is read from its beginning. Found while records are read, the
                                process ends first: what it has in hand is of the former topic, and must not be committed.
the documents topic is another  every product is published again: what the former told, this one does not
nothing is known                adopted, and written down

An offset means "everything below is in the store". That is true of one topic and of one collection, so their ids are committed
beside it, in the offset's metadata: in one request with the offset, they can never be of another moment. They are of the group
alone, so a generation, which has a group, a collection and a documents topic of its own, has its own marks, and moving the
pointer or dropping another generation touches none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

import orjson
import structlog

from indexer.records import TopicPartition
from runtime.clock import Sleep
from schemas.errors import FatalError, LogUnavailableError, RetryableError

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 5.0

TopicIdsOf = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]
"""The ids of topics; those that are not there, or may not be described, are left out."""


class StoreReplacedError(FatalError):
    """The vector store is not the one that the committed offsets speak of: it was lost or replaced, and what lies below them is not in it. Restore its backup, or restore it from the documents topic with `ferroflux reconcile --source documents --repair`, which adopts the new one; then start again."""

    code = "store_replaced"


class TopicMadeAgainError(FatalError):
    """A topic was deleted and created again while it was read. Nothing of the former is committed to it: start again, and it is read from its beginning."""

    code = "topic_made_again"


class GroupOffsets(Protocol):
    """One consumer group's offsets. Every method may raise LogUnavailableError."""

    async def committed(self) -> Mapping[TopicPartition, Committed]:
        """Those that the group has committed, each with its mark."""
        ...

    async def members(self) -> int:
        """How many consumers the group has now."""
        ...

    async def begin_at(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Set offsets of a group without members; refused, as a LogUnavailableError, where it has some."""
        ...


class OffsetGuard:
    """Of one group, the topics that it reads, and the collection that it fills."""

    def __init__(
        self,
        group: GroupOffsets,
        topics: Collection[str],
        topic_ids: TopicIdsOf,
        *,
        identify: Callable[[], Awaitable[str]] | None = None,
        identity: Callable[[], Awaitable[str | None]] | None = None,
        documents: str = "",
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`identify` gives the collection's id at the start, `identity` now; a group that fills none leaves both out.

        `documents` is the topic that tells of what the group has taken in.
        """
        self._documents = documents
        self._untold = ""
        self._group = group
        self._topics = frozenset(topics)
        self._topic_ids = topic_ids
        self._identify = identify
        self._identity = identity
        self._sleep = sleep
        self._present = Present({})

    def beside(self, topic: str) -> str:
        """What is committed beside an offset of this topic, as metadata."""
        present = self._present
        return Mark(present.topics.get(topic, ""), present.collection, self._untold or present.documents).to_metadata()

    @property
    def documents_are_due(self) -> bool:
        """Whether the documents topic was made again, and what the store holds is to be published in it."""
        return bool(self._untold)

    def documents_were_published(self) -> None:
        """All of it was; what is committed from now on says so."""
        self._untold = ""

    async def settle(self) -> None:
        """Compare what is committed with what there is, before the group is joined; void offsets are set to the beginning.

        Raises:
            StoreReplacedError: the collection is another one.
            LogUnavailableError, StoreUnavailableError: it cannot be known, or set, yet; trying again is safe.
        """
        judged = await self._judge()
        if judged.others:
            raise StoreReplacedError
        await self._renew(judged)
        self._untold = judged.untold

    async def replaced(self) -> bool:
        """Whether the collection is another one than the committed offsets speak of.

        Raises:
            LogUnavailableError, StoreUnavailableError: it cannot be known yet; trying again is safe.
        """
        return bool((await self._judge()).others)

    async def adopt(self) -> None:
        """Take the collection for the one that the offsets speak of: it was restored.

        Raises:
            LogUnavailableError: members of the group are running, or the brokers did not answer.
        """
        judged = await self._judge()
        # Who runs may have begun with the store that is gone, and commit its id yet.
        if (judged.renewed or not judged.agreed) and await self._group.members():
            raise LogUnavailableError(
                "the group's consumers run, and would overwrite it: stop the indexers, and do it again"
            )
        await self._renew(judged)
        log.info("the vector store is adopted", collection_id=self._present.collection, replaces=sorted(judged.others))

    async def watch(self) -> None:
        """Compare now and then.

        Raises:
            StoreReplacedError: the collection is another one, or gone.
            TopicMadeAgainError: a topic is another one.
        """
        while True:
            await self._sleep(LOOK_EVERY_S)
            try:
                await self.check()
            except RetryableError as error:
                log.debug("identities could not be compared", code=error.code, error=str(error))

    async def check(self) -> None:
        """Compare what there is with what there was at the start. Raises as `watch` does, and where it cannot be known."""
        now = await self._ids()
        known = dict(self._present.topics)
        if self._documents:
            known[self._documents] = self._present.documents or now.get(self._documents, "")
        again = {topic for topic, found in now.items() if known.setdefault(topic, found) != found}
        # Whoever still read the former may have committed after this process began with the new one: below such an offset
        # lies what nobody has read, and only a group without members can be set back.
        committed = [
            (place[0], one) for place, one in (await self._group.committed()).items() if place[0] in self._topics
        ]
        for topic, one in committed:
            if one.mark.topic and one.mark.topic != known.get(topic, one.mark.topic):
                again.add(topic)
        if again:
            raise TopicMadeAgainError(
                f"topic {', '.join(sorted(again))} was deleted and created again while it was read: start again, and it is read from its beginning"
            )
        self._present = Present(known, self._present.collection, known.pop(self._documents, ""))
        if self._identity is None:
            return
        collection = self._present.collection
        late = any(one.offset and one.mark.collection not in ("", collection) for _, one in committed)
        if late or await self._identity() != collection:
            raise StoreReplacedError

    async def _judge(self) -> Judged:
        collection = "" if self._identify is None else await self._identify()
        ids = await self._ids()
        committed = await self._group.committed()
        for (topic, _), entry in committed.items():
            if entry.mark.topic and topic in self._topics:
                ids.setdefault(topic, entry.mark.topic)  # it cannot be asked now, and is not forgotten
        told = next((entry.mark.documents for entry in committed.values() if entry.mark.documents), "")
        self._present = Present(ids, collection, ids.pop(self._documents, told))
        ours = {place: entry for place, entry in committed.items() if place[0] in self._topics}
        return judge(ours, self._present)

    async def _ids(self) -> dict[str, str]:
        return dict(await self._topic_ids([*self._topics, self._documents] if self._documents else self._topics))

    async def _renew(self, judged: Judged) -> None:
        if not judged.renewed:
            return
        if await self._group.members():
            if judged.void:
                raise LogUnavailableError(
                    "a topic was deleted and created again, and consumers of this group still read the former; "
                    "they end by themselves in a moment, or stop them"
                )
            return  # whoever runs marks what it commits
        await self._group.begin_at(judged.renewed)
        if judged.void:
            log.warning(
                "a topic was deleted and created again: it is read from its beginning",
                partitions=[f"{topic}/{number}" for topic, number in sorted(judged.void)],
            )
        else:
            log.info("offsets are marked with what they are of", partitions=len(judged.renewed))


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
