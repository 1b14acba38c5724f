"""Topics of a Kafka cluster: created where they are absent, described; by an admin client that the caller opened."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final

import structlog
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from schemas.errors import ConfigurationError, LogUnavailableError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

POLICY: Final = "cleanup.policy"
LARGEST: Final = "max.message.bytes"
TIMESTAMPS: Final = "message.timestamp.type"

_DESCRIBED_WITHIN: Final = 10
_DESCRIBED_AGAIN_S: Final = 0.2


async def create_topics(
    client: Any, settings: KafkaSettings, wanted: Mapping[str, Mapping[str, str]], *, partitions: int | None = None
) -> list[str]:
    """Create those of the wanted topics, by name with their configuration, that are absent; returns the names of these.

    `partitions` is for topics that must have so many, whatever the settings say: one, where all records have one order.

    Raises:
        ConfigurationError: `create_topics` is off and one is absent, or the cluster refuses to create it.
        LogUnavailableError: the cluster cannot create it yet.
        KafkaError: the cluster did not answer.
    """
    existing = set(await client.list_topics())
    absent = [name for name in wanted if name not in existing]
    if not absent:
        return []
    if not settings.create_topics:
        how = "" if partitions is None else f" with {_described(partitions, wanted[absent[0]])}"
        raise ConfigurationError(
            f"there is no topic {', '.join(absent)}, and kafka.create_topics is off: create it{how}, or turn that on"
        )
    count = partitions or settings.partitions
    response = await client.create_topics(
        [NewTopic(name, count, settings.replication, topic_configs=dict(wanted[name])) for name in absent]
    )
    created = []
    for outcome in response.to_object()["topic_errors"]:
        error = for_code(outcome["error_code"])
        if not outcome["error_code"]:
            created.append(outcome["topic"])
            continue
        # Another process that starts at the same moment may have been faster; and a broker's list may lag behind a creation.
        if error is TopicAlreadyExistsError:
            continue
        reason = outcome.get("error_message") or error.__name__
        if error.retriable:
            raise LogUnavailableError(f"Kafka could not create topic {outcome['topic']} yet: {reason}")
        raise ConfigurationError(
            f"Kafka refused to create topic {outcome['topic']}: {reason}; "
            "create it by hand, or correct kafka.partitions and kafka.replication"
        )
    if created:
        log.info("topics created", topics=created)
    return created


async def describe_topics(client: Any, topics: Collection[str]) -> dict[str, dict[str, str]]:
    """Policy, largest record and timestamp type of each topic, by the names of their configuration; empty where we may not describe it.

    Raises:
        LogUnavailableError: the cluster does not describe one yet.
        KafkaError: the cluster did not answer, or has no such request.
    """
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, configs=dict.fromkeys((POLICY, LARGEST, TIMESTAMPS), ""))
        for name in topics
    ]
    for _ in range(_DESCRIBED_WITHIN):
        responses = await client.describe_configs(resources)
        found = [one for response in responses for one in response.to_object()["resources"]]
        # A broker may not have heard yet of a topic that was just created.
        late = [one["resource_name"] for one in found if one["error_code"] and for_code(one["error_code"]).retriable]
        if not late:
            return {
                one["resource_name"]: {entry["config_names"]: entry["config_value"] for entry in one["config_entries"]}
                for one in found
            }
        await asyncio.sleep(_DESCRIBED_AGAIN_S)
    raise LogUnavailableError(f"Kafka does not describe topic {', '.join(late)} yet")


def _described(partitions: int, configuration: Mapping[str, str]) -> str:
    options = (f"{name}={value}" for name, value in configuration.items())
    return ", ".join(["one partition" if partitions == 1 else f"{partitions} partitions", *options])


def largest_records(described: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """What each described topic takes, in bytes; those that do not say are left out."""
    return {name: int(configs[LARGEST]) for name, configs in described.items() if configs.get(LARGEST)}
