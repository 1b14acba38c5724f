"""The content store: a vector is found by space, model revision and the digest of what was embedded, whichever product had it.

It is a bounded cache beside the vector index: what it lost, or dropped for its bound, is computed again. Here are the port and
its adapter on SQLite, for `ferroflux up`; the one on a server is `retrieval.vectors.qdrant.contents`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import structlog

from retrieval.encoders.port import SparseVector
from retrieval.vectors.port import AnyVector
from runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

T = TypeVar("T")

_HEAD: Final = struct.Struct("<cI")
"""Kind (`d`ense, `s`parse), and CRC-32 of what follows."""


class ContentVectors(ABC):
    """Any number of indexers may share one: equal keys have equal vectors, so it does not matter who writes last.

    Every method may raise whatever its store does; who asks goes on without it. `held_bytes` is how much is held, as of the
    last `put`.
    """

    held_bytes = 0

    async def get(self, space: str, revision: str, hashes: Collection[str]) -> dict[str, AnyVector | None]:
        """What is held of these digests; None where it is damaged (`put` replaces it)."""
        held = await self._read({f"{space}/{revision}/{each}": each for each in hashes})
        return {each: unpack(packed) for each, packed in held.items()}

    async def put(self, space: str, revision: str, vectors: Mapping[str, AnyVector]) -> None:
        """Keep vectors by digest; the oldest ones go where the bound is reached."""
        if vectors:
            await self._write({f"{space}/{revision}/{each}": pack(vector) for each, vector in vectors.items()})

    @abstractmethod
    async def close(self) -> None:
        """Let go of the store."""

    @abstractmethod
    async def _read(self, keys: Mapping[str, str]) -> dict[str, bytes]:
        """What is stored under the keys, by the names that the mapping gives them."""

    @abstractmethod
    async def _write(self, packed: Mapping[str, bytes]) -> None:
        """Store under the keys, over what is there."""


def pack(vector: AnyVector) -> bytes:
    """A vector's very bytes (little-endian) under a checksum: it comes back bit by bit, or is known to be damaged."""
    if isinstance(vector, SparseVector):
        kind, body = b"s", vector.indices.astype("<u4").tobytes() + vector.values.astype("<f4").tobytes()
    else:
        kind, body = b"d", np.asarray(vector, "<f4").tobytes()
    return _HEAD.pack(kind, zlib.crc32(body)) + body


def unpack(packed: bytes) -> AnyVector | None:
    """The vector that was packed; None where these are not the bytes of one."""
    head, body = packed[: _HEAD.size], packed[_HEAD.size :]
    if head == _HEAD.pack(b"d", zlib.crc32(body)) and len(body) % 4 == 0:
        return np.frombuffer(body, "<f4").astype(np.float32)
    if head == _HEAD.pack(b"s", zlib.crc32(body)) and len(body) % 8 == 0:
        indices, values = np.frombuffer(body, "<u4"), np.frombuffer(body, "<f4")
        half = len(indices) // 2
        return SparseVector(indices[:half].astype(np.uint32), values[half:].astype(np.float32))
    return None


_SETUP: Final = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS contents (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, used INTEGER NOT NULL, vector BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_use ON contents (used);
"""
_DROP_OLDEST: Final = "DELETE FROM contents WHERE id IN (SELECT id FROM contents ORDER BY used, id LIMIT 64)"
_USE_S: Final = 3600
"""Uses are told apart by the hour, so that a vector that is found again and again is marked once an hour."""


class SqliteContentVectors(ContentVectors):
    """The port in a file that one process owns (or `:memory:`), opened with the first call; oldest use first out.

    All statements run on one thread of the store's own, and none waits for the disk: a power cut may lose the newest vectors, and
    a damaged file is begun anew. `max_bytes` bounds the pages that hold something: the file grows no further (its log, of some 4 MB,
    aside), and shrinks at the next start where the bound was lowered.
    """

    def __init__(self, path: Path | str, max_bytes: int, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._clock = clock
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="contents")
        self._opened: sqlite3.Connection | None = None

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
        self._executor.shutdown()

    async def _read(self, keys: Mapping[str, str]) -> dict[str, bytes]:
        def select(file: sqlite3.Connection) -> dict[str, bytes]:
            within = f"key IN ({', '.join('?' * len(keys))})"
            rows = file.execute(f"SELECT key, vector FROM contents WHERE {within}", list(keys)).fetchall()  # noqa: S608 - question marks
            if rows:
                hour = self._hour()
                file.execute(f"UPDATE contents SET used = ? WHERE used < ? AND {within}", [hour, hour, *keys])  # noqa: S608 - question marks
            return {keys[key]: vector for key, vector in rows}

        return await self._run(select)

    async def _write(self, packed: Mapping[str, bytes]) -> None:
        def upsert(file: sqlite3.Connection) -> None:
            # One statement, since each step of one takes and gives the GIL (see `indexer.journal`).
            values: list[Any] = [value for key, vector in packed.items() for value in (key, self._hour(), vector)]
            file.execute(
                f"INSERT OR REPLACE INTO contents (key, used, vector) VALUES {', '.join(['(?, ?, ?)'] * len(packed))}",  # noqa: S608 - question marks
                values,
            )
            self._trim(file)

        await self._run(upsert)

    async def _run(self, statement: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._on_thread, statement)

    def _on_thread(self, statement: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._opened is None:
                # A statement is a transaction: a row more or less does no harm.
                self._opened = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
                self._opened.executescript(_SETUP)
                self._trim(self._opened)
                self._opened.executescript("PRAGMA incremental_vacuum")
            return statement(self._opened)
        except sqlite3.DatabaseError as error:
            # Its subclasses are of the moment (locked, full); itself, it says that the file is none of ours, or damaged.
            if type(error) is sqlite3.DatabaseError:
                log.warning("the content store is begun anew", path=str(self._path), reason=str(error))
                self._disconnect()
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            raise

    def _disconnect(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _trim(self, file: sqlite3.Connection) -> None:
        dropped = 1
        while dropped:
            size, pages, free = (
                file.execute(f"PRAGMA {of}").fetchone()[0] for of in ("page_size", "page_count", "freelist_count")
            )
            self.held_bytes = size * (pages - free)
            dropped = file.execute(_DROP_OLDEST).rowcount if self.held_bytes > self._max_bytes else 0

    def _hour(self) -> int:
        return self._clock.now_us() // 1_000_000 // _USE_S
