"""The embedded broker: librdkafka's in-process one, speaking the Kafka protocol on localhost.

What it is: real enough for any Kafka client (groups, commits, idempotent and transactional producers). What it is not:
a store. A partition lives in memory and keeps its newest 5 MB, topics appear on first use with four partitions, and the
log is gone when the process ends. Durability is the journal's; this is transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaException, Producer

from indexer.records import LogId
from schemas.errors import ConfigurationError, FatalError

PARTITIONS: Final = 4
"""Partitions of every topic: librdkafka's default for its own broker, which no setting changes."""

PARTITION_CAP_BYTES: Final = 5 * 1024 * 1024
"""What a partition keeps; the oldest records beyond it are dropped, consumed or not."""

_START_TIMEOUT_S: Final = 10.0


class BrokerStartError(FatalError):
    """The embedded broker did not come up. Check that processes may listen on 127.0.0.1, then start again."""

    code = "broker_start"


class EmbeddedBroker:
    """One in-process broker.

    `log_id` is new with every start, since its log is: the broker's own cluster id is made of a memory address and may
    repeat, which would let a checkpoint of the last log pass for one of this.
    """

    def __init__(self, client: Producer, address: str) -> None:
        self._client = client
        self._forwarder: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.address = address
        self.log_id = LogId(f"embedded-{secrets.token_hex(8)}")

    @classmethod
    async def start(cls, *, port: int = 0) -> EmbeddedBroker:
        """Start the broker; `port` is where clients bootstrap (0: the broker's own, which the system chooses).

        Raises:
            BrokerStartError: librdkafka could not start it.
            ConfigurationError: something else listens on `port`.
        """
        client = Producer({"test.mock.num.brokers": 1, "log_level": 3})
        try:
            metadata = await asyncio.to_thread(client.list_topics, timeout=_START_TIMEOUT_S)
        except KafkaException as error:
            raise BrokerStartError from error
        node = next(iter(metadata.brokers.values()))
        broker = cls(client, f"{node.host}:{node.port}")
        if port:
            await broker._listen(port, node.host, node.port)
        return broker

    async def create_topics(self, names: Iterable[str]) -> None:
        """Create topics where they are absent: asking for their metadata does it here, the admin protocol does not."""
        for name in names:
            await asyncio.to_thread(self._client.list_topics, name, timeout=_START_TIMEOUT_S)

    async def stop(self) -> None:
        """End the broker; its log is gone with it."""
        if self._forwarder is not None:
            self._forwarder.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
        # The broker lives as long as the client that made it; librdkafka joins its threads when the last reference goes.
        await asyncio.to_thread(self._client.flush, 1.0)
        del self._client

    async def _listen(self, port: int, host: str, broker_port: int) -> None:
        # librdkafka chooses the broker's port itself. A fixed one is needed only for the first contact: the metadata
        # that a client reads through it names the real port, and the client goes there.
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                upstream_reader, upstream_writer = await asyncio.open_connection(host, broker_port)
                await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))

        try:
            self._forwarder = await asyncio.start_server(serve, "127.0.0.1", port)
        except OSError as error:
            msg = f"port {port} of 127.0.0.1 is taken: choose another --kafka-port, or leave it out for a free one"
            raise ConfigurationError(msg) from error
        self.address = f"127.0.0.1:{port}"


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(64 * 1024):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()
