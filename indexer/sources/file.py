"""The history of sources as a file beside the journal: the embedded system's, whose broker forgets at a stop.

It is replaced whole by a rename, durable before anybody hears of the entry. The process that owns the data directory is
the only one that writes it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from indexer.sources.port import Decide
from runtime.clock import Clock
from runtime.files import atomic_write
from schemas.errors import IncompatibleIndexError, InvalidEventError
from schemas.product.sources import HOLDS_AFTER_MS, SourceEntry, SourceHistory


class FileSourceStore:
    """The port `SourceStore` on a file. `heard` gets all entries before an addition is answered."""

    def __init__(
        self, path: Path, clock: Clock, heard: Callable[[Sequence[SourceEntry]], None] = lambda _: None
    ) -> None:
        self._path = path
        self._clock = clock
        self._heard = heard
        self._alone = threading.Lock()

    async def entries(self) -> Sequence[SourceEntry]:
        """All entries.

        Raises:
            IncompatibleIndexError: the file is damaged.
        """
        return await asyncio.to_thread(self.read)

    async def add(self, decide: Decide) -> SourceEntry:
        """Decide and add, one at a time."""
        return await asyncio.to_thread(self._add, decide)

    def read(self) -> Sequence[SourceEntry]:
        """All entries; blocking."""
        try:
            raw = orjson.loads(self._path.read_bytes())
            return tuple(SourceEntry.from_bytes(orjson.dumps(one)) for one in raw)
        except FileNotFoundError:
            return ()
        except (orjson.JSONDecodeError, TypeError, InvalidEventError) as error:
            raise IncompatibleIndexError(
                f"{self._path} is no history of sources ({error}): stop the process beside it and restore the file from a backup"
            ) from error

    def _add(self, decide: Decide) -> SourceEntry:
        with self._alone:
            entries = self.read()
            entry = decide(SourceHistory(entries), self._clock.now_us() // 1_000 + HOLDS_AFTER_MS)
            after = (*entries, entry)
            self._write(after)
            self._heard(after)
            return entry

    def _write(self, entries: Sequence[SourceEntry]) -> None:
        atomic_write(self._path, orjson.dumps([entry.to_json() for entry in entries], option=orjson.OPT_INDENT_2))
