"""Who owns a data directory, and how its last owner left it.

The lock is the kernel's (flock), so it falls with its process however that ends. Whether the stop was clean is told by
a marker file, and whether the machine itself went down in between by the kernel's boot id in it: a process that was
killed loses nothing that it had written, while a power cut may take what no one had synced.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import orjson

from ferroflux.embedded.storage.layout import DataDirectory
from runtime.files import atomic_write
from schemas.errors import IndexInUseError

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
