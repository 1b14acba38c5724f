"""`ferroflux snapshot create|list|verify|restore`: snapshots of the text replica, by hand.

The replica process takes and restores them by itself (FERROFLUX_SNAPSHOTS__URL); these commands are for looking, for
checking, and for the embedded mode.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from ferroflux.cli.options import JsonOption
from ferroflux.data_directory import DataDirectory, Ownership
from ferroflux.embedded.reconcile import require_stopped
from query_api.replica.settings import ReplicaSettings
from query_api.replica.snapshots.create import create_snapshot, prune_snapshots
from query_api.replica.snapshots.manifest import (
    CorruptSnapshotError,
    IncompatibleSnapshotError,
    Manifest,
    require_fitting,
)
from query_api.replica.snapshots.restore import restore_newest, restore_snapshot, verify_snapshot
from query_api.replica.snapshots.store import SnapshotStore
from retrieval.generations.file import GenerationFile
from retrieval.generations.fitting import configured, text_folder
from retrieval.generations.view import view_of
from retrieval.text.tantivy_index.commit_files import holds_index
from runtime.observability.logs import configure_quiet_logging
from schemas.errors import NotFoundError

app = typer.Typer(no_args_is_help=True)

EXIT_BAD: Final = 1

_StoreOption = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="FERROFLUX_SNAPSHOTS__URL",
        help="Folder of the snapshots, any fsspec URL: file:///backup/replica, s3://bucket/replica.",
        show_default=False,
    ),
]
_EmbeddedOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder of a `ferroflux up` instead of the replica in FERROFLUX_TEXT__DIRECTORY.",
        show_default=False,
    ),
]
_SnapshotArgument = Annotated[str, typer.Argument(help="A snapshot's id; default: the newest.", show_default=False)]


@app.callback()
def group() -> None:
    """Snapshots of the text replica: take, list, verify, restore.

    A replica takes and restores them by itself where FERROFLUX_SNAPSHOTS__URL is set; a worker that starts without an
    index restores the newest that fits and reads the rest from the log.

    **Example**

        ferroflux snapshot create --url s3://backup/replica && ferroflux snapshot verify --url s3://backup/replica
    """


@app.command()
def create(
    *,
    url: _StoreOption = "",
    data_dir: _EmbeddedOption = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Then remove all but the newest KEEP of this log and version.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take a snapshot of the replica on this machine. The replica goes on running."""
    configure_quiet_logging()
    place, store = _Place.of(data_dir), SnapshotStore(url)
    manifest = create_snapshot(place.directory, store, topic=place.topic)
    removed = [] if keep is None else prune_snapshots(store, manifest, keep=keep)
    if as_json:
        print(json.dumps({**_summary(manifest), "removed": removed}))
        return
    print(f"{manifest.id}: {manifest.alive:,} products, {_megabytes(manifest)} in {store.name}")
    for snapshot_id in removed:
        print(f"removed {snapshot_id}")


@app.command("list")
def list_(*, url: _StoreOption = "", data_dir: _EmbeddedOption = None, as_json: JsonOption = False) -> None:
    """List the snapshots, newest first, and say of each whether this version can restore it."""
    configure_quiet_logging()
    place, store = _Place.of(data_dir), SnapshotStore(url)
    table = Table(box=None, header_style="bold")
    # The id holds the time, and is what the other commands take: it is never cut.
    table.add_column("snapshot", no_wrap=True)
    for column in ("products", "size", "log", "state"):
        table.add_column(column)
    for snapshot_id in store.ids():
        manifest, state = _look(store, snapshot_id, place)
        if as_json:
            print(json.dumps({**(_summary(manifest) if manifest else {"id": snapshot_id}), "state": state}))
        elif manifest is None:
            table.add_row(snapshot_id, "", "", "", state)
        else:
            table.add_row(snapshot_id, f"{manifest.alive:,}", _megabytes(manifest), manifest.log_id, state)
    if not as_json:
        Console(markup=False).print(table)


