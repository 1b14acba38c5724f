"""The records of the generations in Kafka: a control topic whose newest record of a key stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from retrieval.generations.transitions import Transition
from retrieval.generations.view import GenerationView, Records, is_report, report_record, view_of
from runtime.kafka.control_topic import ControlRecord, ControlTopic, ControlTopicKind, Heard
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from schemas.records.generations import ReplicaReport
from schemas.topics import LARGEST_RECORD_BYTES, KafkaSettings

OnRecords = Callable[[Records], Awaitable[None]]
"""Gets the records of the generations, reports left out: once at first, then whenever one changed."""

_KIND: Final = ControlTopicKind(
    name="generations",
    configuration={
        "cleanup.policy": "compact",
        # Every replica reports every few seconds: short segments and an eager cleaner keep the topic at some kilobytes.
        "segment.ms": "600000",
        "min.cleanable.dirty.ratio": "0.1",
        "max.message.bytes": str(LARGEST_RECORD_BYTES),
    },
    transaction_ms=60_000,
    # Every worker reads the topic at its start, and an operator who died must not keep it from that for a minute. Nothing
    # is decided wrongly: whoever commits has ended the open transactions before it reads.
    read_within_s=5.0,
    open_is_uncommitted=True,
)


class KafkaGenerationStore:
    """The port `GenerationStore` on `kafka.topics.generations`, which the first commit creates where it is absent."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic = settings.topics.generations
        self._control = ControlTopic(settings, self._topic, _KIND, _keep_newest)
        self._reports = LogWriter(settings)

    async def records(self) -> Records:
        """The newest value of every key; none where there is no topic."""
        return await self._control.read()

    async def commit(self, transition: Transition) -> GenerationView:
        """Fence the others off, read, decide, write; a step that another fenced off is taken again."""
        records, _ = await self._control.change(lambda records: transition(view_of(records)))
        return view_of(records)

    async def report(self, report: ReplicaReport) -> None:
        """Append a report; nothing is decided on it alone, so it needs no fence."""
        key, value = report_record(report)
        await self._reports.append_to(self._topic, 0, [OutboundRecord(key.encode(), value, [])])

    async def follow(self, on_records: OnRecords) -> None:
        """Call `on_records` for ever; a log that is away, or a topic that is not there yet, is waited for.

        The call for a topic that is absent says that there is no record: it is the answer of a system without generations.
        """
        told: Records | None = None

        async def hear(heard: Heard[bytes]) -> None:
            nonlocal told
            if heard.absent and told is not None:
                return
            decisive = {key: value for key, value in heard.state.items() if not is_report(key)}
            if decisive != told:
                told = decisive
                await on_records(told)

        await self._control.follow(hear)

    async def close(self) -> None:
        """Let go of the connection that reports went by."""
        await self._reports.stop()


def _keep_newest(records: dict[str, bytes], record: ControlRecord) -> None:
    if record.value is None:
        records.pop(record.key, None)
    else:
        records[record.key] = record.value
