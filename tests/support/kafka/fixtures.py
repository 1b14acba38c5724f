"""Fixtures: one broker for the whole session, one that a test may break, and topic names that no other test uses."""

import uuid
from collections.abc import Iterator

import pytest

from schemas.topics import TopicNames
from tests.support.kafka.server import KafkaServer


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The session's broker. A test that stops or freezes a broker takes `breakable_kafka`."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def breakable_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker of the test's own, to be stopped, killed and frozen."""
    server = KafkaServer(tmp_path_factory.mktemp("breakable-kafka"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def topics() -> TopicNames:
    """Topic names of this test alone."""
    run = uuid.uuid4().hex[:8]
    return TopicNames(
        changes=(f"warehouse.changes.{run}",),
        bulk=f"warehouse.changes.bulk.{run}",
        documents=f"catalog.documents.{run}",
        aliases=f"catalog.aliases.{run}",
        generations=f"catalog.generations.{run}",
        sources=f"catalog.sources.{run}",
        dead_letters=f"warehouse.changes.dlq.{run}",
    )