@app.command()
def verify(snapshot: _SnapshotArgument = "", *, url: _StoreOption = "", data_dir: _EmbeddedOption = None) -> None:
    """Read a whole snapshot, check every digest, and open it. Exit code 1 where it could not be restored."""
    configure_quiet_logging()
    place, store = _Place.of(data_dir), SnapshotStore(url)
    try:
        manifest = _manifest(store, snapshot)
        place.require_fitting(manifest)
        verify_snapshot(store, manifest)
    except (CorruptSnapshotError, IncompatibleSnapshotError) as error:
        print(f"refused: {error}")
        raise typer.Exit(EXIT_BAD) from None
    print(f"{manifest.id}: whole; {manifest.alive:,} products, {len(manifest.files)} files, {_megabytes(manifest)}")


@app.command()
def restore(snapshot: _SnapshotArgument = "", *, url: _StoreOption = "", data_dir: _EmbeddedOption = None) -> None:
    """Restore a snapshot into the replica's folder, which must hold no index. The replica must not run.

    Without an id, the newest that is whole and fits. Over the folder of a `ferroflux up`, its next start compares the
    restored replica with the vector index and publishes what differs.
    """
    configure_quiet_logging()
    place, store = _Place.of(data_dir), SnapshotStore(url)
    with place.owned():
        if snapshot:
            manifest = _manifest(store, snapshot)
            place.require_fitting(manifest)
            restore_snapshot(store, manifest, place.directory)
        else:
            restored = restore_newest(store, place.directory, topic=place.topic, log_id=None, oldest_s=place.oldest_s)
            for refusal in restored.refused:
                print(f"refused: {refusal.reason}")
            if restored.manifest is None:
                raise NotFoundError(
                    f"no snapshot in {store.name} fits; a replica without an index is built from the log"
                )
            manifest = restored.manifest
    print(f"{manifest.id}: {manifest.alive:,} products restored into {place.directory}")


@dataclass(frozen=True, slots=True)
class _Place:
    """The replica that a command is about: in production, that of the live generation."""

    directory: Path
    topic: str
    embedded: DataDirectory | None
    oldest_s: float | None
    """None: the next start of `up` compares the stores, so no age is too great."""

    @classmethod
    def of(cls, data_dir: Path | None) -> "_Place":
        settings = ReplicaSettings()
        topic, oldest_s = settings.kafka.topics.documents, settings.snapshots.oldest_s
        if data_dir is None:
            root = settings.text.directory
            view = view_of(GenerationFile(root).read(), configured(documents=topic))
            manifest = view.manifest(view.live)
            return cls(text_folder(root, manifest), manifest.documents, None, oldest_s)
        embedded = DataDirectory.resolve(data_dir)
        return cls(embedded.text, topic, embedded, None)

    def require_fitting(self, manifest: Manifest) -> None:
        """Check that a snapshot can serve this replica. Raises as `query_api.replica.snapshots.manifest.require_fitting`."""
        require_fitting(manifest, topic=self.topic, log_id=None, oldest_s=self.oldest_s)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold an embedded folder's lock; where a replica was put in place, leave its mark, so that its next start compares the stores."""
        if self.embedded is None:
            yield
            return
        if self.embedded.journal.exists():
            require_stopped(self.embedded)
        ownership = Ownership.take(self.embedded)
        held = holds_index(self.directory)
        try:
            yield
        finally:
            ownership.release(clean=holds_index(self.directory) == held)


def _manifest(store: SnapshotStore, snapshot_id: str) -> Manifest:
    chosen = snapshot_id or next(iter(store.ids()), "")
    manifest = store.manifest(chosen) if chosen else None
    if manifest is None:
        raise NotFoundError(
            f"there is no finished snapshot {chosen} in {store.name}; `ferroflux snapshot list` shows them"
        )
    return manifest


def _look(store: SnapshotStore, snapshot_id: str, place: _Place) -> tuple[Manifest | None, str]:
    try:
        manifest = store.manifest(snapshot_id)
    except (CorruptSnapshotError, IncompatibleSnapshotError) as error:
        return None, str(error)
    if manifest is None:
        return None, "unfinished"
    try:
        place.require_fitting(manifest)
    except IncompatibleSnapshotError as error:
        return manifest, str(error)
    return manifest, "fits"


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {**manifest.model_dump(mode="json", exclude={"files"}), "bytes": manifest.size_bytes}


def _megabytes(manifest: Manifest) -> str:
    return f"{manifest.size_bytes / 1e6:,.1f} MB"
