"""Every process opens a collection of the release before, written with float32 layers, under today's default, and says so."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from indexer.generations.leadership import Leadership
from indexer.generations.settings import configured_by
from indexer.process.bootstrap import MemberFactory
from indexer.settings import IndexerSettings
from query_api.bootstrap import build_app
from query_api.settings import ApiSettings
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import settle_layers
from retrieval.encoders.settings import EncoderSettings
from retrieval.serving.parts import HeldParts
from retrieval.text.memory import MemoryTextReader, MemoryTextStore
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.self_check import open_collection
from retrieval.vectors.settings import VectorSettings
from retrieval.vectors.spaces import spaces_of
from schemas.errors import ModelMismatchError
from tests.support.tiny_bert import write_tiny_bert
from tests.unit.query_api.app_under_test import serving

FLOAT32_AS_RECORDED = {
    "model": "tiny", "query_prompt": "query: ", "passage_prompt": "passage: ", "dimension": 32, "pooling": "mean",
    "normalised": True, "backend": "onnxruntime", "quantisation": "none", "max_length": 16,
}  # fmt: skip
"""As the release before wrote it; `weights` and `library` are those of the machine."""


@pytest.fixture
def settings(tmp_path: Path) -> EncoderSettings:
    folder = write_tiny_bert(tmp_path / "tiny")
    return EncoderSettings(model=str(folder), cache_dir=tmp_path / "cache", threads=1)


@pytest.fixture
async def old(settings: EncoderSettings) -> AsyncIterator[MemoryIndex]:
    index = MemoryIndex()
    await index.prepare(spaces_of(load_encoder(settings.model_copy(update={"layers": "float32"})).revision))
    recorded = dict(await index.recorded() or {})
    assert {name: recorded[name] for name in FLOAT32_AS_RECORDED} == FLOAT32_AS_RECORDED
    assert recorded.keys() - FLOAT32_AS_RECORDED.keys() == {"weights", "library"}
    yield index


async def _member(settings: EncoderSettings, index: MemoryIndex, monkeypatch: pytest.MonkeyPatch):
    async def opened(_settings: VectorSettings) -> MemoryIndex:
        return index

    monkeypatch.setattr("indexer.process.bootstrap.open_vector_index", opened)
    own = IndexerSettings(encoder=settings)
    return await MemberFactory(own)(configured_by(own), Leadership("main"))


async def test_an_indexer_goes_on_with_the_layers_that_the_collection_was_written_with(settings, old, monkeypatch):
    with capture_logs() as logs:
        await _member(settings, old, monkeypatch)
    (chosen,) = [line for line in logs if line["event"] == "layers chosen"]
    assert (chosen["layers"], chosen["because"]) == ("float32", "as the collection was written")
    (loaded,) = [line for line in logs if line["event"] == "encoder loaded"]
    assert loaded["layers"] == "float32"


async def test_an_indexer_begins_a_new_collection_with_int8_layers(settings, monkeypatch):
    with capture_logs() as logs:
        await _member(settings, MemoryIndex(), monkeypatch)
    (loaded,) = [line for line in logs if line["event"] == "encoder loaded"]
    assert loaded["layers"] == "int8"


async def test_a_search_worker_becomes_ready_over_the_old_collection(settings, old):
    held = HeldParts(vectors=old, reader=MemoryTextReader(MemoryTextStore()))
    app = build_app(ApiSettings(encoder=settings), held_of=lambda _: held, tailed=False)
    async with serving(app):
        assert app.state.context.searchers.current.encoder.revision.quantisation == "none"


async def test_what_is_set_and_differs_is_refused_with_both_remedies(settings, old):
    strict = load_encoder(settings.model_copy(update={"layers": "int8"}))
    with pytest.raises(ModelMismatchError, match=r"unset FERROFLUX_ENCODER__LAYERS .* generation build"):
        await open_collection(old, strict)


async def test_a_data_directory_of_the_embedded_system_is_followed_too(settings, tmp_path):
    vectors = VectorSettings(directory=tmp_path / "vectors")
    before = load_encoder(settings.model_copy(update={"layers": "float32"}))
    index = await EdgeIndex.open(vectors)
    assert await index.recorded() is None
    await index.prepare(spaces_of(before.revision))
    await index.close()
    # The file as it lies in the directories of the release before.
    record = json.loads((tmp_path / "vectors" / "model.json").read_bytes())["model_revision"]
    assert {name: record[name] for name in FLOAT32_AS_RECORDED} == FLOAT32_AS_RECORDED

    index = await EdgeIndex.open(vectors)
    try:
        encoder = load_encoder(settle_layers(settings, await index.recorded()))
        await open_collection(index, encoder)
    finally:
        await index.close()
    assert encoder.revision == before.revision
