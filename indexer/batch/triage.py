"""The first look at a batch: each record is parsed by itself, so that one bad record costs one dead letter and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from indexer.batch.plan import Arrival
from indexer.records import DeadLetter, InboundRecord, taken_ms
from runtime.isolation import Batch, Isolation, Reason
from schemas.errors import RecordTooLargeError
from schemas.events.admission import Changes
from schemas.events.dead_letters import previous_attempts, tenant_named
from schemas.events.parser import EventParser
from schemas.identity import SkuKey


@dataclass(slots=True)
class Triage:
    """A batch after the first look: the changes in it, the dead letters, and how many records were none of our business."""

    arrivals: list[Arrival] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    ignored: int = 0


def triage(
    records: Sequence[InboundRecord],
    parser: EventParser,
    *,
    max_record_bytes: int,
    isolation: Isolation,
    now_us: int,
    bulk_topic: str = "",
) -> Triage:
    """Parse every record by itself; those of `bulk_topic` are marked as backfill.

    `now_us` counts only for records whose log does not say when it took them.

    Raises:
        DefectError: too many records showed a defect of ours.
    """
    result = Triage()
    batch: Batch[InboundRecord] = isolation.batch(len(records))
    for record in records:
        with batch.one(record, name=record.coordinates):
            taken = taken_ms(record, now_us // 1_000)
            _sort(record, parser, result, max_record_bytes, taken, backfill=record.topic == bulk_topic)
    result.letters = [dead_letter(each.thing, each.reason) for each in batch.set_apart]
    return result


def dead_letter(
    record: InboundRecord, reason: Reason, key: SkuKey | None = None, *, stage: str = "parse"
) -> DeadLetter:
    """The letter of one record: the reason's code, a sentence for the operator, and how often it has been tried by now."""
    return DeadLetter(
        record=record,
        reason=reason.code,
        detail=reason.detail,
        tenant=tenant_named((record.key or b"").decode("utf-8", errors="replace")) if key is None else key.tenant,
        attempt=previous_attempts(record.headers) + 1,
        stage=stage,
    )


def _sort(
    record: InboundRecord, parser: EventParser, result: Triage, max_record_bytes: int, taken: int, *, backfill: bool
) -> None:
    size = len(record.value or b"")
    if size > max_record_bytes:
        raise RecordTooLargeError(f"the record has {size} bytes, more than the {max_record_bytes} that are accepted")
    parsed = parser.parse(record.key, record.value, taken_ms=taken)
    if not isinstance(parsed, Changes):
        result.ignored += 1
        return
    result.arrivals.extend(Arrival(event, record, backfill) for event in parsed.events)
