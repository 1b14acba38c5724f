"""Fixture: one PostgreSQL server for the whole session."""

from collections.abc import Iterator

import pytest

from tests.support.postgres.server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The session's server; a test makes a database of its own in it."""
    server = PostgresServer()
    server.start()
    yield server
    server.stop()
