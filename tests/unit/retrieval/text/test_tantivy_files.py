"""The Tantivy adapter's files: who may open them, what they must be, what a crash or a replacement leaves."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from retrieval.analysis.pipeline import analyse
from retrieval.filters import CatalogueFilter
from retrieval.text.factory import open_reader, open_writer
from retrieval.text.port import Checkpoint
from retrieval.text.query import TextQuery
from retrieval.text.settings import TextIndexSettings
from retrieval.text.tantivy_index.compatibility import METADATA_FILE
from schemas.documents import SearchDocument
from schemas.errors import IncompatibleIndexError, IndexInUseError, NotReadyError
from schemas.identity import SkuKey, TenantId

pytestmark = pytest.mark.slow

TENANT = TenantId("acme")
HERE = CatalogueFilter(TENANT)


def document(sku: str, title: str = "Martillo", rev: int = 1) -> SearchDocument:
    return SearchDocument(tenant=TENANT, sku=sku, rev=rev, state="0" * 16, title=title)


class Unwritable(SearchDocument):
    def to_bytes(self) -> bytes:
        raise OSError("the disk is away")


@pytest.fixture
def settings(tmp_path) -> TextIndexSettings:
    return TextIndexSettings(directory=tmp_path / "deep" / "text", heap_mb=15)


def write(settings: TextIndexSettings, *documents: SearchDocument, offset: int = 1) -> None:
    writer = open_writer(settings)
    writer.apply(documents, Checkpoint("log", {0: offset}))
    writer.close()


def test_data_and_checkpoint_are_there_after_reopening(settings):
    write(settings, document("1"), offset=7)
    writer = open_writer(settings)
    assert writer.checkpoint() == Checkpoint("log", {0: 7})
    assert writer.apply([document("1", rev=1), document("2")], Checkpoint("log", {0: 8})).written == 2
    writer.close()
    reader = open_reader(settings)
    assert (reader.counts().alive, reader.checkpoint()) == (2, Checkpoint("log", {0: 8}))


def test_a_second_writer_is_refused_until_the_first_is_closed(settings):
    first = open_writer(settings)
    with pytest.raises(IndexInUseError, match="Stop it first"):
        open_writer(settings)
    first.close()
    open_writer(settings).close()


def test_a_closed_writer_refuses_to_write(settings):
    writer = open_writer(settings)
    writer.close()
    with pytest.raises(IndexInUseError, match="closed"):
        writer.apply([document("1")], Checkpoint("log"))


def test_a_batch_that_fails_leaves_nothing_behind(settings):
    writer = open_writer(settings)
    writer.apply([document("1")], Checkpoint("log", {0: 1}))
    broken = Unwritable(**document("3").model_dump())
    with pytest.raises(OSError, match="away"):
        writer.apply([document("1", "Tenaza", 2), broken], Checkpoint("log", {0: 2}))
    writer.apply([document("4")], Checkpoint("log", {0: 3}))
    writer.close()
    reader = open_reader(settings)
    assert dict(reader.revisions()) == {SkuKey.of("acme", "1"): 1, SkuKey.of("acme", "4"): 1}


def test_a_reader_waits_for_an_index_that_is_not_there_yet(settings):
    reader = open_reader(settings)
    assert not reader.refresh()
    with pytest.raises(NotReadyError, match="no text index"):
        reader.counts()
    with pytest.raises(NotReadyError):
        reader.search(TextQuery.of(analyse("martillo")), catalogue_filter=HERE, limit=1)
    write(settings, document("1"))
    assert reader.refresh()
    assert reader.counts().alive == 1


def test_a_reader_does_not_hinder_the_writer(settings):
    write(settings, document("1"))
    open_reader(settings)
    write(settings, document("2"))


def test_a_reader_follows_when_the_index_is_replaced(settings):
    write(settings, document("1"), document("2"))
    reader = open_reader(settings)
    shutil.rmtree(settings.directory)
    write(settings, document("3"), offset=9)
    assert reader.refresh()
    assert reader.counts().alive == 1
    assert reader.checkpoint() == Checkpoint("log", {0: 9})


@pytest.mark.parametrize("aspect", ["schema", "analyser"])
def test_an_index_of_another_version_is_refused_by_both_sides(settings, aspect):
    write(settings, document("1"))
    path = settings.directory / METADATA_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), aspect: "0"}))
    with pytest.raises(IncompatibleIndexError, match=f"{aspect} 0"):
        open_writer(settings)
    with pytest.raises(IncompatibleIndexError):
        open_reader(settings)


@pytest.mark.parametrize("content", [None, "not json"])
def test_an_index_that_says_nothing_of_its_origin_is_refused(settings, content):
    write(settings, document("1"))
    path = settings.directory / METADATA_FILE
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(IncompatibleIndexError, match="Delete the folder"):
        open_writer(settings)


def test_an_index_of_another_format_is_refused(settings):
    write(settings, document("1"))
    for segment in settings.directory.glob("*.term"):
        body = bytearray(segment.read_bytes())
        at = body.rfind(b'"index_format_version":') + len(b'"index_format_version":')
        body[at : at + 1] = b"1"
        segment.write_bytes(body)
    with pytest.raises(IncompatibleIndexError, match="cannot read"):
        open_writer(settings)


def test_a_crash_before_the_first_commit_leaves_a_folder_to_start_from(settings):
    settings.directory.mkdir(parents=True)
    write(settings)
    shutil.copy(settings.directory / METADATA_FILE, settings.directory.parent)
    shutil.rmtree(settings.directory)
    settings.directory.mkdir()
    shutil.copy(settings.directory.parent / METADATA_FILE, settings.directory)
    write(settings, document("1"))
    assert open_reader(settings).counts().alive == 1


COMMIT_FOR_EVER = """
import itertools, sys
from pathlib import Path
from retrieval.text.factory import open_writer
from retrieval.text.port import Checkpoint
from retrieval.text.query import TextQuery
from retrieval.text.settings import TextIndexSettings
from schemas.documents import SearchDocument
import structlog
structlog.configure(processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])
writer = open_writer(TextIndexSettings(directory=Path(sys.argv[1]), heap_mb=15))
begin = writer.checkpoint().offsets[0] + 1 if writer.checkpoint() else 1
for rev in itertools.count(begin):
    batch = [SearchDocument(tenant="acme", sku=str(i), rev=rev, state="0" * 16, title=f"Martillo {rev}") for i in range(20)]
    writer.apply(batch, Checkpoint("log", {0: rev}))
    print(rev, flush=True)
