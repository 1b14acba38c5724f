"""From the settings to an opened store."""

from __future__ import annotations

from agent.checkpoints.memory import MemoryCheckpoints
from agent.checkpoints.port import Checkpoints
from agent.checkpoints.postgres import PostgresCheckpoints
from agent.checkpoints.redis import RedisCheckpoints
from agent.checkpoints.settings import CheckpointKind, CheckpointSettings
from agent.checkpoints.sqlite import SqliteCheckpoints
from agent.storage.migrate import migrations_are_skipped
from agent.storage.settings import DatabaseSettings
from schemas.errors import ConfigurationError


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
