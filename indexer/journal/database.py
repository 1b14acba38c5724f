"""The journal's SQLite file: its tables, its pragmas, and the form of a record as a row.

Why these pragmas: WAL lets readers (replay, rebuild, status) run beside the writer; a transaction that holds records
commits with `synchronous=FULL`, since a producer's answer depends on it, a power cut included; one that holds only
watermarks commits with NORMAL, since a lost watermark merely applies records again, which changes nothing.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from indexer.records import InboundRecord
from schemas.errors import IncompatibleIndexError

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
