"""The port: LangGraph's saver, what its own interface leaves out or some savers lack, and the drivers' failures turned into ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import psycopg
import psycopg_pool
from langgraph.checkpoint.base import BaseCheckpointSaver
from redis.exceptions import RedisError
from redisvl.exceptions import RedisVLError  # type: ignore[import-untyped]  # the library ships no types

from schemas.errors import PoisonError, RetryableError


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


class CheckpointsUnavailableError(RetryableError):
    """The store of conversations did not answer in time. The turn did not count; the same message can be sent again."""

    code = "checkpoints_unavailable"


class UnknownStateTypeError(PoisonError):
    """A thread's state holds a type that is not on the allow-list, and loading it could run its code. The thread goes on without that state; keep the state plain JSON."""

    code = "unknown_state_type"


_DRIVER_FAILURES: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg_pool.PoolTimeout,
    psycopg_pool.PoolClosed,
    sqlite3.OperationalError,
    RedisError,
    RedisVLError,
)


@contextmanager
def store_failures_as_ours() -> Iterator[None]:
    """Turn a failure of the store's driver into a `CheckpointsUnavailableError`, without the driver's own words.

    Raises:
        CheckpointsUnavailableError: the store did not answer.
    """
    try:
        yield
    except _DRIVER_FAILURES as error:
        raise CheckpointsUnavailableError(
            f"the store of conversations did not answer: {type(error).__name__}"
        ) from error
