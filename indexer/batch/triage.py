"""The first look at a batch: each record is parsed by itself, so that one bad record costs one dead letter and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from indexer.batch.plan import Arrival
from indexer.records import ATTEMPT_HEADER, DeadLetter, InboundRecord
from schemas.errors import PoisonError
from schemas.events.outcome import Changes
from schemas.events.parser import EventParser
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)

UNEXPECTED: Final = "unexpected"
"""Reason of a dead letter that a defect of ours caused: the stream goes on, and the record can be redriven after the fix."""

_LONGEST_DETAIL: Final = 1000


class RecordTooLargeError(PoisonError):
    """The record is larger than an indexed change may be. Send long texts shortened; images belong behind a URL."""

    code = "record_too_large"


@dataclass(slots=True)
class Triage:
    """A batch after the first look: the changes in it, the records to bury, and how many were none of our business."""

    arrivals: list[Arrival] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    ignored: int = 0


def triage(
    records: Sequence[InboundRecord], parser: EventParser, *, max_record_bytes: int, bulk_topic: str = ""
) -> Triage:
    """Parse every record by itself; those of `bulk_topic` are marked as backfill. Never raises for what a record holds."""
    result = Triage()
    for record in records:
        try:
            _sort(record, parser, result, max_record_bytes, backfill=record.topic == bulk_topic)
        except PoisonError as error:
            result.letters.append(dead_letter(record, error))
        except Exception as error:
            log.exception("record could not be parsed", coordinates=record.coordinates)
            result.letters.append(dead_letter(record, error))
    return result


def dead_letter(record: InboundRecord, error: Exception, key: SkuKey | None = None) -> DeadLetter:
    """Bury one record: the reason's code, a sentence for the operator, and how often it has been tried by now."""
    reason = error.code if isinstance(error, PoisonError) else UNEXPECTED
    detail = str(error) if isinstance(error, PoisonError) else repr(error)
    return DeadLetter(
        record=record,
        reason=reason,
        detail=detail[:_LONGEST_DETAIL],
        tenant=_tenant(record, key),
        attempt=previous_attempts(record) + 1,
    )


def previous_attempts(record: InboundRecord) -> int:
    """How often a redriven record had been tried before, as its header says; 0 for one that comes fresh from its source."""
    for name, value in record.headers:
        if name == ATTEMPT_HEADER and value is not None and value.isdigit():
            return min(int(value[:9]), 1_000_000)
    return 0


def _sort(record: InboundRecord, parser: EventParser, result: Triage, max_record_bytes: int, *, backfill: bool) -> None:
    size = len(record.value or b"")
    if size > max_record_bytes:
        raise RecordTooLargeError(f"the record has {size} bytes, more than the {max_record_bytes} that are accepted")
    parsed = parser.parse(record.key, record.value)
    if not isinstance(parsed, Changes):
        result.ignored += 1
        return
    result.arrivals.extend(Arrival(event, record, backfill) for event in parsed.events)


def _tenant(record: InboundRecord, key: SkuKey | None) -> str:
    """The tenant for the operator's filter: known, or guessed from the record's key where that reads `tenant/sku`."""
    if key is not None:
        return key.tenant
    raw = (record.key or b"").decode("utf-8", errors="replace")
    try:
        return SkuKey.parse(raw).tenant
    except PoisonError:
        return ""
