"""Dead letters of what a replica set apart: told once in their topic, beside the work, so that a topic that is away holds up nothing.

A letter's coordinates, time and attempt are the record's own, so the letters of ten replicas are one for the operator. While
the record is at hand its letter holds it, else it names it: by its place, digest and size, by which a redrive finds it.

What was sent is told to the owner, who commits it; until then the ledger keeps it, over a restart too. A letter may so be
sent twice, and never not at all; the operator's list takes both for one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from query_api.replica.tailing.log import LogRecord
from retrieval.text.apart.values import Apart, Place
from runtime.clock import Clock
from runtime.retry import Backoff
from schemas.errors import RetryableError
from schemas.events.dead_letters import (
    DIGEST_HEADER,
    SIZE_HEADER,
    TRUNCATED_HEADER,
    LetterRecord,
    fitting_letter,
    own_headers,
    tenant_named,
)


@dataclass(frozen=True, slots=True)
class ReplicaLetter:
    """A letter before it is known how large its topic lets it be."""

    apart: Apart
    record: LogRecord | None
    ours: Mapping[str, str]

    def fitting(self, most: int) -> LetterRecord:
        """As a record of at most `most` bytes."""
        record, place = self.record, self.apart.place
        if record is not None:
            return fitting_letter(record.key, record.value, record.headers, self.ours, most=most)
        named = {TRUNCATED_HEADER: "value,headers", DIGEST_HEADER: place.digest, SIZE_HEADER: str(place.size)}
        headers = [(name, text.encode()) for name, text in {**self.ours, **named}.items()]
        return LetterRecord(self.apart.key.encode(), b"", [*headers])


def letter_of(apart: Apart, record: LogRecord | None, *, topic: str, now_us: int) -> ReplicaLetter:
    """The letter of what was set apart from a topic."""
    place = apart.place
    ours = own_headers(
        reason=apart.flaw.value,
        detail=apart.sentence,
        topic=topic,
        partition=place.partition,
        offset=place.offset,
        timestamp_ms=place.timestamp_ms,
        attempt=place.attempt,
        tenant=tenant_named(apart.key),
        now_us=now_us,
    )
    return ReplicaLetter(apart, record, ours)


log = structlog.get_logger(__name__)

_AT_ONCE: Final = 100
_MOST_HELD_BYTES: Final = 32 * 1024 * 1024
"""Of records that wait for their letters; beyond it a letter names its record and does not hold it."""


class LetterBox(Protocol):
    """The way to the dead letters."""

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        """Append letters, each in a form that fits; durable when it returns.

        Raises:
            FerrofluxError: not all were taken; sending them again is safe.
        """
        ...


class LetterDispatch:
    """One sender; `turn` is called again and again from the owner's loop and never waits."""

    def __init__(
        self,
        box: LetterBox | None,
        *,
        topic: str,
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        """Without a box nothing is sent, and what is set apart stays untold."""
        self._box = box
        self._topic = topic
        self._clock = clock
        self._backoff = backoff
        self._records: dict[Place, LogRecord] = {}
        self._held_bytes = 0
        self._sending: asyncio.Task[bool] | None = None
        self._sent: tuple[Place, ...] = ()
        self._not_before = 0.0
        self.trouble = ""
        """Why letters wait; empty while they do not."""

    def hold(self, apart: Iterable[Apart], records: Mapping[Place, LogRecord]) -> None:
        """Keep the records of what was set apart for their letters."""
        for one in apart:
            record = records.get(one.place)
            if record is not None and self._held_bytes + one.place.size <= _MOST_HELD_BYTES:
                self._records[one.place] = record
                self._held_bytes += one.place.size

    def turn(self, untold: Sequence[Apart]) -> tuple[Place, ...]:
        """Send what is untold where it is time; returns the places whose letters were sent since the last turn."""
        told: tuple[Place, ...] = ()
        if self._sending is not None:
            if not self._sending.done():
                return ()
            told = self._sent if self._sending.result() else ()
            self._sending = None
            for place in told:
                if self._records.pop(place, None) is not None:
                    self._held_bytes -= place.size
        waiting = [apart for apart in untold if apart.place not in told][:_AT_ONCE]
        if self._box is not None and waiting and self._clock.monotonic() >= self._not_before:
            now_us = self._clock.now_us()
            letters = [
                letter_of(one, self._records.get(one.place), topic=self._topic, now_us=now_us) for one in waiting
            ]
            self._sent = tuple(one.place for one in waiting)
            self._sending = asyncio.create_task(self._send(self._box, letters), name="replica-letters")
        return told

    async def close(self) -> None:
        """Give up what is on its way: the ledger still has it."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def _send(self, box: LetterBox, letters: Sequence[ReplicaLetter]) -> bool:
        try:
            await box.send(letters)
        except Exception as error:  # noqa: BLE001 - shown in readiness and tried again, whatever it is
            # Whatever it is, the replica goes on: readiness says that letters wait, and why.
            seconds = self._backoff.next()
            self._not_before = self._clock.monotonic() + seconds
            # It is read by everybody who may ask for readiness: a dependency's own words may name a host.
            self.trouble = str(type(error)()) if isinstance(error, RetryableError) else str(error) or repr(error)
            log.warning("dead letters wait", letters=len(letters), error=repr(error), again_in_s=round(seconds, 1))
            return False
        self._backoff.reset()
        self.trouble = ""
        log.info("dead letters sent", letters=len(letters))
        return True
