"""Restoring a snapshot: every file checked against its digest, the whole opened and compared, and only then put in place."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from query_api.replica.snapshots.manifest import (
    CorruptSnapshotError,
    IncompatibleSnapshotError,
    Manifest,
    require_fitting,
)
from query_api.replica.snapshots.store import SnapshotStore
from retrieval.text.factory import open_reader
from retrieval.text.settings import TextIndexSettings
from retrieval.text.tantivy_index.commit_files import (
    META_FILE,
    complete_staged,
    files_of_commit,
    holds_index,
    place_commit,
)
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import ConfigurationError, IncompatibleIndexError

log = structlog.get_logger(__name__)

_STAGING: Final = ".restoring"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A snapshot that was not restored, and why."""

    snapshot_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restored:
    """The snapshot that was put in place (None: none fitted), and those that were refused before it."""

    manifest: Manifest | None
    refused: tuple[Refusal, ...] = ()


def restore_newest(
    store: SnapshotStore,
    directory: Path,
    *,
    topic: str,
    log_id: str | None,
    oldest_s: float | None,
    clock: Clock = SYSTEM_CLOCK,
) -> Restored:
    """Put the newest snapshot in place that is whole and fits (`require_fitting`); refuse the others with a reason, and restore none if none does.

    Raises:
        ConfigurationError: there is an index in `directory` already.
        SnapshotStoreError: the store did not answer.
    """
    refused: list[Refusal] = []
    for snapshot_id in store.ids():
        try:
            manifest = store.manifest(snapshot_id)
            if manifest is None:
                continue
            require_fitting(manifest, topic=topic, log_id=log_id, oldest_s=oldest_s, clock=clock)
            restore_snapshot(store, manifest, directory)
        except (CorruptSnapshotError, IncompatibleSnapshotError) as error:
            log.warning("snapshot refused", snapshot=snapshot_id, code=error.code, reason=str(error))
            refused.append(Refusal(snapshot_id, str(error)))
        else:
            return Restored(manifest, tuple(refused))
    log.warning("no snapshot fits; the replica is built from the log", store=store.name, refused=len(refused))
    return Restored(None, tuple(refused))


def restore_snapshot(store: SnapshotStore, manifest: Manifest, directory: Path) -> None:
    """Put one snapshot into `directory`, which must hold no index.

    Raises:
        ConfigurationError: there is an index in `directory` already.
        CorruptSnapshotError: it is not what was written.
        IncompatibleSnapshotError: this version cannot read it.
        SnapshotStoreError: the store did not answer.
    """
    if holds_index(directory):
        raise ConfigurationError(
            f"{directory} holds a text index already: stop its replica and delete the folder, or restore into another"
        )
    started = time.perf_counter()
    directory.mkdir(parents=True, exist_ok=True)
    with _staging(directory / _STAGING) as staged:
        _fetch(store, manifest, staged)
        place_commit(staged, directory)
    log.info(
        "snapshot restored",
        snapshot=manifest.id,
        store=store.name,
        directory=str(directory),
        products=manifest.alive,
        age_s=round((SYSTEM_CLOCK.now_us() - manifest.created_us) / 1e6),
        seconds=round(time.perf_counter() - started, 2),
    )


def verify_snapshot(store: SnapshotStore, manifest: Manifest) -> None:
    """Do everything that a restore does, in a temporary folder, and throw it away.

    Raises:
        CorruptSnapshotError: it is not what was written.
        IncompatibleSnapshotError: this version cannot read it.
        SnapshotStoreError: the store did not answer.
    """
    with tempfile.TemporaryDirectory(prefix="ferroflux-verify-") as folder:
        _fetch(store, manifest, Path(folder))


def _fetch(store: SnapshotStore, manifest: Manifest, staged: Path) -> None:
    for entry in manifest.files:
        store.fetch(manifest.id, entry, staged)
    try:
        needed = set(files_of_commit((staged / META_FILE).read_bytes()))
    except (ValueError, LookupError, TypeError) as error:
        raise CorruptSnapshotError(f"snapshot {manifest.id} holds no commit: its {META_FILE} cannot be read") from error
    missing = sorted(needed - {entry.name for entry in manifest.files})
    if missing:
        raise CorruptSnapshotError(f"the manifest of snapshot {manifest.id} lacks {missing[0]}, which its commit needs")
    complete_staged(staged)
    try:
        reader = open_reader(TextIndexSettings(directory=staged))
        held = (reader.checkpoint(), reader.counts().alive, reader.counts().dead)
    except IncompatibleIndexError as error:
        raise IncompatibleSnapshotError(f"snapshot {manifest.id}: {error}") from error
    except ValueError as error:  # Tantivy's only exception: the files are no index that it can read
        raise CorruptSnapshotError(f"snapshot {manifest.id} cannot be opened: {error}") from error
    if held != (manifest.checkpoint, manifest.alive, manifest.dead):
        raise CorruptSnapshotError(f"snapshot {manifest.id} holds another commit than its manifest says")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
