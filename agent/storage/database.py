"""One door to the database: transactions that write, transactions that read, the driver's failures as ours, and its migration.

Several processes may start at once: on PostgreSQL an advisory lock lets one migrate while the others wait, on SQLite
the write transaction does. With `SKIP_MIGRATIONS` set nothing is changed (an operator's job does it, say), and a
database at another revision is refused with the reason, since the first order would fail on it.
"""

from __future__ import annotations

import os
import secrets as random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import asyncpg  # type: ignore[import-untyped]  # the library ships no types
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Table,
    cast,
    event,
    extract,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from agent.settings import DatabaseSettings
from agent.storage.tables import secrets
from runtime.clock import SYSTEM_CLOCK
from schemas.errors import ConfigurationError, FatalError, PoisonError, RetryableError

_READ_ONLY: Final = "ferroflux_read_only"
_SECOND_US: Final = 1_000_000
_SYNCHRONOUS: Final = "ferroflux_synchronous"
_DATA_EXCEPTIONS: Final = "22"
"""The class of PostgreSQL's states that a value is at fault for."""


class DatabaseUnavailableError(RetryableError):
    """The agent's database did not answer in time. Nothing was changed; the same request can be sent again."""

    code = "database_unavailable"


class ValueRefusedError(PoisonError):
    """The agent's database has no room for a value of this thing, and never will: it is too long, or beyond the range of numbers. Nothing was changed; what was to be stored is at fault, and is set apart."""

    code = "value_refused"


