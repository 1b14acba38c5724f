"""A PostgreSQL warehouse as the truth: its tables, read through the mapping file as Debezium's snapshot would read them.

Rows are read in one repeatable-read snapshot through a server-side cursor, so a table's size does not matter. The
snapshot is taken so that it has a place among the versions of the stream, which are positions of the log (LSNs): first
the log's position is read, then every transaction that was running then is waited for, then the snapshot begins. A
change at or below the position belongs to a transaction that the snapshot sees, so the snapshot decides about every
stored row up to the position; what is stored above it is newer and left alone.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import structlog

from indexer.reconcile.ports import NO_DOCUMENTS
from runtime.clock import SYSTEM_CLOCK
from schemas.errors import ConfigurationError, PoisonError, RetryableError
from schemas.events.admission import Changes
from schemas.events.debezium import parse_change
from schemas.mapping.compiled import CompiledMapping
from schemas.mapping.connect_types import plain_number
from schemas.mapping.matching import TableName
from schemas.product.changes import ChangeEvent
from schemas.version import SourceVersion

log = structlog.get_logger(__name__)

_PAGE: Final = 500
_CONNECT_S: Final = 10.0
_LOOK_AGAIN_S: Final = 0.2
_RUNNING_S: Final = 60.0
_TABLES: Final = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY table_schema, table_name
"""
_RUNNING: Final = """
SELECT held.transactionid::text FROM pg_locks held LEFT JOIN pg_stat_activity backend USING (pid)
WHERE held.locktype = 'transactionid' AND held.mode = 'ExclusiveLock' AND held.granted
  AND (backend.datname = current_database() OR backend.pid IS NULL)
"""
"""Transactions that write to this database; one without a backend is a prepared one."""

_WRITTEN_OUT: Final[dict[type, Callable[[Any], str]]] = {
    dt.date: lambda day: day.isoformat(),
    dt.time: lambda time: time.isoformat(),
    uuid.UUID: str,
}
"""Types that are text in an event; a datetime is a date too, and says its own time."""


class WarehouseAwayError(RetryableError):
    """The warehouse database did not answer, or a transaction in it did not end. Nothing was changed; try again."""

    code = "warehouse_away"


