"""Threads in this process's memory: for tests and for trying things out; a restart forgets them."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph.checkpoint.memory import InMemorySaver

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
