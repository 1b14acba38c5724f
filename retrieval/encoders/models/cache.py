"""A cache of folders on disk that several processes may fill at once: a folder appears whole or not at all."""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Final
from uuid import uuid4

from schemas.errors import ConfigurationError

_CONTENT_SUFFIXES: Final = frozenset(
    {".json", ".txt", ".model", ".bin", ".safetensors", ".onnx", ".onnx_data", ".data"}
)


def publish(entry: Path, build: Callable[[Path], None], is_intact: Callable[[Path], bool]) -> Path:
    """The folder `entry`, built if it is not there intact.

    `build` fills an empty folder beside it, which is then renamed; of two processes that build at once, the second finds
    the first one's folder and drops its own. A damaged entry is moved out of the way first.

    Raises:
        ConfigurationError: the cache directory cannot be written, or a file to build from cannot be read.
    """
    if is_intact(entry):
        return entry
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=entry.parent, ignore_cleanup_errors=True) as scratch:
            built = Path(scratch) / entry.name
            built.mkdir()
            build(built)
            if not is_intact(entry):
                _discard(entry)
                _move(built, entry, is_intact)
    except OSError as error:
        raise ConfigurationError(
            f"the model cache {entry.parent} cannot be filled: {error}. Make room or access there, or set encoder.cache_dir."
        ) from error
    return entry


def content_digest(files: Iterable[Path], *more: str) -> str:
    """Digest of the files' names and bytes and of more strings, 16 hex digits; 70 MB take a tenth of a second."""
    digest = blake2b(digest_size=8)
    for path in files:
        with path.open("rb") as stream:
            content = file_digest(stream, "sha256").hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode())
    for text in more:
        digest.update(f"{text}\n".encode())
    return digest.hexdigest()


def content_files(folder: Path) -> list[Path]:
    """The files of a model folder that decide what it computes, in a stable order."""
    return sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix in _CONTENT_SUFFIXES)


def _discard(entry: Path) -> None:
    if not entry.exists():
        return
    # Renaming is atomic where deleting a tree is not: another process never sees half of it.
    doomed = entry.with_name(f".damaged-{uuid4().hex}")
    entry.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _move(built: Path, entry: Path, is_intact: Callable[[Path], bool]) -> None:
    try:
        built.rename(entry)
    except OSError:
        # A folder that is not empty cannot be replaced: another process was faster.
        if not is_intact(entry):
            raise
