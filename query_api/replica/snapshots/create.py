"""Taking a snapshot of a replica that goes on writing, and letting old ones go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import structlog

from query_api.replica.snapshots.manifest import (
    CorruptSnapshotError,
    IncompatibleSnapshotError,
    Manifest,
    new_snapshot_id,
)
from query_api.replica.snapshots.store import SnapshotStore
from retrieval.text.factory import open_reader
from retrieval.text.settings import TextIndexSettings
from retrieval.text.tantivy_index.commit_files import META_FILE, files_of_commit, pinned_commit
from retrieval.text.tantivy_index.compatibility import METADATA_FILE, current_metadata
from runtime.clock import SYSTEM_CLOCK
from schemas.errors import NotReadyError

log = structlog.get_logger(__name__)

_UNFINISHED_US: Final = 24 * 3600 * 1_000_000
"""A snapshot without a manifest that is older than this was abandoned."""


def create_snapshot(directory: Path, store: SnapshotStore, *, topic: str) -> Manifest:
    """Copy the newest commit of the index in `directory` to the store. The writer may go on meanwhile.

    Raises:
        NotReadyError: there is no index, or nothing was committed to it yet.
        SnapshotStoreError: the store did not take it; what was written so far is no snapshot.
    """
    started = time.perf_counter()
    now_us = SYSTEM_CLOCK.now_us()
    with pinned_commit(directory) as pinned:
        reader = open_reader(TextIndexSettings(directory=pinned))
        checkpoint, counts = reader.checkpoint(), reader.counts()
        if checkpoint is None:
            raise NotReadyError(f"nothing was committed to the text index in {directory} yet")
        snapshot_id = new_snapshot_id(now_us)
        names = (*files_of_commit((pinned / META_FILE).read_bytes()), METADATA_FILE, META_FILE)
        files = tuple(store.put(snapshot_id, pinned / name) for name in names)
    current = current_metadata()
    manifest = Manifest(
        id=snapshot_id,
        created_us=now_us,
        topic=topic,
        log_id=checkpoint.log_id,
        offsets=dict(checkpoint.offsets),
        alive=counts.alive,
        dead=counts.dead,
        text_schema=current["schema"],
        analyser=current["analyser"],
        library=current["library"],
        files=files,
    )
    store.finish(manifest)
    log.info(
        "snapshot taken",
        snapshot=snapshot_id,
        store=store.name,
        products=counts.alive,
        megabytes=round(manifest.size_bytes / 1e6, 1),
        seconds=round(time.perf_counter() - started, 2),
    )
    return manifest


def prune_snapshots(store: SnapshotStore, taken: Manifest, *, keep: int) -> list[str]:
    """Remove all but the `keep` newest snapshots of the kind of the one just taken; returns the ids of those removed.

    Of its kind is what has the same topic, log, schema and analyser. Others are left alone: a version that is being
    rolled back to, or another installation, may rely on them. A snapshot of any kind that was abandoned unfinished goes.
    """
    removed: list[str] = []
    of_its_kind = 0
    for snapshot_id in store.ids():
        try:
            manifest = store.manifest(snapshot_id)
        except (CorruptSnapshotError, IncompatibleSnapshotError) as error:
            log.warning("snapshot cannot be read", snapshot=snapshot_id, reason=str(error))
            continue
        if manifest is None:
            due = snapshot_id < new_snapshot_id(taken.created_us - _UNFINISHED_US)
        else:
            same = _kind(manifest) == _kind(taken)
            of_its_kind += same
            due = same and of_its_kind > keep
        if due:
            store.remove(snapshot_id)
            removed.append(snapshot_id)
    if removed:
        log.info("snapshots removed", snapshots=removed, kept=keep)
    return removed


def newest_of_kind(store: SnapshotStore, *, topic: str, log_id: str) -> Manifest | None:
    """The newest finished snapshot that this version took of this log; None where there is none."""
    current = current_metadata()
    for snapshot_id in store.ids():
        try:
            manifest = store.manifest(snapshot_id)
        except (CorruptSnapshotError, IncompatibleSnapshotError):
            continue  # `prune_snapshots` reports it
        if manifest is not None and _kind(manifest) == (topic, log_id, current["schema"], current["analyser"]):
            return manifest
    return None


def _kind(manifest: Manifest) -> tuple[str, str, str, str]:
    return manifest.topic, manifest.log_id, manifest.text_schema, manifest.analyser
