"""The port: LangGraph's saver, and what its own interface leaves out or some savers lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver


class Checkpoints(Protocol):
    """One opened store of thread state. Keys are those of `thread_key`."""

    @property
    def saver(self) -> BaseCheckpointSaver[Any]:
        """What a graph is compiled with; serialisation is strict."""
        ...

    async def trim(self, keys: Sequence[str]) -> None:
        """Keep only the newest checkpoint of these threads: a turn leaves one a step, and nobody goes back to them."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete these threads and all that belongs to them; one that is not there is no error."""
        ...

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            CheckpointsUnavailableError: there was none.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
