"""The folder of snapshots behind an fsspec URL: one sub-folder a snapshot, its manifest written last.

The URL is the operator's, from the settings or the command line, never from a request. Below it only names that this
module makes or checks are ever joined to a path. All methods block; callers run them off the event loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import fsspec.core

from query_api.replica.snapshots.manifest import (
    MANIFEST_FILE,
    SNAPSHOT_ID,
    CorruptSnapshotError,
    Manifest,
    SnapshotFile,
    SnapshotStoreError,
)
from runtime.files import atomic_writer
from runtime.observability.redaction import redacted, without_credentials
from schemas.errors import ConfigurationError, FerrofluxError

_CHUNK: Final = 1024 * 1024
_MOST_MANIFEST_BYTES: Final = 8 * 1024 * 1024


class SnapshotStore:
    """The snapshots of one URL. `name` is the URL without secrets."""

    def __init__(self, url: str) -> None:
        """Resolve the URL; nothing is contacted yet.

        Raises:
            ConfigurationError: there is no URL, it is chained, or nothing here speaks its protocol.
        """
        if not url or "::" in url:
            raise ConfigurationError(
                "--url or FERROFLUX_SNAPSHOTS__URL must name one folder, such as file:///backup/replica or s3://bucket/replica"
            )
        try:
            self.name = shown_url(url)
            _ = urlsplit(url).port  # one that is no number is a URL's mistake, whatever store it names
            self._files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise ConfigurationError(f"the snapshot store needs a package that is not installed: {error}") from error
        except ValueError as error:
            # The reason may quote a part of the URL, and with it a part of a password.
            raise ConfigurationError("FERROFLUX_SNAPSHOTS__URL is no URL of a store that is known here") from error
        self._root = str(root).rstrip("/")

    def ids(self) -> list[str]:
        """Ids of the snapshots, newest first, unfinished ones included."""
        with self._reported("list the snapshots"):
            self._files.invalidate_cache()
            if not self._files.exists(self._root):
                return []
            names = [str(path).rstrip("/").rsplit("/", 1)[-1] for path in self._files.ls(self._root, detail=False)]
        return sorted((name for name in names if SNAPSHOT_ID.fullmatch(name)), reverse=True)

    def manifest(self, snapshot_id: str) -> Manifest | None:
        """The manifest; None for a snapshot that is not finished, or not there.

        Raises:
            CorruptSnapshotError: it cannot be read.
            IncompatibleSnapshotError: a later version wrote it.
        """
        with self._reported("read a manifest"):
            try:
                with self._files.open(self._path(snapshot_id, MANIFEST_FILE), "rb") as file:
                    content = file.read(_MOST_MANIFEST_BYTES)
            except FileNotFoundError:
                return None
        return Manifest.parse(snapshot_id, content)

    def put(self, snapshot_id: str, source: Path) -> SnapshotFile:
        """Write one file of a snapshot; returns what was written, by size and digest."""
        digest, size = hashlib.sha256(), 0
        with self._reported("write a snapshot"):
            self._files.makedirs(self._path(snapshot_id), exist_ok=True)
            with source.open("rb") as content, self._files.open(self._path(snapshot_id, source.name), "wb") as target:
                while chunk := content.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
        return SnapshotFile(name=source.name, bytes=size, sha256=digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, whole or not at all: from now on the snapshot counts."""
        draft, final = self._path(manifest.id, f"{MANIFEST_FILE}.part"), self._path(manifest.id, MANIFEST_FILE)
        with self._reported("write a manifest"):
            self._files.pipe_file(draft, manifest.model_dump_json(indent=1).encode())
            self._files.mv(draft, final)

    def fetch(self, snapshot_id: str, entry: SnapshotFile, folder: Path) -> None:
        """Read one file into `folder`, durably, and check it; never more than the manifest says is written.

        Raises:
            CorruptSnapshotError: the file is missing, or has another size or digest.
        """
        digest, size = hashlib.sha256(), 0
        with self._reported("read a snapshot"):
            try:
                source = self._files.open(self._path(snapshot_id, entry.name), "rb")
            except FileNotFoundError as error:
                raise CorruptSnapshotError(f"snapshot {snapshot_id} lacks its file {entry.name}") from error
            with source, atomic_writer(folder / entry.name) as target:
                while size <= entry.bytes and (chunk := source.read(_CHUNK)):
                    size += len(chunk)
                    digest.update(chunk)
                    target.write(chunk)
                if size != entry.bytes or digest.hexdigest() != entry.sha256:
                    raise CorruptSnapshotError(
                        f"the file {entry.name} of snapshot {snapshot_id} is not what was written"
                    )

    def remove(self, snapshot_id: str) -> None:
        """Remove a snapshot: its manifest first, so that no half of one is ever taken for a whole."""
        with self._reported("remove a snapshot"):
            manifest = self._path(snapshot_id, MANIFEST_FILE)
            if self._files.exists(manifest):
                self._files.rm_file(manifest)
            self._files.rm(self._path(snapshot_id), recursive=True)

    def _path(self, snapshot_id: str, name: str = "") -> str:
        if not SNAPSHOT_ID.fullmatch(snapshot_id):
            raise ConfigurationError(f"{snapshot_id[:80]!r} is no snapshot's id; `ferroflux snapshot list` shows them")
        return f"{self._root}/{snapshot_id}/{name}".rstrip("/")

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        try:
            yield
        except FerrofluxError:
            raise
        except Exception as error:  # each store's library has errors of its own
            raise SnapshotStoreError(
                f"{self.name} could not {what}: {type(error).__name__}: {redacted(_first_line(error))}"
            ) from error


def shown_url(url: str) -> str:
    """The URL without user, password and query, for logs and messages."""
    return without_credentials(url).partition("?")[0]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]
