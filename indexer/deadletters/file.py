"""Dead letters of the embedded system: in a file, since its broker forgets them at a stop.

The file has the change journal's form, its records those of the dead-letter topic. The sink writes there first, then to
the topic, for whoever tails it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

from indexer.deadletters.letter import Letter, Marker, Settlement
from indexer.journal import SqliteChangeJournal
from indexer.kafka.publisher import letter_record
from indexer.ports import DeadLetterSink
from indexer.records import DeadLetter, InboundRecord, LogId
from runtime.clock import Clock
from schemas.topics import LARGEST_RECORD_BYTES

_LOG: Final = LogId("dead-letters")

SendAgain = Callable[[Sequence[Letter]], Awaitable[None]]
"""Sends the originals to their topics; durable when it returns."""

FindOriginal = Callable[[Letter], Awaitable[InboundRecord | None]]
"""The whole record that a truncated letter is of, from the change journal; None where it was pruned."""


async def find_in_journal(journal: SqliteChangeJournal, letter: Letter) -> InboundRecord | None:
    """The record of the letter's place that is its original: the embedded broker counts anew with every start."""
    record = letter.original
    async for slice_ in journal.read(topic=record.topic, partition=record.partition, since_ms=record.timestamp_ms):
        for found in slice_.records:
            same_place = (found.offset, found.timestamp_ms) == (record.offset, record.timestamp_ms)
            if same_place and letter.truncated is not None and letter.truncated.fits(found):
                return found
    return None


async def _nothing_kept(letter: Letter) -> InboundRecord | None:
    del letter
    return None


class DeadLetterFile:
    """An append-only file of dead letters and markers, with offsets of its own. Usable from any event loop."""

    def __init__(self, journal: SqliteChangeJournal, topic: str, *, clock: Clock, next_offset: int) -> None:
        self._journal = journal
        self._topic = topic
        self._clock = clock
        self._next = next_offset
        self._counting = threading.Lock()

    @classmethod
    async def open(cls, path: Path, topic: str, *, clock: Clock) -> Self:
        """Open or create the file."""
        journal = SqliteChangeJournal.open(path)
        offsets = [record.offset async for slice_ in journal.read() for record in slice_.records[-1:]]
        return cls(journal, topic, clock=clock, next_offset=max(offsets, default=-1) + 1)

    async def append(self, rows: Sequence[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]) -> None:
        """Keep rows of key, value and headers; durable when it returns."""
        with self._counting:
            first, self._next = self._next, self._next + len(rows)
        now_ms = self._clock.now_us() // 1000
        await self._journal.append(
            _LOG,
            [
                InboundRecord(self._topic, 0, first + number, now_ms, key, value, tuple(headers))
                for number, (key, value, headers) in enumerate(rows)
            ],
        )

    async def records(self) -> AsyncIterator[Sequence[InboundRecord]]:
        """Everything, oldest first."""
        async for slice_ in self._journal.read():
            yield slice_.records

    async def close(self) -> None:
        """Close the file."""
        await self._journal.close()


class KeptDeadLetterSink:
    """A `DeadLetterSink` that keeps letters in the file before it passes them on."""

    def __init__(self, file: DeadLetterFile, onward: DeadLetterSink, *, clock: Clock) -> None:
        self._file = file
        self._onward = onward
        self._clock = clock

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Keep and pass on; durable when it returns."""
        now_us = self._clock.now_us()
        await self._file.append([letter_record(one, now_us=now_us, most=LARGEST_RECORD_BYTES) for one in letters])
        await self._onward.send(letters)


class FileDeadLetterStore:
    """The port `DeadLetterStore` on the file.

    A redrive is two effects here, the records into the log and then their markers: a crash in between leaves letters
    open whose records were taken in. Redriving those again changes nothing, for their events carry versions.
    """

    def __init__(
        self,
        file: DeadLetterFile,
        send_again: SendAgain,
        *,
        clock: Clock,
        find_original: FindOriginal = _nothing_kept,
    ) -> None:
        self._file = file
        self._send_again = send_again
        self._find_original = find_original
        self._clock = clock
        self._held = asyncio.Lock()

    def records(self) -> AsyncIterator[Sequence[InboundRecord]]:
        """Everything, oldest first."""
        return self._file.records()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """One operation at a time; the file has one process."""
        async with self._held:
            yield

    async def settle(self, letters: Sequence[Sequence[Letter]], settlement: Settlement) -> None:
        """Send again where redriven, then mark."""
        if settlement is Settlement.REDRIVEN:
            await self._send_again([together[0] for together in letters])
        now_us = self._clock.now_us()
        await self._file.append(
            [
                (letter.original.key, None, Marker(letter.id, settlement).headers(now_us))
                for together in letters
                for letter in together
            ]
        )

    async def original(self, letter: Letter) -> InboundRecord | None:
        """From wherever the whole records are kept."""
        return await self._find_original(letter)
