"""What only the embedded index has: an owner, files, a process that may be killed, and maintenance."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.filters import CatalogueFilter
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.settings import HnswSettings, VectorSettings
from retrieval.vectors.spaces import spaces_of
from schemas.errors import IndexInUseError, ModelMismatchError, NotReadyError, StoreRefusedError
from tests.contracts.vector_index_suite import REVISION, TENANT, axis, create, key, payload, update
from tests.support.data import ROOT

pytestmark = pytest.mark.slow

KILLED_WRITER = """
import asyncio, sys
from pathlib import Path
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.settings import VectorSettings
from retrieval.vectors.spaces import spaces_of
from tests.contracts.vector_index_suite import REVISION, axis, create, update

async def main():
    index = await EdgeIndex.open(VectorSettings(directory=Path(sys.argv[1]), flush_every=int(sys.argv[2])))
    await index.prepare(spaces_of(REVISION))
    for start in range(0, 10**6, 10):
        skus = [f"s{n}" for n in range(start, start + 10)]
        await index.write([create(sku, axis(0)) for sku in skus])
        await index.write([update(sku, 1, price=2.0) for sku in skus])
        print(*skus, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def settings(tmp_path) -> VectorSettings:
    return VectorSettings(directory=tmp_path / "vectors")


@pytest.fixture
async def index(settings) -> AsyncIterator[EdgeIndex]:
    index = await EdgeIndex.open(settings)
    await index.prepare(spaces_of(REVISION))
    yield index
    await index.close()


async def test_a_second_owner_is_told_who_has_the_directory(index, settings):
    with pytest.raises(IndexInUseError, match=rf"in use by process {os.getpid()}"):
        await EdgeIndex.open(settings)


async def test_a_closed_index_lets_the_next_owner_in_with_all_that_was_written(index, settings):
    await index.write([create("a", axis(0)), create("b")])
    await index.write([update("b", 1, price=3.0)])
    await index.close()
    reopened = await EdgeIndex.open(settings)
    await reopened.prepare(spaces_of(REVISION))
    assert await reopened.read([key("a"), key("b")]) == {key("a"): payload(1), key("b"): payload(2, price=3.0)}
    assert [hit.key.sku for hit in await _search(reopened)] == ["a"]
    await reopened.close()


async def test_what_is_there_can_be_read_before_an_encoder_is_known(index, settings):
    await index.write([create("a", axis(0))])
    await index.close()
    reopened = await EdgeIndex.open(settings)
    assert (await reopened.counts()).alive == 1
    await reopened.close()


async def test_another_encoder_is_refused_after_a_restart(index, settings):
    await index.close()
    reopened = await EdgeIndex.open(settings)
    with pytest.raises(ModelMismatchError, match="weights"):
        await reopened.prepare(spaces_of(replace(REVISION, weights="other")))
    await reopened.close()


async def test_an_index_that_is_not_prepared_or_closed_says_so(settings):
    index = await EdgeIndex.open(settings)
    with pytest.raises(NotReadyError, match="not prepared"):
        await index.counts()
    await index.close()
    with pytest.raises(NotReadyError, match="closed"):
        await index.counts()
    await index.close()


async def test_a_creation_that_was_cut_short_is_begun_again(settings):
    settings.directory.mkdir()
    unfinished = settings.directory / "shard.new"
    unfinished.mkdir()
    (unfinished / "rubbish").write_bytes(b"\0")
    (settings.directory / "model.json").write_bytes(b'{"model_revision": {"model": "another"}}')
    index = await EdgeIndex.open(settings)
    await index.prepare(spaces_of(REVISION))
    assert await index.write([create("a", axis(0))]) == frozenset()
    await index.close()


async def test_a_vector_of_the_wrong_dimension_is_an_error_and_nothing_is_written(index):
    with pytest.raises(StoreRefusedError, match="dim"):
        await index.write([create("a", axis(0)[:3])])
    assert await index.read([key("a")]) == {}


@pytest.mark.parametrize("flush_every", [50, 10**6], ids=["flushed often", "never flushed"])
async def test_every_acknowledged_write_survives_a_killed_process(tmp_path, flush_every):
    directory = tmp_path / "vectors"
    skus = _acknowledged_before_a_kill(directory, flush_every)
    assert len(skus) >= 300, "the writer died before it was killed"

    index = await EdgeIndex.open(VectorSettings(directory=directory))
    await index.prepare(spaces_of(REVISION))
    assert await index.read([key(sku) for sku in skus]) == {key(sku): payload(2, price=2.0) for sku in skus}
    assert len(await index.vectors([key(sku) for sku in skus], using="text")) == len(skus)
    await index.close()


async def test_maintenance_builds_a_graph_once_there_are_points_enough(tmp_path):
    settings = VectorSettings(directory=tmp_path / "vectors", index_after_points=64, hnsw=HnswSettings(ef_search=32))
    index = await EdgeIndex.open(settings)
    await index.prepare(spaces_of(REVISION))
    assert await index.maintain() is False
    await index.write([create(f"s{n}", axis(n % 8, lean=n / 400)) for n in range(400)])
    assert await index.maintain() is True
    assert await index.maintain() is False
    assert [hit.key.sku for hit in await _search(index)] == ["s0"]
    assert await index.write([update("s0", 1, axis(4))]) == frozenset()
    assert [hit.key.sku for hit in await _search(index)] == ["s8"]
    await index.close()


async def test_flushing_while_writing_loses_nothing(tmp_path):
    settings = VectorSettings(directory=tmp_path / "vectors", flush_every=1)
    index = await EdgeIndex.open(settings)
    await index.prepare(spaces_of(REVISION))
    for start in range(0, 200, 100):
        await index.write([create(f"s{n}", axis(0)) for n in range(start, start + 100)])
    assert (await index.counts(TENANT)).with_text_vector == 200
    await index.close()


async def _search(index: EdgeIndex):
    return await index.search(axis(0), using="text", within=CatalogueFilter(TENANT), limit=1)


def _acknowledged_before_a_kill(directory: Path, flush_every: int) -> list[str]:
    """Starts a writer, kills it with signal 9 in the middle of its work, and gives the SKUs that it had printed."""
    command = [sys.executable, "-c", KILLED_WRITER, str(directory), str(flush_every)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        lines = [writer.stdout.readline() for _ in range(32)]
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read()
    lines += rest.rpartition("\n")[0].split("\n")
    return [sku for line in lines if line.startswith("s") for sku in line.split()]
