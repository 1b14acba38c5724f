"""Threads in PostgreSQL, on a pool: for several processes, and the choice wherever orders are real."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Self

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from agent.checkpoints.errors import CheckpointsUnavailableError, store_failures_as_ours
from agent.checkpoints.serialization import StrictSerializer

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