class PostgresRows:
    """The mapped tables of one database. `server` is the connector's topic prefix, for mappings that match by it."""

    exact = True
    versioned = True
    documents = NO_DOCUMENTS

    def __init__(self, url: str, mapping: CompiledMapping, *, server: str = "") -> None:
        parts = urlsplit(url)
        self._url = url
        self._mapping = mapping
        self._server = server
        self._database = parts.path.lstrip("/")
        self._facets: set[str] = set()
        self._read_at: SourceVersion | None = None
        self.rejected = 0
        self.name = f"postgres://{parts.hostname or ''}{parts.path}"

    @property
    def facets(self) -> frozenset[str]:
        """Facets of the tables that were read."""
        return frozenset(self._facets)

    @property
    def read_at(self) -> SourceVersion | None:
        """The log's position at which the tables were read."""
        return self._read_at

    async def pages(self) -> AsyncIterator[Sequence[ChangeEvent]]:
        """The rows of all mapped tables.

        Raises:
            ConfigurationError: no table matches the mapping, or the database refuses us.
            WarehouseAwayError: it does not answer, or a transaction did not end within a minute.
        """
        connection = await self._connect()
        try:
            lsn = await _position_past_running_transactions(connection)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                for table in await self._mapped_tables(connection, lsn):
                    async for page in self._rows(connection, table, lsn):
                        yield page
        except (OSError, asyncpg.PostgresConnectionError) as error:
            raise WarehouseAwayError(f"{self.name} went away while it was read: {error}") from error
        except asyncpg.PostgresError as error:
            raise ConfigurationError(f"{self.name} cannot be read: {error}") from error
        finally:
            await connection.close()

    async def _connect(self) -> Any:
        try:
            return await asyncpg.connect(self._url, timeout=_CONNECT_S)
        except (OSError, asyncpg.PostgresConnectionError) as error:
            raise WarehouseAwayError(f"{self.name} does not answer: {error}") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise ConfigurationError(f"{self.name} cannot be opened: {error}") from error

    async def _mapped_tables(self, connection: Any, lsn: int) -> list[TableName]:
        mapped: list[TableName] = []
        for schema, table in await connection.fetch(_TABLES):
            name = TableName("postgresql", self._server, self._database, schema, table)
            entry, rule, ignored = self._mapping.resolve(name)
            if ignored or entry is None:
                continue
            version = SourceVersion(rule.epoch, lsn)
            if rule.version == "clock" or (self._read_at is not None and self._read_at != version):
                raise ConfigurationError(
                    f"the mapping gives table {name} a clock or an epoch of its own; "
                    "a warehouse is compared by one log's positions in one epoch"
                )
            self._read_at = version
            self._facets.add(entry.facet)
            mapped.append(name)
        if not mapped:
            raise ConfigurationError(
                f"no table of {self.name} matches the mapping; where its entries name a server, give it with --server"
            )
        return mapped

    async def _rows(self, connection: Any, table: TableName, lsn: int) -> AsyncIterator[list[ChangeEvent]]:
        source = {
            "connector": "postgresql",
            "name": self._server,
            "db": self._database,
            "schema": table.schema,
            "table": table.table,
            "lsn": lsn,
            "snapshot": "true",
        }
        events: list[ChangeEvent] = []
        # Names come from the database's own catalogue and are quoted as identifiers.
        query = f"SELECT * FROM {_quoted(table.schema)}.{_quoted(table.table)}"  # noqa: S608 - see above
        async for row in connection.cursor(query, prefetch=_PAGE):
            events.extend(self._events(row, source, table))
            if len(events) >= _PAGE:
                yield events
                events = []
        yield events

    def _events(self, row: Mapping[str, Any], source: Mapping[str, Any], table: TableName) -> tuple[ChangeEvent, ...]:
        try:
            after = {column: column_value(value) for column, value in row.items()}
            parsed = parse_change({"op": "r", "source": source, "after": after}, None, None, self._mapping)
        except (PoisonError, ValueError) as error:
            self.rejected += 1
            log.warning("row of the warehouse cannot be read", table=str(table), reason=str(error))
            return ()
        return parsed.events if isinstance(parsed, Changes) else ()


def column_value(value: Any) -> Any:
    """A column's value as the mapping gets it from Debezium once the connector's encodings are taken off.

    Numbers as numbers, times as ISO 8601 text (in UTC with a `Z` where the column has a zone), bytes as nothing.

    Raises:
        ValueError: a number beyond every float.
    """
    if isinstance(value, Decimal):
        return plain_number(value)
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return [column_value(member) for member in value]
    if isinstance(value, bytes | memoryview):
        return None
    written_out = next((write(value) for kind, write in _WRITTEN_OUT.items() if isinstance(value, kind)), None)
    return value if written_out is None else written_out


async def _position_past_running_transactions(connection: Any) -> int:
    """The log's position now, returned when no transaction that was running at it is running any more.

    Every transaction that writes holds a lock on its own id until its outcome is visible to new snapshots.
    """
    lsn = int(await connection.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"))
    running = await _running_transactions(connection)
    deadline = SYSTEM_CLOCK.monotonic() + _RUNNING_S
    while running:
        if SYSTEM_CLOCK.monotonic() > deadline:
            raise WarehouseAwayError(
                f"a transaction in the warehouse has been running for more than {_RUNNING_S:g} s, and what it wrote "
                "can be seen by no snapshot yet; try again when it has ended (pg_stat_activity shows it)"
            )
        await asyncio.sleep(_LOOK_AGAIN_S)
        running &= await _running_transactions(connection)
    return lsn


async def _running_transactions(connection: Any) -> set[str]:
    return {row[0] for row in await connection.fetch(_RUNNING)}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
