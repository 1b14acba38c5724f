"""Threads in PostgreSQL or in Redis (with its JSON and search modules), which any number of processes share; and from the settings to an opened store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Self

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from agent.checkpoints.embedded import MemoryCheckpoints, SqliteCheckpoints
from agent.checkpoints.port import Checkpoints, CheckpointsUnavailableError, store_failures_as_ours
from agent.checkpoints.serialization import StrictRedisSerializer, StrictSerializer
from agent.settings import CheckpointKind, CheckpointSettings, DatabaseSettings
from agent.storage.database import migrations_are_skipped
from schemas.errors import ConfigurationError

_IDLE_S: Final = 300.0
_LIFETIME_S: Final = 1800.0
_ADVISORY_LOCK: Final = 0x666572726F + 1
_LOCK_PAUSE_S: Final = 0.05

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


class PostgresCheckpoints:
    """The port over LangGraph's saver. The saver's own one-connection helper dies with its first idle timeout."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.saver = AsyncPostgresSaver(pool, serde=StrictSerializer())

    @classmethod
    async def open(cls, url: str, *, connections: int, timeout_s: float, migrate: bool) -> Self:
        """Connect, and make the saver's tables unless `migrate` is off. The URL holds a password: it is not logged.

        Raises:
            CheckpointsUnavailableError: the server does not answer.
        """
        pool: Pool = AsyncConnectionPool(
            url,
            connection_class=AsyncConnection[DictRow],
            min_size=2,
            max_size=connections,
            max_idle=_IDLE_S,
            max_lifetime=_LIFETIME_S,
            timeout=timeout_s,
            check=AsyncConnectionPool.check_connection,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
            open=False,
        )
        with store_failures_as_ours():
            try:
                await pool.open(wait=True, timeout=timeout_s)
                made = cls(pool)
                if migrate:
                    async with asyncio.timeout(timeout_s * 6):
                        await made._make_tables()
            except TimeoutError as error:
                await pool.close()
                raise CheckpointsUnavailableError("another process kept the checkpoint tables' lock") from error
            except BaseException:
                await pool.close()
                raise
        return made

    async def trim(self, keys: Sequence[str]) -> None:
        """Keep only the newest checkpoint of each thread."""
        with store_failures_as_ours():
            await self.saver.aprune(list(keys), strategy="keep_latest")

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete these threads."""
        with store_failures_as_ours():
            await self.saver.aprune(list(keys), strategy="delete")

    async def ping(self) -> None:
        """Ask the server."""
        with store_failures_as_ours():
            async with self._pool.connection() as connection:
                await connection.execute("SELECT 1")

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()

    async def _make_tables(self) -> None:
        """One process at a time.

        The lock is tried for, not waited for: a session that waits inside PostgreSQL holds a snapshot, and the saver's
        concurrent index builds would wait for that snapshot in turn.
        """
        async with self._pool.connection() as connection:
            while not await _locked(connection):  # noqa: ASYNC110 - what is awaited is another process
                await asyncio.sleep(_LOCK_PAUSE_S)
            try:
                await self.saver.setup()
            finally:
                await connection.execute("SELECT pg_advisory_unlock(%s)", (_ADVISORY_LOCK,))


async def _locked(connection: AsyncConnection[DictRow]) -> bool:
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s) AS taken", (_ADVISORY_LOCK,))
    row: dict[str, Any] | None = await cursor.fetchone()
    return row is not None and bool(row["taken"])


_MINUTES_A_DAY: Final = 1440.0


class RedisCheckpoints:
    """The port over LangGraph's saver; Redis itself forgets a thread that nobody goes on with."""

    def __init__(self, client: Redis, saver: AsyncRedisSaver) -> None:
        self._client = client
        self.saver: AsyncRedisSaver = saver

    @classmethod
    async def open(cls, url: str, *, expire_days: float, timeout_s: float) -> Self:
        """Connect, and make the saver's search indexes. The URL may hold a password: it is not logged.

        Raises:
            CheckpointsUnavailableError: the server does not answer, or lacks the JSON and search modules.
        """
        client: Redis = Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        ttl: dict[str, Any] = {"default_ttl": expire_days * _MINUTES_A_DAY, "refresh_on_read": True}
        with store_failures_as_ours():
            try:
                await client.ping()
                saver = AsyncRedisSaver(redis_client=client, ttl=ttl)
                # The saver takes no serialiser, so its own, which builds objects by name, is replaced.
                saver.serde = StrictRedisSerializer()
                await saver.asetup()
            except BaseException:
                await client.aclose()
                raise
        return cls(client, saver)

    async def trim(self, keys: Sequence[str]) -> None:
        """Keep only the newest checkpoint of each thread."""
        with store_failures_as_ours():
            if keys:
                await self.saver.aprune(list(keys), strategy="keep_latest")

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete these threads."""
        with store_failures_as_ours():
            for key in keys:
                await self.saver.adelete_thread(key)

    async def ping(self) -> None:
        """Ask the server."""
        with store_failures_as_ours():
            await self._client.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def open_checkpoints(settings: CheckpointSettings, database: DatabaseSettings) -> Checkpoints:
    """The store that the settings name; `database` says where the file lies, or which PostgreSQL is the agent's own.

    Raises:
        ConfigurationError: PostgreSQL is asked for and no URL says which.
        CheckpointsUnavailableError: the store does not answer.
    """
    if settings.kind is CheckpointKind.MEMORY:
        return MemoryCheckpoints()
    if settings.kind is CheckpointKind.SQLITE:
        return await SqliteCheckpoints.open(database.directory / "threads.db", timeout_s=settings.timeout_s)
    if settings.kind is CheckpointKind.REDIS:
        return await RedisCheckpoints.open(
            settings.url.get_secret_value(), expire_days=settings.expire_days, timeout_s=settings.timeout_s
        )
    url = settings.url.get_secret_value()
    if not url and database.is_sqlite:
        raise ConfigurationError("checkpoints.kind is postgres: set checkpoints.url, or database.url to a PostgreSQL")
    return await PostgresCheckpoints.open(
        url or database.libpq_url,
        connections=settings.pool,
        timeout_s=settings.timeout_s,
        migrate=not migrations_are_skipped(),
    )
