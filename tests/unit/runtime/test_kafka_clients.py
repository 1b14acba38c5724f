"""A client is started or told of, and stopped or abandoned; whoever stops it neither waits for ever nor hears of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, KafkaError

from runtime.kafka import clients
from runtime.kafka.clients import consuming, fetched, stopped
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


async def test_a_transport_that_closed_unnoticed_is_a_lost_connection_and_no_defect() -> None:
    """uvloop raises a RuntimeError, which ended aiokafka's fetch loop for good."""
    connection = AIOKafkaConnection("localhost", 1)
    connection._writer = Mock(write=Mock(side_effect=RuntimeError("the handler is closed")))
    connection._versions = {}
    request = Mock(
        prepare=lambda _: Mock(build_request_header=lambda **_: Mock(encode=lambda: b""), encode=lambda: b"")
    )
    with pytest.raises(KafkaConnectionError, match="the handler is closed"):
        connection.send(request)
    assert not connection.connected()


async def test_a_fetch_loop_that_ended_is_told_to_whoever_reads() -> None:
    async def failed() -> None:
        raise RuntimeError("a defect")

    task = asyncio.create_task(failed())
    await asyncio.wait([task])
    consumer = Mock(getmany=AsyncMock(return_value={}), _fetcher=Mock(_fetch_task=task))
    with pytest.raises(KafkaError, match="fetch loop ended") as told:
        await fetched(consumer, timeout_ms=1)
    assert isinstance(told.value.__cause__, RuntimeError)
    running = Mock(getmany=AsyncMock(return_value={}), _fetcher=Mock(_fetch_task=asyncio.create_task(asyncio.sleep(9))))
    assert await fetched(running) == {}
    running._fetcher._fetch_task.cancel()
