"""Alias entries from a file or a decision to the topic `catalog.aliases`."""

from __future__ import annotations

from typing import Any, Final

from ferroflux.ingest.convert import EncodedEvent
from ferroflux.ingest.targets import KafkaTarget
from retrieval.aliases.shipped import read_table
from runtime.clock import SYSTEM_CLOCK
from schemas.records.aliases import AliasRecord, AliasStatus
from schemas.topics import KafkaSettings

_OWN: Final = "own:"


def imported(table: Any, tenant: str) -> list[AliasRecord]:
    """The entries of a table in the shipped format as a tenant's own. The version is the time, so a later import wins.

    Their ids begin with `own:`, so that a group adds to the shared one of the same first term and never takes its place.

    Raises:
        ConfigurationError: the table has an unknown section or a wrong entry.
    """
    version = _now_ms()
    return [
        record.model_copy(update={"tenant": tenant, "id": f"{_OWN}{record.id}", "version": version, "source": "import"})
        for record in read_table(table)
    ]


def approved(record: AliasRecord, tenant: str, status: AliasStatus) -> AliasRecord:
    """The next version of an entry with this status; of a shared entry, the tenant's own version of it."""
    version = max(record.version + 1, _now_ms())
    return record.model_copy(update={"tenant": tenant, "status": status, "version": version})


def proposed(record: AliasRecord) -> AliasRecord:
    """The entry as a proposal, newer than what is there."""
    return record.model_copy(update={"status": AliasStatus.PROPOSED, "version": _now_ms()})


class KafkaAliasPublisher:
    """Sends entries to the topic of these settings."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def publish(self, records: list[AliasRecord]) -> None:
        """Send entries; when it returns they are in the log.

        Raises:
            LogUnavailableError: the broker did not take them.
        """
        async with KafkaTarget(self._kafka, self._kafka.topics.aliases) as target:
            await target.send([EncodedEvent(record.key.encode(), record.to_bytes()) for record in records])


def _now_ms() -> int:
    return SYSTEM_CLOCK.now_us() // 1_000
