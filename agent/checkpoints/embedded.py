"""Threads in this process's memory, which a restart forgets, and in a SQLite file, the embedded default, which processes of one machine may share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import aiosqlite
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agent.checkpoints.port import store_failures_as_ours
from agent.checkpoints.serialization import StrictSerializer


class MemoryCheckpoints:
    """The port over LangGraph's saver in memory."""

    def __init__(self) -> None:
        self.saver = InMemorySaver(serde=StrictSerializer())

    async def trim(self, keys: Sequence[str]) -> None:
        """Keep only the newest checkpoint of each thread, and the channel values that it refers to."""
        for key in keys:
            for namespace, checkpoints in self.saver.storage.get(key, {}).items():
                newest = max(checkpoints)
                for old in [one for one in checkpoints if one != newest]:
                    del checkpoints[old]
                    self.saver.writes.pop((key, namespace, old), None)
                versions = self.saver.serde.loads_typed(checkpoints[newest][0])["channel_versions"]
                for blob in [one for one in self.saver.blobs if one[:2] == (key, namespace)]:
                    if versions.get(blob[2]) != blob[3]:
                        del self.saver.blobs[blob]

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget these threads."""
        for key in keys:
            await self.saver.adelete_thread(key)

    async def ping(self) -> None:
        """Memory always answers."""

    async def close(self) -> None:
        """There is nothing to let go of."""


_TRIM: Final = (
    """DELETE FROM writes WHERE thread_id = :key AND checkpoint_id <> (SELECT MAX(checkpoint_id) FROM checkpoints
       WHERE thread_id = :key AND checkpoint_ns = writes.checkpoint_ns)""",
    """DELETE FROM checkpoints WHERE thread_id = :key AND checkpoint_id <> (SELECT MAX(checkpoint_id)
       FROM checkpoints AS every WHERE every.thread_id = :key AND every.checkpoint_ns = checkpoints.checkpoint_ns)""",
)
"""Checkpoint ids grow with time (UUIDv6), so the greatest is the newest; a checkpoint here is whole in itself."""


class SqliteCheckpoints:
    """The port over LangGraph's saver on one aiosqlite connection, whose thread serves one call after another."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.saver = AsyncSqliteSaver(connection, serde=StrictSerializer())

    @classmethod
    async def open(cls, path: Path, *, timeout_s: float) -> Self:
        """Open the file, or make it.

        Raises:
            CheckpointsUnavailableError: it cannot be opened.
        """
        with store_failures_as_ours():
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = await aiosqlite.connect(path, timeout=timeout_s)
            made = cls(connection)
            await made.saver.setup()
            # In WAL mode a process's crash loses nothing at this level; a power cut may lose the last moments.
            await connection.execute("PRAGMA synchronous=NORMAL")
        return made

    async def trim(self, keys: Sequence[str]) -> None:
        """Keep only the newest checkpoint of each thread."""
        with store_failures_as_ours():
            async with self.saver.lock:
                for key in keys:
                    for statement in _TRIM:
                        await self._connection.execute(statement, {"key": key})
                await self._connection.commit()

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete these threads."""
        with store_failures_as_ours():
            for key in keys:
                await self.saver.adelete_thread(key)

    async def ping(self) -> None:
        """Read from the file."""
        with store_failures_as_ours():
            await self._connection.execute_fetchall("SELECT 1")

    async def close(self) -> None:
        """Close the file."""
        await self._connection.close()
