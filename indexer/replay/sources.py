"""The port `ReplaySource` on Kafka and on the embedded journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from indexer.journal import SqliteChangeJournal
from indexer.kafka.reader import KafkaReader
from indexer.records import TopicPartition, next_offsets
from indexer.replay.selection import Page, Position, Selection
from schemas.errors import InvalidRequestError


class KafkaReplaySource:
    """Change topics, read with a consumer of the replay's own that belongs to no group."""

    def __init__(self, reader: KafkaReader, topics: Sequence[str]) -> None:
        self._reader = reader
        self._topics = topics

    async def pages(self, selection: Selection, position: Position | None) -> AsyncIterator[Page]:
        """Begin at the selection's first offsets; the ends are fixed at the first beginning."""
        places = [place for place in await self._reader.partitions(self._topics) if selection.takes_place(place)]
        if position is None:
            begins, ends = await self._bounds(selection, places)
        else:
            begins, ends = _read(position["next"]), _read(position["ends"])
        total = max(1, sum(max(0, ends[place] - begins[place]) for place in ends))
        reached = dict(begins)
        done = 0
        async for records in self._reader.read(begins, ends):
            reached |= next_offsets(records)
            done += len(records)
            yield Page(records, {"next": _written(reached), "ends": _written(ends)}, min(1.0, done / total))

    async def _bounds(
        self, selection: Selection, places: Sequence[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        begins, ends = await self._reader.begins(places), await self._reader.ends(places)
        if selection.since_ms:
            since = await self._reader.at_time(places, selection.since_ms)
            begins = {place: max(begins[place], since.get(place, ends[place])) for place in places}
        # A producer may have set the time of a record itself, so times need not grow with offsets: where a record of the
        # end's time stands is no bound, and every record's own time is looked at.
        for place in places if selection.offsets else ():
            ranges = [r for r in selection.offsets if r.covers(place)]
            begins[place] = max(begins[place], min(r.first for r in ranges))
            lasts = [r.last for r in ranges if r.last is not None]
            if len(lasts) == len(ranges):
                ends[place] = min(ends[place], max(lasts) + 1)
        return begins, {place: max(end, begins[place]) for place, end in ends.items()}


class JournalReplaySource:
    """The embedded journal. Its offsets are those of several logs, one for each start of the system."""

    def __init__(self, journal: SqliteChangeJournal) -> None:
        self._journal = journal

    async def pages(self, selection: Selection, position: Position | None) -> AsyncIterator[Page]:
        """Oldest first; the position is the place in the journal, which stays true when old records are forgotten.

        Raises:
            InvalidRequestError: offsets are selected, which mean nothing over several logs.
        """
        if selection.offsets:
            raise InvalidRequestError(
                "--offsets means nothing here: the embedded broker counts anew at every start; select by time instead"
            )
        after, end = (0, await self._journal.end()) if position is None else (position["after"], position["end"])
        async for slice_ in self._journal.read(after=after, until=end):
            yield Page(slice_.records, {"after": slice_.last, "end": end}, slice_.last / max(1, end))


def _written(offsets: Mapping[TopicPartition, int]) -> dict[str, int]:
    return {f"{topic}/{number}": offset for (topic, number), offset in offsets.items()}


def _read(offsets: Mapping[str, int]) -> dict[TopicPartition, int]:
    return {(name.rpartition("/")[0], int(name.rpartition("/")[2])): offset for name, offset in offsets.items()}
