"""`ferroflux reconcile` over the folder of a stopped `ferroflux up`: real stores on disk, the repair in the journal."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from ferroflux.cli.main import EXIT_CONFIGURATION, main
from ferroflux.data_directory import DataDirectory, Ownership, PreviousStop
from ferroflux.embedded.recovery import replay
from ferroflux.ingest.columns import ColumnMapping
from ferroflux.operations.reconcile import CatalogueRows
from indexer.journal import SqliteChangeJournal
from indexer.records import LogId, next_offsets
from retrieval.testing import HashingEncoder
from retrieval.text.factory import open_writer
from retrieval.text.port import Checkpoint
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import spaces_of
from schemas.identity import SkuKey
from schemas.product.changes import ChangeEvent
from tests.support.indexing.fakes import DocumentLog, event, make_pipeline, records_of

pytestmark = pytest.mark.slow

EVENTS = [
    event("A", "item", 1, {"title": "Clavo 2 pulgadas"}),
    event("A", "price", 1, {"price": 3.5, "currency": "MXN"}),
    event("B", "item", 1, {"title": "Pija"}),
]
LOG = LogId("log-1")


class Installation:
    """A data directory as a stopped system leaves it."""

    def __init__(self, root: Path) -> None:
        self.directory = DataDirectory(root)
        self.vectors = VectorSettings(kind=VectorStoreKind.EDGE, directory=self.directory.vectors)

    async def take(self, indexed: list[ChangeEvent], lost: list[ChangeEvent] = ()) -> None:
        self.directory.root.mkdir(exist_ok=True)
        journal = SqliteChangeJournal.open(self.directory.journal)
        index = await EdgeIndex.open(self.vectors)
        await index.prepare(spaces_of(HashingEncoder().revision))
        topic = DocumentLog()
        await make_pipeline(index, publisher=topic).process(records_of(indexed))
        await index.close()
        records = records_of([*indexed, *lost])
        await journal.append(LOG, records)
        await journal.mark_applied(LOG, next_offsets(records))
        await journal.close()
        writer = open_writer(TextIndexSettings(directory=self.directory.text, heap_mb=15))
        writer.apply(list(topic.compacted().values()), Checkpoint("log-1", {0: 1}))
        writer.close()

    async def next_start(self) -> dict[str, bytes]:
        """What the next start's replay makes of the vector index."""
        journal = SqliteChangeJournal.open(self.directory.journal)
        index = await EdgeIndex.open(self.vectors)
        await replay(journal, make_pipeline(index), lambda *_: None)
        held = {str(key): payload.state async for page in index.scan() for key, payload in page.items()}
        await index.close()
        await journal.close()
        return held


@pytest.fixture
def here(tmp_path, monkeypatch) -> Installation:
    # Logging belongs to a process: configured in this one it would hold on to the captured streams of this test.
    monkeypatch.setattr("runtime.observability.logs._configure", lambda *_, **__: None)
    return Installation(tmp_path / "data")


def run(here: Installation, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["reconcile", "--data-dir", str(here.directory.root), *arguments])
    return int(ended.value.code or 0)


def summary(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("source", ["log", "documents", "stores"])
def test_a_sound_installation_agrees_and_stays_marked_as_cleanly_stopped(here, capsys, source):
    asyncio.run(here.take(EVENTS))
    assert run(here, "--source", source) == 0
    told = summary(capsys)
    assert (told["agree"], told["products"], told["replica_compared"]) == (True, 2, True)
    assert not here.directory.running.exists()


def test_what_the_store_lost_of_the_log_is_journalled_and_applied_by_the_next_start(here, capsys):
    asyncio.run(here.take(EVENTS[:2], EVENTS[2:]))
    assert run(here, "--source", "log") == 1
    assert summary(capsys)["differences"] == {"missing": 1}
    assert run(here, "--source", "log", "--repair") == 0
    assert summary(capsys)["events_sent"] == 1
    assert set(asyncio.run(here.next_start())) == {"acme/A", "acme/B"}


def test_a_replica_that_lags_leaves_the_folder_to_the_next_start(here):
    asyncio.run(here.take(EVENTS))
    writer = open_writer(TextIndexSettings(directory=here.directory.text, heap_mb=15))
    writer.apply([], Checkpoint("log-1", {0: 2}), removed=[SkuKey.of("acme", "B")])
    writer.close()
    assert run(here, "--source", "stores") == 1
    assert not here.directory.running.exists()
    assert run(here, "--source", "stores", "--repair") == 0
    ownership = Ownership.take(here.directory)
    assert ownership.previous is PreviousStop.KILLED
    ownership.release(clean=True)


def test_a_replica_that_is_gone_lacks_everything(here, capsys):
    asyncio.run(here.take(EVENTS))
    shutil.rmtree(here.directory.text)
    assert run(here, "--source", "stores") == 1
    assert summary(capsys)["differences"] == {"replica_missing": 2}


def test_a_catalogue_file_is_compared_and_mended(here, capsys, tmp_path):
    asyncio.run(here.take([*EVENTS, event("X", "item", 1, {"title": "Sobra"})]))
    file = tmp_path / "catalogue.csv"
    file.write_text(
        "sku,titulo,precio,moneda\nA,Clavo 2 pulgadas,3.50,MXN\nB,Pija negra,,\nC,Taquete,,\n,sin clave,,\n"
    )
    assert run(here, "--source", str(file), "--tenant", "acme") == 1
    told = summary(capsys)
    assert told["differences"] == {"missing": 1, "extra": 1, "different": 1}
    assert (told["rows"], told["rejected"]) == (4, 1)
    assert run(here, "--source", str(file), "--tenant", "acme", "--repair") == 1, "the extra product stays"
    capsys.readouterr()
    held = asyncio.run(here.next_start())
    assert b"Pija negra" in held["acme/B"]
    assert b"Taquete" in held["acme/C"]
    assert run(here, "--source", str(file), "--tenant", "acme", "--repair", "--delete-extra") == 0
    assert summary(capsys)["events_sent"] == 1
    assert b'"f":null' in asyncio.run(here.next_start())["acme/X"]


def test_a_running_or_killed_system_is_not_touched(here, capsys):
    asyncio.run(here.take(EVENTS))
    ownership = Ownership.take(here.directory)
    assert run(here, "--source", "log") == EXIT_CONFIGURATION
    ownership.release(clean=False)
    assert run(here, "--source", "log") == EXIT_CONFIGURATION
    assert "was not stopped in order" in capsys.readouterr().err


def test_a_folder_that_is_none_and_a_file_that_is_not_there_are_said_so(here, capsys):
    assert run(here, "--source", "log") == EXIT_CONFIGURATION
    assert "is no folder of a `ferroflux up`" in capsys.readouterr().err
    asyncio.run(here.take(EVENTS))
    assert run(here, "--source", "nowhere.csv") == EXIT_CONFIGURATION
    assert "there is no file nowhere.csv" in capsys.readouterr().err


@pytest.mark.parametrize(("chosen", "versioned"), [({}, False), ({"sequence": "secuencia"}, True)])
def test_rows_have_versions_where_a_column_of_them_is_named(tmp_path, chosen, versioned):
    file = tmp_path / "rows.csv"
    file.write_text("sku,title,secuencia\nA,Clavo,7\n")
    assert CatalogueRows(file, ColumnMapping(chosen), tenant="acme").versioned is versioned
