"""The data directory of `ferroflux up`: where each part lies, which process owns it, how the last owner left it, and where that one answers.

The lock is the kernel's (flock), so it falls with its process however that ends. A marker file tells whether the stop was
clean, and the kernel's boot id in it whether the machine itself went down in between: a process that was killed loses
nothing that it had written, while a power cut may take what no one had synced.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runtime.files import atomic_write
from schemas.errors import IndexInUseError

DATA_DIR_VARIABLE: Final = "FERROFLUX_DATA_DIR"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The paths of one embedded installation; copying the folder of a stopped one copies the installation."""

    root: Path

    @classmethod
    def resolve(cls, chosen: Path | None = None) -> DataDirectory:
        """The folder given, else that of `FERROFLUX_DATA_DIR`, else `.ferroflux` in the working directory."""
        return cls((chosen or Path(os.environ.get(DATA_DIR_VARIABLE) or ".ferroflux")).expanduser().absolute())

    @property
    def lock(self) -> Path:
        """Held by the process that owns the directory."""
        return self.root / "lock"

    @property
    def running(self) -> Path:
        """There while the system runs; found at a start, it says that the stop before was not clean."""
        return self.root / "running.json"

    @property
    def endpoint(self) -> Path:
        """How the other commands find the running system."""
        return self.root / "up.json"

    @property
    def journal(self) -> Path:
        """The change journal (SQLite)."""
        return self.root / "journal.db"

    @property
    def sources(self) -> Path:
        """Which sources feed which facets, as operators declared it."""
        return self.root / "sources.json"

    @property
    def dead_letters(self) -> Path:
        """Dead letters and what became of them (SQLite)."""
        return self.root / "dead-letters.db"

    @property
    def replays(self) -> Path:
        """Positions of `ferroflux replay` runs, so that an interrupted one goes on where it stopped."""
        return self.root / "replays"

    @property
    def vectors(self) -> Path:
        """The vector index (Qdrant Edge)."""
        return self.root / "vectors"

    @property
    def contents(self) -> Path:
        """Vectors by the text that they were computed from (SQLite): a lost vector index is built from them without inference."""
        return self.root / "contents.db"

    @property
    def one_spelling(self) -> Path:
        """There once every point of the vector index is under its SKU's one spelling."""
        return self.root / "one-spelling"

    @property
    def text(self) -> Path:
        """The text replica (Tantivy)."""
        return self.root / "text"

    @property
    def generations(self) -> Path:
        """Generations of the indexes beside `main`, a folder each."""
        return self.root / "generations"

    @property
    def sample_loaded(self) -> Path:
        """There once the sample catalogue was loaded, or declined: it is offered once in a directory's life."""
        return self.root / "sample.json"

    @property
    def ingest(self) -> Path:
        """Positions of `ferroflux ingest` runs, so that an interrupted one goes on where it stopped."""
        return self.root / "ingest"


_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class PreviousStop(Enum):
    """How the last owner of the directory ended."""

    CLEAN = "clean"
    """It stopped in order, or there was none: the stores agree."""
    KILLED = "killed"
    """The process died; what it had written is there, in whatever order."""
    MACHINE_DOWN = "machine down"
    """The machine went down with it: what was not synced may be gone. Also assumed where the system has no boot id."""


@dataclass(slots=True)
class Ownership:
    """The held lock. `previous` says how the last owner ended."""

    directory: DataDirectory
    previous: PreviousStop
    _descriptor: int

    @classmethod
    def take(cls, directory: DataDirectory) -> Ownership:
        """Lock the directory, creating it where it is absent, and mark it as running.

        Raises:
            IndexInUseError: another process owns it; the message names the process.
        """
        directory.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            msg = (
                f"{directory.root} is in use by a running `ferroflux up` (process {owner}). "
                "Stop it with Ctrl-C in its terminal, or start this one with another --data-dir"
            )
            raise IndexInUseError(msg) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode("ascii"))
        previous = _previous_stop(directory.running)
        # A machine that went down stays noted until the start has made up for it: killed before, the next start must know.
        _mark(directory, None if previous is PreviousStop.MACHINE_DOWN else _boot_id())
        return cls(directory, previous, descriptor)

    def made_up_for(self) -> None:
        """Note, durably, that nothing on disk trusts any more in what the machine may have lost; from now on a kill is a kill."""
        if self.previous is PreviousStop.MACHINE_DOWN:
            _mark(self.directory, _boot_id())

    def release(self, *, clean: bool) -> None:
        """Give the directory up; `clean` says that everything taken is in every store."""
        if clean:
            self.directory.running.unlink(missing_ok=True)
        os.close(self._descriptor)


def _mark(directory: DataDirectory, boot_id: str | None) -> None:
    atomic_write(directory.running, orjson.dumps({"pid": os.getpid(), "boot_id": boot_id}))


def _previous_stop(marker: Path) -> PreviousStop:
    try:
        left = orjson.loads(marker.read_bytes())
    except FileNotFoundError:
        return PreviousStop.CLEAN
    except orjson.JSONDecodeError:
        return PreviousStop.MACHINE_DOWN  # the marker itself is torn: nothing unsynced can be trusted
    boot_id = _boot_id()
    same_boot = isinstance(left, dict) and boot_id is not None and left.get("boot_id") == boot_id
    return PreviousStop.KILLED if same_boot else PreviousStop.MACHINE_DOWN


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


class Endpoint(BaseModel):
    """Where a running `ferroflux up` is reached: a small file that it keeps while it serves, by which the commands find it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int = Field(description="Its process.")
    url: str = Field(description="Base URL of the API and the page.")
    kafka: str = Field(description="Bootstrap address of the Kafka protocol.")

    def publish(self, directory: DataDirectory) -> None:
        """Write the file, whole or not at all."""
        atomic_write(directory.endpoint, (self.model_dump_json(indent=2) + "\n").encode(), durable=False)

    @classmethod
    def find(cls, directory: DataDirectory) -> Endpoint | None:
        """The running system of this directory; None where none runs (a file that a killed one left does not count)."""
        try:
            endpoint = cls.model_validate_json(directory.endpoint.read_bytes())
        except (OSError, ValidationError):
            return None
        return endpoint if _is_alive(endpoint.pid) else None

    @staticmethod
    def withdraw(directory: DataDirectory) -> None:
        """Remove the file."""
        directory.endpoint.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return Path("/proc", str(pid)).exists()
    return True
