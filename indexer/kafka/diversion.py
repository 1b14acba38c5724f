"""Snapshot reads out of the live topics into the bulk topic, before anything is worked on.

A Debezium connector writes the rows that it reads from a table (`op: r`: a first snapshot, one by signal) into the same
topic as the changes. A million of them in a partition would keep every change behind them waiting. They need not: a read
carries its position in the source's history as a change does, so its place in ours does not matter. So it is moved to
the bulk topic at the cost of a copy, about a hundredth of what indexing it costs, and the live topic is free again.

It is recognised by its bytes. JSON escapes the quotes within values, so only a member can look like this; a row's own
column that does (`"snapshot": "..."`) costs its change the priority, never its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from indexer.records import InboundRecord
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from schemas.events.dead_letters import TAKEN_HEADER, first_taken_ms

log = structlog.get_logger(__name__)

DIVERTED_HEADER: Final = "ferroflux.diverted"
"""On a moved record: `topic/partition@offset` from where."""

_SNAPSHOT_READ: Final = re.compile(rb'"op":\s?"r"|"snapshot":\s?"(?:true|first|last|incremental)')


def is_snapshot_read(value: bytes | None) -> bool:
    """Whether a record is a row that a connector read from its table; MySQL's older connectors call it a create."""
    return value is not None and _SNAPSHOT_READ.search(value) is not None


class SnapshotDiversion:
    """Moves snapshot reads to the bulk topic. Called with a batch, returns what is left of it to be worked on now."""

    def __init__(self, writer: LogWriter, bulk_topic: str, *, due: Callable[[], bool] = lambda: True) -> None:
        """`due` says whether the moving is ours to do now: of several generations, the live one does it for all."""
        self._writer = writer
        self._bulk_topic = bulk_topic
        self._due = due

    async def __call__(self, records: Sequence[InboundRecord]) -> Sequence[InboundRecord]:
        """Copy the snapshot reads among `records`; durable when it returns, so that the batch may be committed.

        One that the bulk topic never takes (it is too large for it) is worked on where it is, late as it may be.

        Raises:
            LogUnavailableError: the log did not take them all; moving them again is safe.
        """
        moved = [record for record in records if self._belongs_elsewhere(record)]
        if not moved or not self._due():
            return records
        refusals = await self._writer.append_each(
            self._bulk_topic,
            [OutboundRecord(record.key, record.value, _moved_headers(record)) for record in moved],
        )
        gone = {record.coordinates for record, refusal in zip(moved, refusals, strict=True) if refusal is None}
        if len(gone) < len(moved):
            reason = next(str(refusal) for refusal in refusals if refusal is not None)
            log.warning("snapshot reads stay in the live topic", records=len(moved) - len(gone), reason=reason)
        return [record for record in records if record.coordinates not in gone]

    def _belongs_elsewhere(self, record: InboundRecord) -> bool:
        return record.topic != self._bulk_topic and is_snapshot_read(record.value)


def _moved_headers(record: InboundRecord) -> list[tuple[str, bytes | None]]:
    """The record's own, where it is from, and when its log took it: the copy is judged by the same time."""
    headers = [*record.headers, (DIVERTED_HEADER, record.coordinates.encode())]
    if record.by_log and first_taken_ms(record.headers) is None:
        headers.append((TAKEN_HEADER, str(record.timestamp_ms).encode()))
    return headers
