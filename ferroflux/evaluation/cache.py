"""Where evaluation keeps what it has built, and the digests under which: of a file's content, and of the code that reads it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from hashlib import blake2b, file_digest
from importlib import resources
from pathlib import Path
from typing import Final

from runtime.clock import SYSTEM_CLOCK
from schemas.errors import ConfigurationError

_UNUSED_DAYS: Final = 14
_DAY_S: Final = 86_400
_COMPLETE: Final = ".complete"


def default_cache_dir() -> Path:
    """`ferroflux/lab` in the user's cache directory (XDG)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "ferroflux" / "lab"


def built_once(entry: Path, build: Callable[[Path], None]) -> Path:
    """The folder `entry`, built by `build` where it is not there whole. Two processes may build at once; one wins.

    Neighbours that nobody used for two weeks are removed.

    Raises:
        ConfigurationError: the cache directory cannot be written.
    """
    try:
        if not (entry / _COMPLETE).exists():
            entry.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=".building-", dir=entry.parent, ignore_cleanup_errors=True
            ) as draft:
                built = Path(draft) / entry.name
                built.mkdir()
                build(built)
                (built / _COMPLETE).touch()
                _move(built, entry)
        (entry / _COMPLETE).touch()
        _forget_unused(entry.parent)
    except OSError as error:
        raise ConfigurationError(
            f"the cache of evaluations {entry.parent} cannot be written ({error}): make room or access there, or give --cache-dir"
        ) from error
    return entry


def content_digest(path: Path) -> str:
    """Digest of a file's bytes, 16 hex digits.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def source_digest(*modules: str) -> str:
    """Digest of the code and data files of packages (`retrieval.analysis`) and modules (`retrieval.passages`).

    While an analysis is being worked on, its version number says less than its code does.
    """
    digest = blake2b(digest_size=8)
    for name in sorted(modules):
        package, _, module = name.rpartition(".")
        single = resources.files(package).joinpath(f"{module}.py") if package else None
        found = (
            [Path(str(single))] if single is not None and single.is_file() else _files(Path(str(resources.files(name))))
        )
        for path in found:
            digest.update(f"{name}/{path.name}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def combined_digest(*parts: str) -> str:
    """One digest of several texts, 16 hex digits."""
    return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts
    )


def _move(built: Path, entry: Path) -> None:
    try:
        if entry.exists():
            shutil.rmtree(entry)
        built.rename(entry)
    except OSError:
        # A folder that is not empty cannot be replaced: another process was faster, and its content is the same.
        if not (entry / _COMPLETE).exists():
            raise


def _forget_unused(folder: Path) -> None:
    oldest = SYSTEM_CLOCK.now_us() / 1e6 - _UNUSED_DAYS * _DAY_S
    for entry in folder.iterdir():
        stamp = entry / _COMPLETE
        if not entry.name.startswith(".") and stamp.exists() and stamp.stat().st_mtime < oldest:
            shutil.rmtree(entry, ignore_errors=True)