class Database:
    """The agent's database. Open it once a process, close it at the end; safe for concurrent use."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, settings: DatabaseSettings) -> Self:
        """Connect, and bring the tables to this version's revision unless SKIP_MIGRATIONS is set.

        Raises:
            DatabaseUnavailableError: the server does not answer.
            OutdatedDatabaseError: the tables are at another revision, and may not be changed.
            ConfigurationError: the SQLite folder cannot be made.
        """
        url = settings.sqlalchemy_url
        if settings.is_sqlite:
            _make_folder(settings)
            engine = create_async_engine(url, connect_args={"timeout": settings.timeout_s})
            _prepare_sqlite(engine)
        else:
            engine = create_async_engine(
                url,
                pool_size=settings.pool,
                max_overflow=0,
                pool_timeout=settings.timeout_s,
                pool_pre_ping=True,
                connect_args={"timeout": settings.timeout_s},
            )
        database = cls(engine)
        try:
            async with database.write() as connection:
                await connection.run_sync(lambda sync: migrate(sync, skip=migrations_are_skipped()))
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Let go of all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def write(self, *, durable: bool = True) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write: committed at the end of the block, taken back if it raises.

        With `durable` off SQLite does not wait for the disk: a power cut may take the last moments' such writes back,
        a crash of the process never does. For leases and figures; an order waits.

        Raises:
            DatabaseUnavailableError: the database did not answer, or SQLite's writer stayed taken.
            ValueRefusedError: a value is none that can be stored.
        """
        with _failures_as_ours():
            async with self._engine.connect() as connection:
                await connection.execution_options(**{_SYNCHRONOUS: "FULL" if durable else "NORMAL"})
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads: one consistent picture, and it never waits for a writer. Raises as `write`."""
        with _failures_as_ours():
            async with self._engine.connect() as connection:
                await connection.execution_options(**{_READ_ONLY: True})
                async with connection.begin():
                    yield connection

    async def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            DatabaseUnavailableError: there was none.
        """
        async with self.read() as connection:
            await connection.exec_driver_sql("SELECT 1")

    def now_us(self) -> ColumnElement[int]:
        """The database's own time, microseconds since 1970, as an expression of its SQL: what leases count by.

        Workers' clocks differ, and one that is fast would take what another still holds. SQLite's file is of one machine,
        whose clock is everybody's.
        """
        if self._engine.dialect.name == "sqlite":
            return literal(SYSTEM_CLOCK.now_us(), BigInteger)
        return cast(extract("epoch", func.clock_timestamp()) * _SECOND_US, BigInteger)

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`, which both databases have."""
        dialect: Any = sqlite if self._engine.dialect.name == "sqlite" else postgresql
        statement: postgresql.Insert | sqlite.Insert = dialect.insert(table)
        assert isinstance(statement, Insert)
        return statement


def _make_folder(settings: DatabaseSettings) -> None:
    file = settings.sqlite_file
    if file is None:
        raise ConfigurationError(
            "database.url: SQLite needs a file, since each of our connections would see its own memory"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the agent's folder {file.parent} cannot be made: {error.strerror}") from error


def _prepare_sqlite(engine: AsyncEngine) -> None:
    """Write transactions take the writer's lock when they begin: one that read first could not take it later."""

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver opens no transactions of its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Any) -> None:
        options = connection.get_execution_options()
        if options.get(_READ_ONLY, False):
            connection.exec_driver_sql("BEGIN")
            return
        connection.exec_driver_sql(f"PRAGMA synchronous={options.get(_SYNCHRONOUS, 'FULL')}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _failures_as_ours() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError) as error:
        if _is_about_a_value(error):
            raise ValueRefusedError from None
        # The driver's words may hold the statement's values: only their kind goes on.
        raise DatabaseUnavailableError(f"the agent's database did not answer: {_kind(error)}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailableError(f"the agent's database closed the connection: {_kind(error)}") from error
        if _is_about_a_value(error):
            raise ValueRefusedError from None
        raise


def _is_about_a_value(error: Exception) -> bool:
    """Whether the driver or the server refused a value: the statement would fail in the same way for ever."""
    driver = getattr(error, "orig", None)
    # asyncpg counts what it cannot encode among the failures of its interface.
    if isinstance(error, DataError) or isinstance(getattr(driver, "__cause__", None), asyncpg.DataError):
        return True
    return str(getattr(driver, "sqlstate", None) or "").startswith(_DATA_EXCEPTIONS)


def _kind(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return type(cause).__name__


log = structlog.get_logger(__name__)

SKIP_VARIABLE: Final = "SKIP_MIGRATIONS"

_FOLDER: Final = Path(__file__).with_name("migrations")
_ADVISORY_LOCK: Final = 0x666572726F  # "ferro": any number will do, so long as every process takes the same


class OutdatedDatabaseError(FatalError):
    """The agent's database is at another revision than this version's. Start one process without SKIP_MIGRATIONS, or a newer version."""

    code = "outdated_database"


def migrations_are_skipped() -> bool:
    """Whether the environment says that somebody else migrates."""
    return os.environ.get(SKIP_VARIABLE, "").strip().lower() in {"1", "true", "yes", "on"}


def migrate(connection: Connection, *, skip: bool) -> None:
    """Run what is missing, or with `skip` only check that nothing is. The connection is in a transaction of its own.

    Raises:
        OutdatedDatabaseError: the database is newer than this version, or older and `skip` is set.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER))
    # Our migrations' names begin with a letter, so that they can be imported and checked like other modules.
    scripts = ScriptDirectory.from_config(config)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    found = MigrationContext.configure(connection).get_current_revision()
    wanted = scripts.get_current_head()
    if found == wanted:
        return
    if skip:
        raise OutdatedDatabaseError(
            f"the agent's database is at revision {found or 'none'}, and this version needs {wanted}: "
            f"start one process without {SKIP_VARIABLE}"
        )
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise OutdatedDatabaseError(
            f"the agent's database is at revision {found}, which this version does not know: start the newer version"
        )
    command.upgrade(config, "head")
    log.info("database migrated", before=found or "empty", after=wanted)


_BYTES: Final = 32


async def installation_secret(database: Database, name: str) -> bytes:
    """The secret of that name; the first to ask makes it.

    Raises:
        DatabaseUnavailableError: it can be neither read nor kept.
    """
    async with database.write() as connection:
        await connection.execute(
            database.insert(secrets).values(name=name, value=random.token_hex(_BYTES)).on_conflict_do_nothing()
        )
        found = (await connection.execute(select(secrets.c.value).where(secrets.c.name == name))).scalar_one()
    return bytes.fromhex(found)
