"""The topics at start: created where they are absent, checked where they are not.

The documents topic must be compacted: it is what replicas are built from, and one that deletes by age would lose
products that nobody changed for a week.

What a topic takes (`max.message.bytes`) is read, too: nothing larger is sent to it, so nothing has to wait for it. Where
it is less than what we create topics with, the start says what is done instead, and the command that mends it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import structlog

from indexer.records import LogId
from runtime.kafka.clients import AdminSession, answering
from runtime.kafka.topics import LARGEST, POLICY, TIMESTAMPS, create_topics, describe_topics, largest_records
from schemas.errors import ConfigurationError
from schemas.topics import LARGEST_RECORD_BYTES, SMALLEST_RECORD_BYTES

log = structlog.get_logger(__name__)

_DOCUMENTS_CONFIG: Final = {
    POLICY: "compact",
    # Half of a segment may be old revisions before the cleaner runs: a rebuilt replica reads at most twice the catalogue.
    "min.cleanable.dirty.ratio": "0.5",
    # The open segment is never compacted; rolling it every hour and at 64 MiB keeps that tail short.
    "segment.ms": "3600000",
    "segment.bytes": "67108864",
    # Null records (garbage-collected products) stay a week, so that a replica that slept less still sees them.
    "delete.retention.ms": "604800000",
    LARGEST: str(LARGEST_RECORD_BYTES),
}
_DEAD_LETTERS_CONFIG: Final = {
    POLICY: "delete",
    "retention.ms": "2592000000",
    LARGEST: str(LARGEST_RECORD_BYTES),
}
_CHANGES_CONFIG: Final = {
    POLICY: "delete",
    # Two weeks of replay.
    "retention.ms": "1209600000",
    # The brokers' time, not the producers': versions are judged by it, and again by the same when they are read again.
    TIMESTAMPS: "LogAppendTime",
    LARGEST: str(LARGEST_RECORD_BYTES),
}


class TopicAdmin(AdminSession):
    """Prepares the topics and reads the log's identity."""

    async def log_id(self) -> LogId:
        """The cluster's id.

        Raises:
            LogUnavailableError: the cluster did not answer.
        """
        with answering(self._settings):
            cluster = await self._client.describe_cluster()
        return LogId(str(cluster.get("cluster_id") or ""))

    async def ensure(self) -> list[str]:
        """Create what is absent and check what is there; returns the names of topics that were created.

        Raises:
            ConfigurationError: a topic is absent and `create_topics` is off, the cluster refuses to create one, the
                documents topic is not compacted, or a topic takes hardly anything.
            LogUnavailableError: the cluster did not answer.
        """
        names = self._settings.topics
        with answering(self._settings):
            wanted = dict.fromkeys(names.consumed, _CHANGES_CONFIG)
            wanted |= dict.fromkeys((names.documents, names.aliases), _DOCUMENTS_CONFIG)
            wanted |= {names.dead_letters: _DEAD_LETTERS_CONFIG}
            created = await create_topics(self._client, self._settings, wanted)
            described = await describe_topics(self._client, {*self._written, *names.consumed})
            if names.documents not in created:
                self._require_compaction(described.get(names.documents, {}))
            sizes = largest_records(described)
            self._check_sizes({name: sizes[name] for name in self._written if name in sizes}, created)
            self._check_times({name: described.get(name, {}) for name in names.consumed}, created)
        return created

    async def limits(self) -> dict[str, int]:
        """What each topic that we write to takes, in bytes; one whose configuration we may not read is left out.

        Raises:
            LogUnavailableError: the cluster did not answer.
        """
        with answering(self._settings):
            return largest_records(await describe_topics(self._client, self._written))

    @property
    def _written(self) -> tuple[str, ...]:
        names = self._settings.topics
        return (names.bulk, names.documents, names.aliases, names.dead_letters)

    def _check_sizes(self, limits: Mapping[str, int], created: Collection[str]) -> None:
        for name, limit in limits.items():
            if name in created or limit >= LARGEST_RECORD_BYTES:
                continue
            command = (
                f"kafka-configs.sh --bootstrap-server {self._settings.bootstrap} --alter --entity-type topics "
                f"--entity-name {name} --add-config {LARGEST}={LARGEST_RECORD_BYTES}"
            )
            if limit < SMALLEST_RECORD_BYTES:
                raise ConfigurationError(
                    f"topic {name} takes records of {limit} bytes at most, and at least {SMALLEST_RECORD_BYTES} are needed: {command}"
                )
            log.warning(
                "topic takes less than a topic of ours; what is larger is shortened, or stays where it is",
                topic=name,
                takes_bytes=limit,
                remedy=command,
            )

    def _check_times(self, described: Mapping[str, Mapping[str, str]], created: Collection[str]) -> None:
        for name, configs in described.items():
            if name in created or configs.get(TIMESTAMPS) in (None, "LogAppendTime"):
                continue
            log.warning(
                "topic leaves the time of a record to its producer, so versions are judged by that and by our own clock",
                topic=name,
                remedy=f"kafka-configs.sh --bootstrap-server {self._settings.bootstrap} --alter --entity-type topics "
                f"--entity-name {name} --add-config {TIMESTAMPS}=LogAppendTime",
            )

    def _require_compaction(self, described: Mapping[str, str]) -> None:
        name, policy = self._settings.topics.documents, described.get(POLICY)
        if policy is not None and policy != "compact":
            raise ConfigurationError(
                f"topic {name} has cleanup.policy={policy}, and replicas are built from it: "
                "set it to compact, or name another topic in kafka.topics.documents"
            )
