"""A database of the test's own on either engine."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pydantic import SecretStr

from agent.settings import DatabaseSettings
from tests.support.postgres.server import PostgresServer


@asynccontextmanager
async def fresh_postgres(server: PostgresServer) -> AsyncIterator[DatabaseSettings]:
    """An empty database on the session's server, dropped at the end."""
    name = f"agent_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield DatabaseSettings(url=SecretStr(server.dsn(name)))
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()
