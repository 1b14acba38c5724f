"""The alias tailer: one loop from the topic `catalog.aliases` into the alias file. Runs beside the replica's tailer.

The topic is compacted and small: every start reads it from its beginning, over what the file holds already, and versions
decide; so a log that lost its past (a broker that was replaced) takes nothing away.

A record that is no entry, or an entry that cannot be compiled, stops no other: it is set apart, told in the dead letters, and
tried again with every start. What is set apart lies in a file of its own, so that a restart does not tell it twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from query_api.replica.tailing.decode import place_of
from query_api.replica.tailing.letters import LetterBox, LetterDispatch
from query_api.replica.tailing.log import DocumentLog, LogRecord
from retrieval.aliases.file import AliasFile
from retrieval.aliases.live import LiveAliases, require_usable
from retrieval.text.apart.ledger import Ledger
from retrieval.text.apart.values import Apart, Flaw, LogNotes
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.files import atomic_write
from runtime.isolation import Batch, Isolation
from runtime.retry import Backoff, retry
from schemas.errors import InvalidEventError
from schemas.records.aliases import AliasRecord

log = structlog.get_logger(__name__)

APART_FILE: Final = "aliases-set-apart.json"


class AliasTailer:
    """Follows one log into one file; `run` is the whole life."""

    def __init__(
        self,
        file: AliasFile,
        open_log: Callable[[], DocumentLog],
        *,
        backoff: Backoff,
        topic: str = "",
        letters: LetterBox | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`topic` and `letters`: where dead letters say that a record is from, and where they go; None sends none."""
        self._file = file
        self._open_log = open_log
        self._backoff = backoff
        self._clock = clock
        self._entries = LiveAliases()
        self._apart = _LedgerFile(file.folder / APART_FILE)
        self._isolation = Isolation("read alias entries")
        self._letters = LetterDispatch(letters, topic=topic, clock=clock, backoff=Backoff(backoff.policy, backoff.rng))

    @property
    def degraded(self) -> dict[str, str]:
        """What is not as it should be although the aliases are followed, by part, as a sentence."""
        found = {}
        if amiss := self._apart.ledger.malformed():
            found["aliases"] = f"{amiss} {Flaw.UNUSABLE_ALIAS}; `ferroflux dlq list` shows them"
        if self._letters.trouble:
            found["dead letters of aliases"] = self._letters.trouble
        return found

    async def run(self) -> None:
        """Follow the log until cancelled; a log that is away, or a topic that is not there yet, is waited for.

        Raises:
            DefectError: too many entries showed a defect of ours; the file was left as it is.
        """
        held = await asyncio.to_thread(self._file.read)
        await asyncio.to_thread(self._apart.read)
        self._entries.apply({record.key: record for record in held})
        try:
            await retry(self._follow, "the alias log is away", backoff=self._backoff)
        finally:
            await self._letters.close()

    async def _follow(self) -> None:
        alias_log = self._open_log()
        try:
            view = await alias_log.open()
            alias_log.follow({partition: bounds.begin for partition, bounds in view.bounds.items()})
            self._backoff.reset()
            log.info("aliases are followed", log_id=view.log_id, entries=len(self._entries.records()))
            while True:
                polled = await alias_log.poll()
                if polled.records:
                    await self._apply(polled.records)
                told = self._letters.turn(self._apart.ledger.untold)
                if told:
                    await self._note(LogNotes(self._clock.now_us(), told=frozenset(told)), {})
        finally:
            await alias_log.close()

    async def _apply(self, records: Iterable[LogRecord]) -> None:
        now_us = self._clock.now_us()
        decoded = decode(records, isolation=self._isolation, now_us=now_us)
        if self._entries.apply(decoded.changes):
            await asyncio.to_thread(self._file.write, self._entries.records())
            log.info("aliases changed", entries=len(self._entries.records()))
        self._letters.hold(decoded.apart, {place_of(record): record for record in records})
        unusable = {one.key for one in decoded.apart if not one.settled}
        mended: dict[str, Apart | None] = {key: None for key in decoded.changes if key not in unusable}
        await self._note(LogNotes(now_us, malformed=decoded.apart), mended)

    async def _note(self, notes: LogNotes, mended: dict[str, Apart | None]) -> None:
        ledger = self._apart.ledger.after(notes, written=mended, removed=())
        if ledger != self._apart.ledger:
            await asyncio.to_thread(self._apart.write, ledger)


@dataclass(frozen=True, slots=True)
class DecodedAliases:
    """The newest entry of each key, None for one that was forgotten, and what was set apart."""

    changes: dict[str, AliasRecord | None]
    apart: tuple[Apart, ...] = ()


def decode(records: Iterable[LogRecord], *, isolation: Isolation | None = None, now_us: int = 0) -> DecodedAliases:
    """Read records in their order.

    What is no entry says nothing of its key, so what is held of it stays. An entry that cannot be compiled takes the place of
    the one before all the same: that one is not what the operator wants any more.

    Raises:
        DefectError: too many of them showed a defect of ours.
    """
    taken = list(records)
    batch: Batch[LogRecord] = (isolation or Isolation("read alias entries")).batch(len(taken))
    newest: dict[str, AliasRecord | None] = {}
    good_at: dict[str, int] = {}
    numbers = {id(record): number for number, record in enumerate(taken)}
    for number, record in enumerate(taken):
        with batch.one(record, name=str(place_of(record))):
            if record.key is None:
                raise InvalidEventError("the record has no key")
            name = record.key.decode("utf-8", errors="replace")
            entry = None if record.value is None else AliasRecord.from_record(record.key, record.value)
            newest[name] = None
            if entry is not None:
                require_usable(entry)
                newest[name] = entry
            good_at[name] = number
    apart = []
    for one in batch.set_apart:
        key = (one.thing.key or b"").decode("utf-8", errors="replace")
        settled = good_at.get(key, -1) > numbers[id(one.thing)]
        found = Apart(
            Flaw.UNUSABLE_ALIAS, place_of(one.thing), key, one.reason.code, one.reason.detail, since_us=now_us
        )
        apart.append(replace(found, settled=settled))
    return DecodedAliases(newest, tuple(apart))


class _LedgerFile:
    """The ledger of aliases beside their file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ledger = Ledger()

    def read(self) -> None:
        """Load it; one that is torn, or not there, begins anew: what is still amiss is found again."""
        with suppress(FileNotFoundError, ValueError, LookupError, TypeError):
            self.ledger = Ledger.from_json(self._path.read_bytes())

    def write(self, ledger: Ledger) -> None:
        """Replace it, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._path, ledger.to_json(), durable=False)
        self.ledger = ledger
