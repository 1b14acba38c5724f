"""The loaded catalogue: made once through `ferroflux up` and `ferroflux ingest`, kept under var/bench, copied for every use.

Its name says what is in it (catalogue, model): another catalogue or model makes another one. What a benchmark changes,
it changes in its copy.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from ferroflux.embedded.storage.layout import DataDirectory
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.prepare import PrepareSettings
from retrieval.text.settings import TextIndexSettings
from retrieval.text.tantivy_index.compatibility import require_compatible
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.port import PointWrite, VectorIndex
from retrieval.vectors.settings import VectorSettings
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.errors import IncompatibleIndexError
from tests.benchmarks.systems.embedded import Embedded
from tests.benchmarks.workload.catalogue import Catalogue
from tests.support.data import ROOT
from tests.support.processes import ManagedProcess

_KEPT = ROOT / "var" / "bench"
_PAGE = 256


@dataclass(frozen=True, slots=True)
class Prepared:
    """A catalogue, the model and the folder in which both stores hold it."""

    catalogue: Catalogue
    model: str
    folder: Path
    quick: bool

    @property
    def data(self) -> DataDirectory:
        return DataDirectory(self.folder / "data")

    @property
    def loaded_in_s(self) -> float:
        """Seconds that loading took, whenever that was."""
        seconds: float = orjson.loads((self.folder / "loaded.json").read_bytes())["seconds"]
        return seconds

    @contextmanager
    def copy(self) -> Iterator[DataDirectory]:
        """A copy of the data directory, gone at the end."""
        with self.scratch() as folder:
            shutil.copytree(self.data.root, folder / "data")
            yield DataDirectory(folder / "data")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder beside it (on the same disk), gone at the end."""
        with tempfile.TemporaryDirectory(prefix="run-", dir=_KEPT) as folder:
            yield Path(folder)

    @asynccontextmanager
    async def vectors(self) -> AsyncIterator[EdgeIndex]:
        """The vector index of a copy, opened in this process."""
        with self.copy() as data:
            index = await EdgeIndex.open(VectorSettings(directory=data.vectors))
            try:
                yield index
            finally:
                await index.close()

    @property
    def text(self) -> TextIndexSettings:
        """The text index; readers change nothing in it."""
        return TextIndexSettings(directory=self.data.text)

    async def pour_into(self, target: VectorIndex) -> int:
        """Write every point, vector included, into another vector index; returns how many."""
        poured = 0
        async with self.vectors() as source:
            async for page in source.scan(page=_PAGE):
                stored = await source.vectors(list(page), using=TEXT_VECTOR)
                writes = [
                    PointWrite(key, None, payload, {TEXT_VECTOR: stored[key]} if key in stored else {})
                    for key, payload in page.items()
                ]
                refused = await target.write(writes)
                assert not refused, f"{len(refused)} points were there already"
                poured += len(writes)
        return poured


def prepare(*, quick: bool) -> Prepared:
    """The loaded catalogue, loaded now where it is not there yet (a few minutes of inference)."""
    catalogue = Catalogue.load(quick=quick)
    model = encoder().revision.id
    prepared = Prepared(catalogue, model, _KEPT / f"{catalogue.digest}-{model}", quick)
    if not (prepared.folder / "loaded.json").exists():
        _load(prepared)
    try:
        require_compatible(prepared.data.text)
    except IncompatibleIndexError:
        _renew_text(prepared)
    return prepared


def encoder() -> TextEncoder:
    """The encoder with the settings that every process takes from the environment, or has by default."""
    return load_encoder(PrepareSettings().encoder)


def _renew_text(prepared: Prepared) -> None:
    """Another version of the text analysis: the start after an unclean stop compares the stores and publishes what lacks."""
    print("the text index is of another version and is made anew", flush=True)
    shutil.rmtree(prepared.data.text)
    prepared.data.running.write_text("{}")
    with Embedded(prepared.data, prepared.folder / "logs") as system:
        asyncio.run(system.holds(len(prepared.catalogue.rows)))


def _load(prepared: Prepared) -> None:
    print(f"loading {prepared.catalogue.name} once, kept in {prepared.folder.relative_to(ROOT)}", flush=True)
    shutil.rmtree(prepared.folder, ignore_errors=True)
    prepared.folder.mkdir(parents=True)
    file = prepared.folder / "catalogue.jsonl.gz"
    prepared.catalogue.write(file)
    started = time.perf_counter()
    with Embedded(prepared.data, prepared.folder / "logs") as system:
        ingest = ManagedProcess(
            "ingest",
            [sys.executable, "-m", "ferroflux.cli.main", "ingest", str(file), "--url", system.url()],
            log_dir=prepared.folder / "logs",
        )
        ingest.start()
        while ingest.running:
            time.sleep(0.5)
        assert ingest.returncode == 0, ingest.tail()
        asyncio.run(system.holds(len(prepared.catalogue.rows)))
    seconds = time.perf_counter() - started
    (prepared.folder / "loaded.json").write_bytes(orjson.dumps({"seconds": round(seconds, 1)}))