"""


def test_a_kill_in_mid_commit_leaves_data_and_checkpoint_of_one_commit(settings):
    acknowledged = 0
    for delay in (0.0, 0.013, 0.037):
        with subprocess.Popen(
            [sys.executable, "-c", COMMIT_FOR_EVER, str(settings.directory)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[4],
        ) as process:
            assert process.stdout is not None
            for _ in range(3):
                acknowledged = int(process.stdout.readline())
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        reader = open_reader(settings)
        checkpoint = reader.checkpoint()
        assert checkpoint is not None
        assert checkpoint.offsets[0] in (acknowledged, acknowledged + 1)
        assert {rev for _, rev in reader.revisions()} == {checkpoint.offsets[0]}
        assert reader.counts().alive == 20
    writer = open_writer(settings)
    assert writer.checkpoint() == checkpoint
    writer.close()


def test_readers_answer_while_the_writer_merges_and_cleans_up(settings):
    write(settings, *[document(str(i)) for i in range(50)])
    reader = open_reader(settings)
    stop = threading.Event()
    answers: list[int] = []

    def ask() -> None:
        while not stop.is_set():
            reader.refresh()
            hits = reader.search(TextQuery.of(analyse("martillo")), catalogue_filter=HERE, limit=100)
            answers.append(len(reader.fetch([hit.key for hit in hits])))

    thread = threading.Thread(target=ask)
    thread.start()
    writer = open_writer(settings)
    for rev in range(2, 27):
        writer.apply([document(str(rev), rev=rev)], Checkpoint("log", {0: rev}))
    writer.close()
    stop.set()
    thread.join()
    assert set(answers) == {50}
    reader.refresh()
    assert reader.counts().alive == 50


def test_what_a_kill_in_mid_commit_left_is_in_the_way_of_no_later_commit(settings, tmp_path):
    """The next commit has the number of the one that was cut off, and its list of deletions the same name."""
    write(settings, *(document(f"S{number}") for number in range(20)))
    ahead = TextIndexSettings(directory=tmp_path / "ahead", heap_mb=15)
    shutil.copytree(settings.directory, ahead.directory)
    write(ahead, document("S1", rev=2), offset=2)
    [left] = {path.name for path in ahead.directory.glob("*.del")} - {
        path.name for path in settings.directory.glob("*.del")
    }
    (settings.directory / left).write_bytes((ahead.directory / left).read_bytes()[:10])
    managed = settings.directory / ".managed.json"
    managed.write_text(json.dumps([*json.loads(managed.read_text()), left]))
    for rev in (2, 3):
        write(settings, document("S1", rev=rev), offset=rev)
    reader = open_reader(settings)
    assert dict(reader.revisions())[SkuKey.of("acme", "S1")] == 3
    assert reader.counts().alive == 20
