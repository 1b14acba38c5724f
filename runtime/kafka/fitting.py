"""Records whose size is ours to choose, each in a form that its topic takes; dead letters are of that kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from runtime.kafka.log_writer import LogWriter, OutboundRecord, record_bytes
from schemas.errors import ConfigurationError, PoisonError, RecordTooLargeError
from schemas.events.dead_letters import LetterRecord
from schemas.topics import SMALLEST_RECORD_BYTES

T = TypeVar("T")


async def append_fitting(
    writer: LogWriter,
    topic: str,
    things: Sequence[T],
    fit: Callable[[T, int], OutboundRecord],
    *,
    smaller_after: type[PoisonError] = RecordTooLargeError,
) -> list[PoisonError | None]:
    """Append each thing as `fit` makes it of at most so many bytes; what is refused with `smaller_after` is made smaller.

    A topic may take less than it says, or say nothing. The answer has, for each thing, None where it went, or why the
    topic takes it in no form.

    Raises:
        LogUnavailableError: not all were confirmed or refused; some may be in the log.
        ConfigurationError: we may not write to the topic.
    """
    final: list[PoisonError | None] = [None] * len(things)
    pending, most = list(range(len(things))), writer.limit(topic)
    while pending:
        records = [fit(things[number], most) for number in pending]
        refusals = await writer.append_each(topic, records)
        again: list[tuple[int, OutboundRecord]] = []
        for number, record, refusal in zip(pending, records, refusals, strict=True):
            if isinstance(refusal, smaller_after) and most > SMALLEST_RECORD_BYTES:
                again.append((number, record))
            else:
                final[number] = refusal
        if again:
            sizes = (record_bytes(record) for _, record in again)
            most = max(SMALLEST_RECORD_BYTES, min(most, *sizes) // 2)
        pending = [number for number, _ in again]
    return final


async def append_letters(
    writer: LogWriter, topic: str, letters: Sequence[T], fit: Callable[[T, int], LetterRecord]
) -> None:
    """Append dead letters, each in a form that the topic takes; durable when it returns.

    Raises:
        LogUnavailableError: not all were confirmed.
        ConfigurationError: we may not write to the topic, or it takes not even the smallest form of a letter.
    """
    # Whatever of an original a topic refuses (a header, say), the smallest form no longer has it.
    refusals = await append_fitting(
        writer, topic, letters, lambda letter, most: OutboundRecord(*fit(letter, most)), smaller_after=PoisonError
    )
    for refusal in refusals:
        if refusal is not None:
            raise ConfigurationError(
                f"topic {topic} takes no dead letter: {refusal}; correct the topic's configuration"
            )
