"""What the text index lies on: whether that is memory, and whether it is full.

A commit of Tantivy's is some twenty synced files, so a disk decides how fresh the index is; a memory-backed mount answers
in milliseconds, and is as large as somebody said.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from schemas.errors import StorageFullError

MEMORY_BACKED: Final = frozenset({"tmpfs", "ramfs"})
"""Types of file system that sync nothing."""

_MOUNTS: Final = Path("/proc/self/mounts")
_LITTLE_BYTES: Final = 4_000_000
"""With less than this left, a failed write is taken for one that found no room: Tantivy does not always say why."""


def file_system_of(directory: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the file system that a folder lies on, or would if it were made; empty where the system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place = directory.resolve()
    found = (0, "")
    for line in lines:
        _, mounted_at, kind, *_ = line.split(" ")
        # Blanks in a path are written as octal escapes.
        at = Path(mounted_at.encode().decode("unicode_escape"))
        if place.is_relative_to(at) and len(at.parts) >= found[0]:
            found = (len(at.parts), kind)
    return found[1]


def require_room(directory: Path, error: Exception) -> None:
    """Say so where a write failed for want of room; return where it failed for another reason.

    Raises:
        StorageFullError: the file system is full.
    """
    said = str(error)
    if "StorageFull" in said or "No space left" in said or _free_bytes(directory) < _LITTLE_BYTES:
        raise StorageFullError(
            f"there is no room left for the text index in {directory} ({file_system_of(directory) or 'unknown file system'}). "
            "Its last commit stands and the log has the rest: give the mount more room (three times the index, for its "
            "merges), or name a larger one in FERROFLUX_TEXT__DIRECTORY, and start again."
        ) from error


def _free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
