"""What operators do with dead letters: see what is open, and settle it once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from indexer.deadletters.letter import DeadLetterStore, Letter, LetterId, Marker, Settlement, copies, read_record
from schemas.errors import NotFoundError, PoisonError

log = structlog.get_logger(__name__)

DEFAULT_CEILING: Final = 5
"""Tries after which a record is not redriven any more unless the operator raises the ceiling."""
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant; everything that is set must hold. Times are of the letter, microseconds since 1970."""

    reason: str = ""
    tenant: str = ""
    since_us: int = 0
    until_us: int = 2**63
    ids: frozenset[LetterId] = field(default_factory=frozenset)

    def matches(self, letter: Letter) -> bool:
        """Whether the letter is meant."""
        return (
            self.reason in ("", letter.reason)
            and self.tenant in ("", letter.tenant)
            and self.since_us <= letter.time_us < self.until_us
            and (not self.ids or letter.id in self.ids)
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """What a redrive or a discard did: letters `settled`, and those left open, with the reason.

    `at_ceiling` were tried too often. Of `gone`, the letter holds the beginning only, and the topic no longer holds the
    original. What is `refused`, its topic does not take.
    """

    settled: int
    at_ceiling: int = 0
    gone: tuple[LetterId, ...] = ()
    refused: tuple[LetterId, ...] = ()


class DeadLetterService:
    """Lists, redrives and discards. A letter is settled once: whoever comes second finds it settled."""

    def __init__(self, store: DeadLetterStore) -> None:
        self._store = store

    async def open_letters(self, which: LetterFilter) -> list[Letter]:
        """Letters that nobody has settled, oldest first; copies of one failure count once."""
        return [together[0] for together in await self._open(which)]

    async def letter(self, letter_id: LetterId) -> Letter:
        """One letter, settled or not.

        Raises:
            NotFoundError: the topic does not hold it (any more).
        """
        async for records in self._store.records():
            for record in records:
                if (record.partition, record.offset) == (letter_id.partition, letter_id.offset):
                    found = read_record(record)
                    if isinstance(found, Letter):
                        return found
        raise no_such_letter(letter_id)

    async def redrive(self, which: LetterFilter, *, ceiling: int = DEFAULT_CEILING) -> Settled:
        """Send the records of open letters to their topics again, each once, with its attempt count.

        A record that fails again becomes a new letter with a higher count; one tried `ceiling` times is left alone. Of a
        truncated letter the original is read where it stood, and left where it is not there any more.
        """
        async with self._store.alone():
            found = await self._open(which)
            due = [together for together in found if together[0].attempt < ceiling]
            whole = [together for together in due if together[0].truncated is None]
            refused = await self._settle(whole, Settlement.REDRIVEN)
            gone: list[LetterId] = []
            for together in due:
                if together[0].truncated is None:
                    continue
                restored = await self._restored(together[0])
                if restored is None:
                    gone.append(together[0].id)
                else:
                    # One at a time: each of them may be as large as a record can be.
                    refused += await self._settle([[restored, *together[1:]]], Settlement.REDRIVEN)
        settled = len(due) - len(gone) - len(refused)
        return Settled(settled, len(found) - len(due), tuple(gone), tuple(refused))

    async def discard(self, which: LetterFilter) -> Settled:
        """Mark open letters as done with; their records stay in the topic until its retention ends."""
        async with self._store.alone():
            found = await self._open(which)
            await self._settle(found, Settlement.DISCARDED)
        return Settled(len(found))

    async def _open(self, which: LetterFilter) -> list[list[Letter]]:
        letters: list[Letter] = []
        settled: set[LetterId] = set()
        async for records in self._store.records():
            for record in records:
                found = read_record(record)
                if isinstance(found, Marker):
                    settled.add(found.settles)
                elif found is not None:
                    letters.append(found)
        # A copy that was written after its twin was settled speaks of the same failure.
        together = [group for group in copies(letters).values() if not any(letter.id in settled for letter in group)]
        meant = [group for group in together if any(which.matches(letter) for letter in group)]
        return sorted(meant, key=lambda group: (group[0].time_us, group[0].id))

    async def _restored(self, letter: Letter) -> Letter | None:
        """A truncated letter with its original whole; None where that is gone, or something else stands in its place."""
        original = await self._store.original(letter)
        if original is None or letter.truncated is None or not letter.truncated.fits(original):
            return None
        return replace(letter, original=original)

    async def _settle(self, letters: Sequence[Sequence[Letter]], settlement: Settlement) -> list[LetterId]:
        """Settle letters with their copies; those that their topics refuse are left open and returned."""
        refused: list[LetterId] = []
        for start in range(0, len(letters), _AT_ONCE):
            part = letters[start : start + _AT_ONCE]
            try:
                await self._store.settle(part, settlement)
            except PoisonError as error:
                if len(part) == 1:
                    log.warning("dead letter cannot be sent again", letter=str(part[0][0].id), reason=str(error))
                    refused.append(part[0][0].id)
                    continue
                for together in part:
                    refused += await self._settle([together], settlement)
        log.info("dead letters settled", settlement=settlement.value, letters=len(letters) - len(refused))
        return refused


def no_such_letter(letter_id: LetterId) -> NotFoundError:
    """The answer to who asks for a letter that is not there, or is another tenant's: nobody learns which."""
    return NotFoundError(f"there is no dead letter {letter_id}; `ferroflux dlq list` shows those that are open")
