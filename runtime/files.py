"""Files that are replaced whole: the one atomic write, and what tells a reader of another content for the price of a `stat`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


def atomic_write(path: Path, content: bytes, *, durable: bool = True, mode: int = 0o666) -> None:
    """Replace the file's content; guarantees and errors are those of `atomic_writer`."""
    with atomic_writer(path, durable=durable, mode=mode) as file:
        file.write(content)


@contextmanager
def atomic_writer(path: Path, *, durable: bool = True, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A binary file whose content takes the place of `path` at the end of the block, whole or not at all.

    A reader, and a process that starts after a crash, sees the old content or the new one. With `durable` the new content
    outlives a power cut once the block is left; without it, such a cut may also leave an empty file, and a killed process
    costs nothing. Several processes may write at once; the last rename wins. The folder must exist; `mode` is subject to
    the umask. Blocking.

    Raises:
        OSError: the file could not be written or renamed, and the old content stands; or the folder could not be synced, and
            the new content stands but may not outlive a power cut.
    """
    draft = path.with_name(f".{path.name}.{uuid4().hex[:16]}.tmp")
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: what was created, renamed or removed in it. Blocking."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """What changes whenever the content of a file that is replaced whole does; None where there is no file."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
