"""The records of the generations as a file: the embedded system's own store, and a replica's copy for the workers beside it.

It is replaced whole by a rename, so that a reader never sees half, and a stamp tells readers of a change for the price
of a `stat`. A lock beside it makes a commit atomic between processes.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from retrieval.generations.transitions import Transition
from retrieval.generations.view import GenerationView, Records, is_report, report_record, view_of
from runtime.files import Stamp, atomic_write, stamp_of
from schemas.errors import IncompatibleIndexError
from schemas.records.generations import ReplicaReport

FILE_NAME: Final = "generations.json"


@dataclass(frozen=True, slots=True)
class GenerationFile:
    """The file in one folder. All methods block, briefly."""

    folder: Path

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder / FILE_NAME

    def stamp(self) -> Stamp | None:
        """What changes whenever the content does; None where there is no file."""
        return stamp_of(self.path)

    def read(self) -> Records:
        """The records; none where there is no file.

        Raises:
            IncompatibleIndexError: the file is not of this version.
        """
        try:
            raw: Any = orjson.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except orjson.JSONDecodeError as error:
            raise IncompatibleIndexError(
                f"{self.path} is no JSON: stop the processes beside it and restore it from a backup (a replica's copy may "
                "be deleted: it is written anew from the log)"
            ) from error
        return {str(key): orjson.dumps(value) for key, value in raw.items()}

    def write(self, records: Records) -> None:
        """Replace the content, durably, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {key: orjson.Fragment(value) for key, value in sorted(records.items())}
        atomic_write(self.path, orjson.dumps(content))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be alone with the file, among all processes that ask for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{FILE_NAME}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class FileGenerationStore:
    """The port `GenerationStore` on a file: reports of the one process that owns it are kept in memory."""

    def __init__(self, folder: Path) -> None:
        self.file = GenerationFile(folder)
        self._reports: dict[str, bytes] = {}

    async def records(self) -> Records:
        """The newest value of every key."""
        return {**await asyncio.to_thread(self.file.read), **self._reports}

    async def commit(self, transition: Transition) -> GenerationView:
        """Decide and write under the lock."""
        return await asyncio.to_thread(self._commit, transition)

    async def report(self, report: ReplicaReport) -> None:
        """Replace a replica's report."""
        self._reports.update((report_record(report),))

    def _commit(self, transition: Transition) -> GenerationView:
        with self.file.locked():
            records = {key: value for key, value in self.file.read().items() if not is_report(key)}
            changes = transition(view_of(records))
            after = {key: value for key, value in (records | dict(changes)).items() if value is not None}
            if after != records:
                self.file.write(after)
            return view_of(after)
