"""What can go wrong with a thread's state, and the drivers' own failures turned into ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import psycopg_pool
from redis.exceptions import RedisError
from redisvl.exceptions import RedisVLError  # type: ignore[import-untyped]  # the library ships no types

from schemas.errors import PoisonError, RetryableError


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
