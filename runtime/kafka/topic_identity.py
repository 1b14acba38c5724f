"""Which log a topic is: a topic that was deleted and created again has another id under the same name, and its offsets mean other records.

aiokafka's metadata do not carry ids, so librdkafka's admin client is asked. Where the right to describe a topic is missing,
or the brokers know no ids (before 2.8), its id is unknown: that is told once, and whoever compares does without.

A checkpoint names its log as one text:

    cluster            as the release before wrote it, or where the topic's id could not be known
    cluster/topic id   a topic that was deleted and created again is another log

One without the topic's id counts as one of the present log: it is adopted, and written with the id from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runtime.kafka.clients import librdkafka_options
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_ANSWER_S: Final = 10.0
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""How a broker that gives no ids says so."""
_UNTOLD: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._UNSUPPORTED_FEATURE})  # noqa: SLF001 - its public name
_ABSENT: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001 - its public name


class TopicIds:
    """Asks one cluster. The client is made at the first question, and its threads end with this object."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: Any = None
        self._told: set[str] = set()

    def is_unknowable(self, topic: str) -> bool:
        """Whether the topic is there and its id was refused: it is left out of what is answered, and will be."""
        return topic in self._told

    async def of(self, topics: Collection[str]) -> dict[str, str]:
        """The id of each topic; topics that are not there, or whose id we may not know, are left out.

        Raises:
            LogUnavailableError: the cluster did not answer.
        """
        described = await asyncio.to_thread(self._describe, sorted(set(topics)))
        return {topic: topic_id for topic, topic_id in described.items() if topic_id != _NO_ID}

    async def is_there(self, topic: str) -> bool:
        """Whether there is the topic; of one that we may not describe nothing is known, which counts as absent.

        A list of all topics leaves those out, too, and costs as much as the cluster has topics.

        Raises:
            LogUnavailableError: the cluster did not answer.
        """
        return topic in await asyncio.to_thread(self._describe, [topic])

    def _describe(self, topics: list[str]) -> dict[str, str]:
        if self._client is None:
            self._client = AdminClient(librdkafka_options(self._settings))
        try:
            answers = self._client.describe_topics(TopicCollection(topics), request_timeout=_ANSWER_S)
        except KafkaException as error:
            raise LogUnavailableError(
                f"Kafka at {self._settings.bootstrap} did not describe its topics: {error}"
            ) from error
        found: dict[str, str] = {}
        for topic, answer in answers.items():
            try:
                found[topic] = str(answer.result().topic_id)
            except KafkaException as error:
                self._unless_untold(topic, error)
            else:
                if found[topic] == _NO_ID:
                    self._tell(topic, "the brokers give their topics no ids")
        return found

    def _unless_untold(self, topic: str, error: KafkaException) -> None:
        code = error.args[0].code()
        if code in _UNTOLD:
            self._tell(topic, error.args[0].str())
        elif code not in _ABSENT:
            raise LogUnavailableError(
                f"Kafka at {self._settings.bootstrap} did not describe {topic}: {error}"
            ) from error

    def _tell(self, topic: str, reason: str) -> None:
        if topic not in self._told:
            self._told.add(topic)
            log.warning(
                "the topic's id is unknown: one that is deleted and made again would not be noticed",
                topic=topic,
                reason=reason,
                remedy=f"allow this client to DESCRIBE topic {topic}",
            )


def log_identity(cluster: str, topic_id: str | None) -> str:
    """The identity of one topic's log."""
    return f"{cluster}/{topic_id}" if topic_id else cluster


def is_same_log(recorded: str, present: str) -> bool:
    """Whether offsets that were recorded of one log mean the same in the other."""
    if recorded == present:
        return True
    (cluster, topic_id), (present_cluster, present_id) = _parts(recorded), _parts(present)
    return cluster == present_cluster and not (topic_id and present_id)


def fullest_identity(recorded: str, present: str) -> str:
    """The one of two identities of the same log that knows the topic's id: it is not forgotten where it cannot be asked."""
    return recorded if _parts(recorded)[1] and not _parts(present)[1] else present


def _parts(identity: str) -> tuple[str, str]:
    cluster, _, topic_id = identity.partition("/")
    return cluster, topic_id
