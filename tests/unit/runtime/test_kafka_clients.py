"""A client is started or told of, and stopped or abandoned; whoever stops it neither waits for ever nor hears of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from runtime.kafka import clients
from runtime.kafka.clients import consuming, stopped
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings


class Consumer:
    """Starts and stops as it is told to."""

    def __init__(self, *, start: Exception | None = None, stop: BaseException | None = None) -> None:
        self._start, self._stop = start, stop
        self.closed: list[str] = []
        self._client = SimpleNamespace(close=self._close)

    async def _close(self) -> None:
        self.closed.append("connections")

    async def start(self) -> None:
        if self._start is not None:
            raise self._start

    async def stop(self) -> None:
        self.closed.append("consumer")
        if self._stop is not None:
            raise self._stop


def opens(monkeypatch: pytest.MonkeyPatch, consumer: Consumer) -> dict[str, Any]:
    given: dict[str, Any] = {}
    monkeypatch.setattr(clients, "AIOKafkaConsumer", lambda **options: given.update(options) or consumer)
    return given


async def test_a_consumer_commits_nothing_unasked_and_reads_what_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Consumer()
    given = opens(monkeypatch, consumer)
    async with consuming(KafkaSettings(bootstrap="a:1, b:2"), client_id="me"):
        pass
    assert consumer.closed == ["consumer"]
    assert given == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "client_id": "me",
    }


async def test_brokers_that_are_away_are_named_and_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Consumer(start=KafkaConnectionError())
    opens(monkeypatch, consumer)
    with pytest.raises(LogUnavailableError, match="Kafka at a:1 did not answer"):
        async with consuming(KafkaSettings(bootstrap="a:1")):
            pytest.fail("it was not opened")
    assert consumer.closed == ["consumer"]


async def test_an_error_of_whoever_reads_names_the_brokers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    opens(monkeypatch, Consumer())
    with pytest.raises(LogUnavailableError, match="Kafka at a:1 did not answer"):
        async with consuming(KafkaSettings(bootstrap="a:1")):
            raise KafkaConnectionError


@pytest.mark.parametrize("escaped", [asyncio.CancelledError(), RuntimeError("a defect"), KafkaConnectionError()])
async def test_what_escapes_from_a_stop_is_not_taken_for_ours(escaped: BaseException) -> None:
    consumer = Consumer(stop=escaped)
    await stopped(consumer)
    assert consumer.closed == ["consumer", "connections"]
