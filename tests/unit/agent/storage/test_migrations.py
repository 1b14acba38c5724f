"""The tables: migrations make what the code reads and writes, and SKIP_MIGRATIONS changes nothing."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from structlog.testing import capture_logs

from agent.settings import DatabaseSettings
from agent.storage.database import SKIP_VARIABLE, Database, OutdatedDatabaseError
from agent.storage.tables import metadata


@pytest.fixture(autouse=True)
def quiet():
    with capture_logs():
        yield


async def test_the_migrations_make_the_tables_of_the_code(tmp_path) -> None:
    database = await Database.open(DatabaseSettings(directory=tmp_path))
    async with database.write() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    await database.close()
    assert differences == []


async def test_an_empty_database_is_refused_where_migrations_are_skipped(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(SKIP_VARIABLE, "1")
    with pytest.raises(OutdatedDatabaseError, match=SKIP_VARIABLE):
        await Database.open(DatabaseSettings(directory=tmp_path))


async def test_a_current_database_needs_no_migration(tmp_path, monkeypatch) -> None:
    await (await Database.open(DatabaseSettings(directory=tmp_path))).close()
    monkeypatch.setenv(SKIP_VARIABLE, "true")
    database = await Database.open(DatabaseSettings(directory=tmp_path))
    await database.ping()
    await database.close()
