"""Snapshots: consistent while the writer runs, refused when they are not what was written, never outside their folder."""

import asyncio
import json
import random
import shutil
import threading
from functools import partial
from pathlib import Path

import pytest

from query_api.replica.settings import SnapshotSettings
from query_api.replica.snapshots.create import create_snapshot, newest_of_kind, prune_snapshots
from query_api.replica.snapshots.manifest import (
    CorruptSnapshotError,
    IncompatibleSnapshotError,
    Manifest,
    SnapshotFile,
    SnapshotStoreError,
    require_fitting,
)
from query_api.replica.snapshots.restore import restore_newest, restore_snapshot, verify_snapshot
from query_api.replica.snapshots.schedule import SnapshotSchedule
from query_api.replica.snapshots.store import SnapshotStore, shown_url
from retrieval.text.apart.values import Apart, Flaw, LogNotes
from retrieval.text.apart.values import Place as Place_
from retrieval.text.factory import open_reader, open_writer
from retrieval.text.port import Checkpoint
from retrieval.text.settings import TextIndexSettings
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import ConfigurationError, NotReadyError
from tests.support.waiting import eventually
from tests.unit.query_api.replica.fakes import SetClock, document

pytestmark = pytest.mark.slow

TOPIC = "catalog.documents"


class Place:
    """A replica's folder and a store of snapshots beside it."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "text"
        self.folder = root / "snapshots"
        self.store = SnapshotStore(f"file://{self.folder}")
        self.restored = root / "restored"

    def write(self, *skus: str, offset: int = 1, rev: int = 1, log_id: str = "log-1") -> None:
        writer = open_writer(TextIndexSettings(directory=self.directory, heap_mb=15))
        writer.apply([document(sku, rev) for sku in skus], Checkpoint(log_id, {0: offset}))
        writer.close()

    def take(self) -> Manifest:
        return create_snapshot(self.directory, self.store, topic=TOPIC)

    def restore(self, log_id: str | None = "log-1", clock: Clock = SYSTEM_CLOCK):
        return restore_newest(self.store, self.restored, topic=TOPIC, log_id=log_id, oldest_s=86_400.0, clock=clock)

    def held(self) -> dict[str, int]:
        reader = open_reader(TextIndexSettings(directory=self.restored))
        return {str(key.sku): rev for key, rev in reader.revisions()}

    def file_of(self, manifest: Manifest, ending: str) -> Path:
        return next((self.folder / manifest.id).glob(f"*.{ending}"))

    def edit(self, manifest: Manifest, **changes: object) -> None:
        path = self.folder / manifest.id / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def test_a_restored_snapshot_holds_the_documents_and_the_offsets(place):
    place.write("A", "B", offset=7)
    taken = place.take()
    assert (taken.alive, taken.dead, taken.checkpoint) == (2, 0, Checkpoint("log-1", {0: 7}))
    assert place.restore().manifest == taken
    assert place.held() == {"A": 1, "B": 1}
    writer = open_writer(TextIndexSettings(directory=place.restored, heap_mb=15))
    assert writer.checkpoint() == Checkpoint("log-1", {0: 7})
    writer.close()


def test_a_restored_snapshot_holds_what_was_set_apart(place):
    writer = open_writer(TextIndexSettings(directory=place.directory, heap_mb=15))
    apart = Apart(Flaw.MALFORMED_DOCUMENT, Place_(0, 6), "acme/A", "invalid_event", "no JSON", told=True)
    writer.apply([document("B")], Checkpoint("log-1", {0: 7}), notes=LogNotes(malformed=[apart]))
    writer.close()
    place.take()
    place.restore()
    writer = open_writer(TextIndexSettings(directory=place.restored, heap_mb=15))
    assert writer.set_apart().ledger.entries == (apart,)
    writer.close()


def test_a_writer_clears_away_the_files_of_a_restored_snapshot_as_it_does_its_own(place):
    place.write("A")
    place.take()
    place.restore()
    before = {path.name for path in place.restored.glob("*.store")}
    writer = open_writer(TextIndexSettings(directory=place.restored, heap_mb=15))
    for rev in range(2, 16):
        writer.apply([document("A", rev)], Checkpoint("log-1", {0: rev}))
    writer.close()
    assert not before & {path.name for path in place.restored.glob("*.store")}


def test_snapshots_taken_while_the_writer_commits_and_merges_are_each_one_commit(place):
    writer = open_writer(TextIndexSettings(directory=place.directory, heap_mb=15))
    done = threading.Event()

    def commit() -> None:
        rev = 0
        while not done.is_set():
            rev += 1
            writer.apply([document(f"S{number}", rev) for number in range(5)], Checkpoint("log-1", {0: rev}))

    writing = threading.Thread(target=commit)
    writing.start()
    try:
        taken: list[Manifest] = []
        while len(taken) < 8:
            try:
                taken.append(place.take())
            except NotReadyError:
                continue
    finally:
        done.set()
        writing.join()
        writer.close()
    for manifest in taken:
        shutil.rmtree(place.restored, ignore_errors=True)
        restore_snapshot(place.store, manifest, place.restored)
        assert place.held() == dict.fromkeys((f"S{number}" for number in range(5)), manifest.offsets[0])
    assert not list(place.directory.glob(".pinned-*"))


def test_an_index_that_nothing_was_committed_to_gives_no_snapshot(place):
    with pytest.raises(NotReadyError):
        place.take()
    open_writer(TextIndexSettings(directory=place.directory, heap_mb=15)).close()
    with pytest.raises(NotReadyError, match="nothing was committed"):
        place.take()
    assert place.store.ids() == []


@pytest.mark.parametrize("damage", ["flipped", "shorter", "longer", "missing"])
def test_a_damaged_snapshot_is_refused_and_an_older_whole_one_restored(place, damage):
    place.write("A")
    older = place.take()
    place.edit(older, id="20000101T000000Z-00000000")
    (place.folder / older.id).rename(place.folder / "20000101T000000Z-00000000")
    place.write("B", offset=2)
    newer = place.take()
    path = place.file_of(newer, "store")
    content = path.read_bytes()
    match damage:
        case "flipped":
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "shorter":
            path.write_bytes(content[:-1])
        case "longer":
            path.write_bytes(content + b"x")
        case "missing":
            path.unlink()
    with pytest.raises(CorruptSnapshotError, match=path.name):
        verify_snapshot(place.store, newer)
    restored = place.restore()
    assert restored.manifest.id == "20000101T000000Z-00000000"
    assert [refusal.snapshot_id for refusal in restored.refused] == [newer.id]
    assert place.held() == {"A": 1}


@pytest.mark.parametrize(
    "changes", [{"text_schema": "0"}, {"analyser": "0"}, {"topic": "other"}, {"log_id": "other"}, {"format": 2}]
)
def test_a_snapshot_of_another_version_or_log_is_refused(place, changes):
    place.write("A")
    place.edit(place.take(), **changes)
    restored = place.restore()
    assert restored.manifest is None
    assert len(restored.refused) == 1
    assert not (place.restored / "meta.json").exists()


@pytest.mark.parametrize(
    "changes", [{"alive": 5}, {"offsets": {"0": 9}}, {"files": []}, {"id": "20000101T000000Z-00000000"}]
)
def test_a_manifest_that_does_not_tell_what_is_there_is_refused(place, changes):
    place.write("A")
    place.edit(place.take(), **changes)
    assert place.restore().manifest is None


@pytest.mark.parametrize("name", ["../../escaped", "/etc/passwd", "a/b", ".managed.json", "meta.json/..", ""])
def test_a_manifest_cannot_name_a_file_outside_its_folder(place, name):
    place.write("A")
    manifest = place.take()
    entry = {"name": name, "bytes": 1, "sha256": "0" * 64}
    place.edit(manifest, files=[*(file.model_dump() for file in manifest.files), entry])
    assert place.restore().manifest is None
    with pytest.raises(ValueError, match="not the name"):
        SnapshotFile(name=name, bytes=1, sha256="0" * 64)


@pytest.mark.parametrize("snapshot_id", ["..", "../other", "20000101T000000Z-0000000g", ""])
def test_an_id_that_is_none_never_becomes_a_path(place, snapshot_id):
    with pytest.raises(ConfigurationError, match="no snapshot's id"):
        place.store.manifest(snapshot_id)


def test_an_unfinished_snapshot_is_none(place):
    place.write("A")
    manifest = place.take()
    (place.folder / manifest.id / "manifest.json").unlink()
    assert place.restore() == type(place.restore())(None)


def test_an_existing_index_is_not_replaced(place):
    place.write("A")
    manifest = place.take()
    with pytest.raises(ConfigurationError, match="holds a text index already"):
        restore_snapshot(place.store, manifest, place.directory)


def test_what_an_interrupted_restore_left_behind_is_replaced(place):
    place.write("A")
    place.take()
    place.restored.mkdir()
    (place.restored / ".restoring").mkdir()
    (place.restored / ".restoring" / "half").write_text("x")
    (place.restored / f"{'a' * 32}.store").write_text("x")
    assert place.restore().manifest is not None
    assert place.held() == {"A": 1}
    assert not (place.restored / f"{'a' * 32}.store").exists()


def test_only_old_snapshots_of_the_same_kind_are_removed(place):
    place.write("A", log_id="log-0")
    other = place.take()
    place.write("A")
    taken = []
    for second in range(4):
        manifest = place.take()
        dated = f"2000010{second + 1}T000000Z-00000000"
        place.edit(manifest, id=dated, created_us=second)
        (place.folder / manifest.id).rename(place.folder / dated)
        taken.append(dated)
    (place.folder / "19990101T000000Z-00000000").mkdir()
    newest = place.take()
    removed = prune_snapshots(place.store, newest, keep=3)
    assert sorted(removed) == ["19990101T000000Z-00000000", *taken[:2]]
    assert set(place.store.ids()) == {newest.id, other.id, *taken[2:]}


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("", "must name"),
        ("simplecache::file:///x", "must name"),
        ("nosuch://x", "no URL of a store"),
        ("sftp://host:port/x", "no URL of a store"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url, match):
    with pytest.raises(ConfigurationError, match=match):
        SnapshotStore(url)


def test_a_url_is_shown_without_its_secrets():
    assert shown_url("sftp://joe:secret@host:22/a/b?token=x") == "sftp://host:22/a/b"
    assert shown_url("/var/backup") == "/var/backup"


def test_a_store_that_cannot_be_written_is_reported_as_away(place):
    place.write("A")
    place.folder.write_text("a file where the folder should be")
    with pytest.raises(SnapshotStoreError, match="write a snapshot"):
        place.take()


class Counts:
    def __init__(self) -> None:
        self.taken: list[int] = []
        self.failures = 0

    def snapshot_taken(self, created_us: int) -> None:
        self.taken.append(created_us)

    def snapshot_failed(self) -> None:
        self.failures += 1


async def test_the_schedule_takes_one_an_interval_and_lets_old_ones_go(place):
    place.write("A")
    counts, clock, whole = Counts(), SetClock(), [False]
    schedule = SnapshotSchedule(
        place.directory,
        SnapshotSettings(url=f"file://{place.folder}", interval_s=600, keep=2),
        topic=TOPIC,
        log_of_replica=lambda: "log-1" if whole[0] else None,
        metrics=counts,
        rng=random.Random(1),
        clock=clock,
    )
    assert await schedule.turn() == 5.0
    assert place.store.ids() == []
    whole[0] = True
    for _ in range(4):
        await schedule.turn()
        newest = newest_of_kind(place.store, topic=TOPIC, log_id="log-1")
        clock.us = newest.created_us + 1
        rest_s = await schedule.turn()
        assert 599 <= rest_s <= 600 * 1.05
        assert newest_of_kind(place.store, topic=TOPIC, log_id="log-1") == newest
        clock.us = newest.created_us + 600_000_000
    assert len(place.store.ids()) == 2


async def test_a_failure_costs_a_warning_and_not_the_replica(place, monkeypatch):
    place.write("A")
    counts = Counts()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("query_api.replica.snapshots.schedule.create_snapshot", full)
    schedule = SnapshotSchedule(
        place.directory,
        SnapshotSettings(url=f"file://{place.folder}"),
        topic=TOPIC,
        log_of_replica=lambda: "log-1",
        metrics=counts,
        rng=random.Random(1),
    )
    running = asyncio.create_task(schedule.run())
    await eventually(lambda: counts.failures == 1)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_a_snapshot_of_any_log_fits_where_none_is_asked_for(place):
    place.write("A")
    check = partial(require_fitting, place.take(), topic=TOPIC, oldest_s=None)
    check(log_id=None)
    check(log_id="log-1")
    check(log_id="log-1/topic-1")  # it was taken by the release before, which knew the cluster alone
    with pytest.raises(IncompatibleSnapshotError, match="log 'log-1'"):
        check(log_id="log-2")


def test_a_snapshot_that_is_older_than_the_topic_remembers_deletions_is_refused_with_the_remedy(place):
    place.write("A")
    taken = place.take()
    clock = SetClock()
    clock.us = taken.created_us + 129_600_000_000
    restored = place.restore(clock=clock)
    assert restored.manifest is None
    assert "1.5 days ago, more than 1.0 (snapshots.oldest_s)" in restored.refused[0].reason
    assert "built from the log" in restored.refused[0].reason
    clock.us = taken.created_us + 77_760_000_000
    assert place.restore(clock=clock).manifest == taken
