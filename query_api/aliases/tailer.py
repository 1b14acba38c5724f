"""The alias tailer: one loop from the topic `catalog.aliases` into the alias file. Runs beside the replica's tailer.

The topic is compacted and small: every start reads it from its beginning, over what the file holds already, and versions
decide; so a log that lost its past (a broker that was replaced) takes nothing away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from query_api.replica.log.port import DocumentLog, LogRecord
from retrieval.aliases.file import AliasFile
from retrieval.aliases.live import LiveAliases
from runtime.backoff import Backoff
from schemas.aliases import AliasRecord
from schemas.errors import InvalidEventError, RetryableError

log = structlog.get_logger(__name__)


class AliasTailer:
    """Follows one log into one file; `run` is the whole life."""

    def __init__(self, file: AliasFile, open_log: Callable[[], DocumentLog], *, backoff: Backoff) -> None:
        self._file = file
        self._open_log = open_log
        self._backoff = backoff
        self._entries = LiveAliases()

    async def run(self) -> None:
        """Follow the log until cancelled; a log that is away, or a topic that is not there yet, is waited for."""
        held = await asyncio.to_thread(self._file.read)
        self._entries.apply({record.key: record for record in held})
        while True:
            try:
                await self._follow()
            except RetryableError as error:
                seconds = self._backoff.next()
                log.warning("the alias log is away", error=str(error), code=error.code, again_in_s=round(seconds, 2))
                await asyncio.sleep(seconds)

    async def _follow(self) -> None:
        alias_log = self._open_log()
        try:
            view = await alias_log.open()
            alias_log.follow({partition: bounds.begin for partition, bounds in view.bounds.items()})
            self._backoff.reset()
            log.info("aliases are followed", log_id=view.log_id, entries=len(self._entries.records()))
            while True:
                polled = await alias_log.poll()
                changed = self._entries.apply(decode(polled.records)) if polled.records else 0
                if changed:
                    await asyncio.to_thread(self._file.write, self._entries.records())
                    log.info("aliases changed", changed=changed, entries=len(self._entries.records()))
        finally:
            await alias_log.close()


def decode(records: Iterable[LogRecord]) -> dict[str, AliasRecord | None]:
    """The newest entry of each key, None for one that was forgotten; a record that is no entry is logged and passed."""
    newest: dict[str, AliasRecord | None] = {}
    for record in records:
        if record.key is None:
            continue
        name = record.key.decode("utf-8", errors="replace")
        try:
            newest[name] = None if record.value is None else AliasRecord.from_record(record.key, record.value)
        except InvalidEventError as error:
            log.warning(
                "record of the alias topic is no entry",
                partition=record.partition,
                offset=record.offset,
                reason=str(error),
            )
    return newest
