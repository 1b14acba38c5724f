"""The files of one commit of a Tantivy index: holding on to them while the writer goes on, and putting them in place.

A segment's files are written once and never changed; only `meta.json`, replaced by renaming, says which segments make up
the commit. So one reading of `meta.json` and a hard link to each file that it names is a whole commit, whatever the
writer commits, merges or clears away meanwhile. If a file was cleared away before it was linked, a newer `meta.json` is
there, and the attempt begins again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from retrieval.text.tantivy_index.compatibility import METADATA_FILE
from runtime.clock import SYSTEM_CLOCK
from runtime.files import sync_folder
from schemas.errors import ContentionError, NotReadyError

META_FILE: Final = "meta.json"
COMMIT_FILE: Final = re.compile(
    rf"[0-9a-f]{{32}}(?:\.[0-9]+)?\.[a-z]{{2,16}}|{re.escape(META_FILE)}|{re.escape(METADATA_FILE)}"
)
"""What a file of a commit may be called: no separator, no leading dot, nothing that leaves a folder."""

_MANAGED_FILE: Final = ".managed.json"
_COMPONENTS: Final = ("idx", "pos", "term", "store", "fast", "fieldnorm")
_PIN_PREFIX: Final = ".pinned-"
_PIN_ATTEMPTS: Final = 50
_REMOVE_ATTEMPTS: Final = 20
_REMOVE_AGAIN_S: Final = 0.05
_ABANDONED_S: Final = 24 * 3600


def holds_index(directory: Path) -> bool:
    """Whether there is an index in the folder: a commit, whatever wrote it."""
    return (directory / META_FILE).exists()


def files_of_commit(meta: bytes) -> tuple[str, ...]:
    """Names of the segment files that a `meta.json` speaks of."""
    names: list[str] = []
    for segment in json.loads(meta)["segments"]:
        stem = segment["segment_id"].replace("-", "")
        names += [f"{stem}.{component}" for component in _COMPONENTS]
        if segment["deletes"] is not None:
            names.append(f"{stem}.{segment['deletes']['opstamp']}.del")
    return tuple(names)


@contextmanager
def pinned_commit(directory: Path) -> Iterator[Path]:
    """A folder that holds the newest commit as it is now, an index of its own to every reader; gone at the end.

    The folder lies inside `directory`, since hard links need one file system; where there are none, files are copied.

    Raises:
        NotReadyError: there is no index in `directory`.
        ContentionError: the writer cleared files away faster than they were linked, each of many times.
    """
    if not holds_index(directory):
        raise NotReadyError(
            f"there is no text index in {directory} yet; start the replica, or wait until it has made one"
        )
    _clear_abandoned(directory)
    pinned = Path(tempfile.mkdtemp(prefix=_PIN_PREFIX, dir=directory))
    try:
        for _ in range(_PIN_ATTEMPTS):
            if _pin(directory, pinned):
                break
        else:
            raise ContentionError(f"the text index in {directory} changed {_PIN_ATTEMPTS} times while it was pinned")
        yield pinned
    finally:
        _remove(pinned)


def complete_staged(staged: Path) -> None:
    """Give a folder of commit files the list from which Tantivy's writer knows what it may clear away later."""
    names = [META_FILE, *files_of_commit((staged / META_FILE).read_bytes())]
    (staged / _MANAGED_FILE).write_text(json.dumps(names) + "\n")


def place_commit(staged: Path, directory: Path) -> None:
    """Move the files of a staged commit into `directory`, which holds no index; it does from the last file on.

    What an attempt that was interrupted left behind is replaced.
    """
    for leftover in directory.iterdir():
        if leftover.is_file() and COMMIT_FILE.fullmatch(leftover.name):
            leftover.unlink()
    for name in [*files_of_commit((staged / META_FILE).read_bytes()), _MANAGED_FILE, METADATA_FILE]:
        (staged / name).replace(directory / name)
    sync_folder(directory)
    (staged / META_FILE).replace(directory / META_FILE)
    sync_folder(directory)


def _pin(directory: Path, pinned: Path) -> bool:
    meta = (directory / META_FILE).read_bytes()
    try:
        _link(directory, pinned, files_of_commit(meta))
        shutil.copyfile(directory / METADATA_FILE, pinned / METADATA_FILE)
    except FileNotFoundError:
        for leftover in pinned.iterdir():
            leftover.unlink()
        return False
    (pinned / META_FILE).write_bytes(meta)
    return True


def _link(directory: Path, pinned: Path, names: Iterable[str]) -> None:
    for name in names:
        try:
            os.link(directory / name, pinned / name)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(directory / name, pinned / name)


def _remove(pinned: Path) -> None:
    # A reader's own thread may write its lock file in the middle of it; what stays all the same is cleared away a day later.
    for _ in range(_REMOVE_ATTEMPTS):
        shutil.rmtree(pinned, ignore_errors=True)
        if not pinned.exists():
            return
        time.sleep(_REMOVE_AGAIN_S)


def _clear_abandoned(directory: Path) -> None:
    """Remove what a process left that was killed while it held a commit."""
    for folder in directory.glob(f"{_PIN_PREFIX}*"):
        if SYSTEM_CLOCK.now_us() / 1e6 - folder.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
