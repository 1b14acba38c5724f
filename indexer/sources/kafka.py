"""The history of sources in Kafka: a control topic whose entries are never replaced.

An entry holds from `HOLDS_AFTER_MS` after the log time of its own record, by the clock that stamps the changes, too. Its
transaction is open for five seconds at most, and a follower says how old its knowledge is, so nobody decides without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from indexer.sources.live import LiveSources
from indexer.sources.port import Decide
from runtime.clock import SYSTEM_CLOCK
from runtime.kafka.control_topic import ControlRecord, ControlTopic, ControlTopicKind, Heard
from schemas.errors import InvalidEventError
from schemas.product.sources import HOLDS_AFTER_MS, SourceEntry, SourceHistory
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_KIND: Final = ControlTopicKind(
    name="sources",
    configuration={"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"},
    transaction_ms=5_000,
    # An entry decides which changes are refused, for good: without one that may have been committed nobody decides. The
    # brokers end an open transaction within its five seconds and the ten between two looks of theirs.
    read_within_s=15.0,
    open_is_uncommitted=False,
)


class KafkaSourceStore:
    """The port `SourceStore` on `kafka.topics.sources`, which the first entry creates where it is absent."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._control = ControlTopic(settings, settings.topics.sources, _KIND, _keep_first)

    async def entries(self) -> Sequence[SourceEntry]:
        """All entries; none where there is no topic."""
        return tuple((await self._control.read()).values())

    async def add(self, decide: Decide) -> SourceEntry:
        """Fence the others off, read, decide, write; an addition that another fenced off is tried again."""

        def added(entries: Mapping[str, SourceEntry]) -> Mapping[str, bytes]:
            now_ms = SYSTEM_CLOCK.now_us() // 1_000
            entry = decide(SourceHistory(entries.values()), now_ms + HOLDS_AFTER_MS)
            return {entry.key: entry.to_bytes()}

        _, (written,) = await self._control.change(added)
        return _entry_of(written)

    async def follow(self, live: LiveSources) -> None:
        """Tell `live` for ever; a log that is away, or a topic that is not there yet, is waited for."""

        async def hear(heard: Heard[SourceEntry]) -> None:
            if heard.age_s is not None:
                live.hear(heard.state.values(), age_s=heard.age_s)

        await self._control.follow(hear)


def _keep_first(entries: dict[str, SourceEntry], record: ControlRecord) -> None:
    """What was written first stands: a record of the same key would change what was decided by it."""
    try:
        entry = _entry_of(record)
    except InvalidEventError as error:
        log.warning("record of the history of sources is left out", offset=record.offset, reason=str(error))
    else:
        entries.setdefault(entry.key, entry)


def _entry_of(record: ControlRecord) -> SourceEntry:
    """The entry with the time from which it holds: the log's, where the topic says it."""
    entry = SourceEntry.from_bytes(record.value or b"")
    return replace(entry, since_ms=record.timestamp_ms + HOLDS_AFTER_MS) if record.by_log else entry
