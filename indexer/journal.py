"""The change journal on SQLite: appends that are durable when they return, watermarks, and reading back.

All statements run on one thread of the journal's own, so the event loop never waits for a disk. Rows are inserted many
to a statement: the sqlite3 module takes and gives the GIL at every step of a statement, and beside a busy thread each
of those costs up to one switch interval (5 ms), so that a row a step would turn a batch of 500 into seconds.

WAL lets readers (replay, rebuild, status) run beside the writer. A transaction that holds records commits with
`synchronous=FULL`, since a producer's answer depends on it, a power cut included; one that holds only watermarks commits
with NORMAL, since a lost watermark merely applies records again, which changes nothing.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from indexer.records import InboundRecord, LogId, TopicPartition
from schemas.errors import IncompatibleIndexError

T = TypeVar("T")

_ROWS_A_STATEMENT: Final = 128
_WATERMARK: Final = "LEFT JOIN watermarks w ON w.log = r.log AND w.topic = r.topic AND w.partition = r.partition"
_PENDING: Final = 'coalesce(w.next_offset, 0) <= r."offset"'
_COUNT_PENDING: Final = f"SELECT count(*) FROM records r {_WATERMARK} WHERE {_PENDING}"  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class LogSlice:
    """Consecutive records of one log, in the order in which the log gave them to us.

    `last` is the place of the last of them in whatever keeps the history: reading `after` it goes on behind it, whatever was
    forgotten meanwhile.
    """

    log_id: LogId
    records: tuple[InboundRecord, ...]
    last: int = 0


@dataclass(frozen=True, slots=True)
class JournalSize:
    """How many records the journal holds, and how many of them are not applied yet."""

    records: int
    pending: int


class SqliteChangeJournal:
    """The port `ChangeJournal` in one SQLite file, which can be read back, too. Build it with `open`; one process owns the file.

    Nothing is thrown away by itself: the journal is the embedded mode's only full history, and a rebuild reads it from
    its start. At about 1 KB a record that is 1 GB a million changes; `prune` forgets what is old, applied and, by the
    caller's judgement, superseded.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._log_rows: dict[LogId, int] = {}

    @classmethod
    def open(cls, path: Path) -> SqliteChangeJournal:
        """Open or create the file.

        Raises:
            IncompatibleIndexError: a newer version wrote it.
        """
        return cls(connect(path))

    async def append(self, log_id: LogId, records: Sequence[InboundRecord]) -> Sequence[InboundRecord]:
        """Keep records; durable when it returns, a power cut included. What is kept already is not kept twice.

        Returns them as they are kept: one that came before has the time of its first keeping.
        """
        if not records:
            return records
        return await self._run(lambda: self._append(log_id, records)) or records

    async def mark_applied(self, log_id: LogId, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note that everything below these offsets is in the indexes; a watermark never goes back."""
        if next_offsets:
            await self._run(lambda: self._mark_applied(log_id, next_offsets))

    async def read(
        self,
        *,
        topic: str | None = None,
        partition: int | None = None,
        since_ms: int = 0,
        after: int = 0,
        until: int | None = None,
        page: int = 500,
    ) -> AsyncIterator[LogSlice]:
        """Every kept record that meets the conditions, oldest first; what is appended meanwhile is left for later.

        `after` and `until` are places in the journal (`LogSlice.last`, `end`), the first excluded, the second included.
        """
        async for slice_ in self._pages(
            "(? IS NULL OR r.topic = ?) AND (? IS NULL OR r.partition = ?) AND r.timestamp_ms >= ?",
            (topic, topic, partition, partition, since_ms),
            page,
            after=after,
            until=until,
        ):
            yield slice_

    async def end(self) -> int:
        """The place of the newest record."""
        return await self._run(self._last_seq)

    async def unapplied(self, *, page: int = 500) -> AsyncIterator[LogSlice]:
        """Records at or beyond their partition's watermark, oldest first: what a restart has to process again."""
        async for slice_ in self._pages(_PENDING, (), page):
            yield slice_

    async def forget_applied(self) -> None:
        """Take every record for not applied, durably: the store that the watermarks speak of is gone, or may be."""
        await self._run(self._forget_applied)

    async def collection(self) -> str | None:
        """The id of the vector index that the watermarks speak of; None where an earlier release wrote them, or there are none."""
        return await self._run(self._collection_id)

    async def speaks_of(self, collection: str) -> None:
        """Note, durably, the id of the vector index that the watermarks speak of from now on."""
        if await self.collection() != collection:
            await self._run(lambda: self._note_collection(collection))

    async def size(self) -> JournalSize:
        """Count records and bytes."""
        return await self._run(self._size)

    async def prune(self, *, logged_before_ms: int) -> int:
        """Forget applied records that were logged before this time (ms since 1970); returns how many.

        A rebuild from the journal no longer sees them: prune only what newer full rows have superseded. The newest record
        stays, whatever its age: places in the journal count on from it, and would begin anew in an empty one.
        """
        return await self._run(lambda: self._prune(logged_before_ms))

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        await self._run(self._connection.close)
        self._executor.shutdown()

    async def _run(self, statement: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, statement)

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[None]:
        # The pragma cannot change inside a transaction; a later FULL commit also makes earlier NORMAL ones durable.
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _append(self, log_id: LogId, records: Sequence[InboundRecord]) -> Sequence[InboundRecord]:
        log = self._log_row(log_id)
        before = self._connection.total_changes
        with self._transaction(durable=True):
            rows = iter(records)
            while chunk := list(itertools.islice(rows, _ROWS_A_STATEMENT)):
                values = [value for record in chunk for value in (log, *to_row(record))]
                self._connection.execute(_insert_statement(len(chunk)), values)
        if self._connection.total_changes - before == len(records):
            return records
        return [replace(record, timestamp_ms=self._kept_time(log, record)) for record in records]

    def _kept_time(self, log: int, record: InboundRecord) -> int:
        query = 'SELECT timestamp_ms FROM records WHERE log = ? AND topic = ? AND partition = ? AND "offset" = ?'
        row = self._connection.execute(query, (log, record.topic, record.partition, record.offset)).fetchone()
        return int(row[0])

    def _mark_applied(self, log_id: LogId, next_offsets: Mapping[TopicPartition, int]) -> None:
        log = self._log_row(log_id)
        with self._transaction(durable=False):
            self._connection.executemany(
                "INSERT INTO watermarks VALUES (?, ?, ?, ?) ON CONFLICT (log, topic, partition)"
                " DO UPDATE SET next_offset = max(next_offset, excluded.next_offset)",
                [(log, topic, partition, offset) for (topic, partition), offset in next_offsets.items()],
            )

    def _forget_applied(self) -> None:
        with self._transaction(durable=True):
            self._connection.execute("DELETE FROM watermarks")

    def _collection_id(self) -> str | None:
        row = self._connection.execute("SELECT value FROM identities WHERE name = 'collection'").fetchone()
        return None if row is None else str(row[0])

    def _note_collection(self, collection: str) -> None:
        with self._transaction(durable=True):
            self._connection.execute("INSERT OR REPLACE INTO identities VALUES ('collection', ?)", (collection,))

    def _log_row(self, log_id: LogId) -> int:
        # Called before the transaction begins: were the name to be rolled back with it, the remembered id would lie.
        row = self._log_rows.get(log_id)
        if row is None:
            self._connection.execute("INSERT INTO logs (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (log_id,))
            row = int(self._connection.execute("SELECT id FROM logs WHERE name = ?", (log_id,)).fetchone()[0])
            self._log_rows[log_id] = row
        return row

    async def _pages(
        self, condition: str, parameters: tuple[Any, ...], page: int, *, after: int = 0, until: int | None = None
    ) -> AsyncIterator[LogSlice]:
        last = await self.end() if until is None else until
        while True:
            rows = await self._run(partial(self._page, condition, parameters, after, last, page))
            if not rows:
                return
            after = rows[-1][0]
            for log_name, group in itertools.groupby(rows, key=lambda row: row[1]):
                of_log = list(group)
                yield LogSlice(LogId(log_name), tuple(from_row(row[2:]) for row in of_log), last=of_log[-1][0])

    def _last_seq(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0])

    def _page(self, condition: str, parameters: tuple[Any, ...], after: int, last: int, page: int) -> list[Any]:
        columns = ", ".join(f"r.{column.strip()}" for column in RECORD_COLUMNS.split(","))
        # `condition` is one of this module's own constants; values are bound.
        query = (
            f"SELECT r.seq, l.name, {columns} FROM records r JOIN logs l ON l.id = r.log {_WATERMARK}"  # noqa: S608 - above
            f" WHERE r.seq > ? AND r.seq <= ? AND {condition} ORDER BY r.seq LIMIT ?"
        )
        return self._connection.execute(query, (after, last, *parameters, page)).fetchall()

    def _size(self) -> JournalSize:
        records = self._connection.execute("SELECT count(*) FROM records").fetchone()[0]
        pending = self._connection.execute(_COUNT_PENDING).fetchone()[0]
        return JournalSize(records, pending)

    def _prune(self, logged_before_ms: int) -> int:
        with self._transaction(durable=False):
            cursor = self._connection.execute(
                "DELETE FROM records WHERE timestamp_ms < ? AND seq < (SELECT max(seq) FROM records) AND EXISTS (SELECT 1 FROM watermarks w WHERE w.log = records.log"
                ' AND w.topic = records.topic AND w.partition = records.partition AND records."offset" < w.next_offset)',
                (logged_before_ms,),
            )
        return cursor.rowcount


def _insert_statement(rows: int) -> str:
    # sqlite3 caches prepared statements by their text; only the last chunk of a batch has a size of its own.
    places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    return (
        f"INSERT INTO records (log, {RECORD_COLUMNS}) VALUES {places}"  # noqa: S608 - only question marks
        ' ON CONFLICT (log, topic, partition, "offset") DO NOTHING'
    )


SCHEMA_VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    log INTEGER NOT NULL REFERENCES logs (id),
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    key BLOB,
    headers BLOB,
    value BLOB,
    UNIQUE (log, topic, partition, "offset")
);
CREATE TABLE watermarks (
    log INTEGER NOT NULL REFERENCES logs (id),
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (log, topic, partition)
) WITHOUT ROWID;
"""

_IDENTITIES: Final = "CREATE TABLE IF NOT EXISTS identities (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
"""Of the stores that the watermarks speak of. A release that does not know the table leaves it alone, so the format is the same."""

RECORD_COLUMNS: Final = 'topic, partition, "offset", timestamp_ms, key, headers, value'


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the journal, creating its tables where the file is new. Transactions are explicit (autocommit otherwise).

    Raises:
        IncompatibleIndexError: the file was written by a newer version of the journal.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
    connection.execute("PRAGMA journal_mode = WAL")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        return connection
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        connection.close()
        msg = f"the journal {path} has format {version}, this program knows {SCHEMA_VERSION}: start the newer ferroflux"
        raise IncompatibleIndexError(msg)
    if version == 0:
        # One script, one transaction: a stop in between leaves an empty file, which is made again.
        connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    connection.execute(_IDENTITIES)
    return connection


def to_row(record: InboundRecord) -> tuple[Any, ...]:
    """The record as the values of `RECORD_COLUMNS`."""
    headers = _encode_headers(record.headers) if record.headers else None
    return (
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms,
        record.key,
        headers,
        record.value,
    )


def from_row(row: Sequence[Any]) -> InboundRecord:
    """The record that `to_row` gave."""
    topic, partition, offset, timestamp_ms, key, headers, value = row
    return InboundRecord(
        topic, partition, offset, timestamp_ms, key, value, () if headers is None else _decode_headers(headers)
    )


def _encode_headers(headers: tuple[tuple[str, bytes | None], ...]) -> bytes:
    # A header's value may be null or any bytes, so it travels as base64 inside JSON, readable with the sqlite3 shell.
    return orjson.dumps(
        [[name, None if value is None else base64.b64encode(value).decode("ascii")] for name, value in headers]
    )


def _decode_headers(raw: bytes) -> tuple[tuple[str, bytes | None], ...]:
    return tuple((name, None if value is None else base64.b64decode(value)) for name, value in orjson.loads(raw))
