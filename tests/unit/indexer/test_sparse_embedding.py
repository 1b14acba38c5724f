"""Sparse vectors in the indexer: both vectors of a text are written together, by the same rule, and never mixed with another model's."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.batch.embedding import OffLoopEncoder, encoded
from retrieval.encoders.testing import HashingEncoder, HashingSparseEncoder
from retrieval.filters import CatalogueFilter
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import SPARSE_VECTOR, TEXT_VECTOR, NamedVectors
from schemas.errors import ModelMismatchError
from schemas.identity import SkuKey, TenantId
from tests.support.indexing.fakes import CountingEncoder
from tests.unit.indexer.test_pipeline import event, make_pipeline, records_of

WITHIN = CatalogueFilter(TenantId("acme"))
SPARSE = HashingSparseEncoder()


class BothEncoder(CountingEncoder):
    """Counts texts, and encodes them into both spaces."""

    def __init__(self) -> None:
        super().__init__()
        self._both = HashingEncoder(sparse=SPARSE)
        self.model = self._both.revision.id

    async def encode(self, texts: Sequence[str]) -> Sequence[NamedVectors]:
        self.texts.extend(texts)
        return encoded(self._both, texts)


async def sparse_skus(index: MemoryIndex, text: str) -> list[str]:
    (query,) = SPARSE.encode_queries([text])
    return [
        str(hit.key.sku) for hit in await index.search(query, using=SPARSE_VECTOR, catalogue_filter=WITHIN, limit=9)
    ]


async def test_both_vectors_are_written_and_a_price_computes_neither() -> None:
    index, encoder = MemoryIndex(), BothEncoder()
    pipeline = make_pipeline(index, encoder=encoder)
    await pipeline.process(records_of([event("A1", "item", 1, {"title": "Steel hammer"})]))
    await pipeline.process(records_of([event("A1", "price", 1, {"price": 9.5})]))
    assert len(encoder.texts) == 1
    assert await sparse_skus(index, "hammer") == ["A1"]
    assert await index.vectors([SkuKey.of("acme", "A1")], using=TEXT_VECTOR)
    await pipeline.process(records_of([event("A1", "item", 2, {"title": "Garden hose"})]))
    assert len(encoder.texts) == 2
    assert await sparse_skus(index, "hammer") == []
    assert await sparse_skus(index, "hose") == ["A1"]


async def test_the_points_provenance_names_both_encoders() -> None:
    index = MemoryIndex()
    await make_pipeline(index, encoder=BothEncoder()).process(records_of([event("A1", "item", 1, {"title": "Hammer"})]))
    (point,) = (await index.read([SkuKey.of("acme", "A1")])).values()
    assert point.text_model == HashingEncoder(sparse=SPARSE).revision.id
    assert point.text_model != HashingEncoder().revision.id


async def test_an_indexer_with_another_sparse_encoder_does_not_start() -> None:
    index = MemoryIndex()
    await index.prepare(HashingEncoder(sparse=SPARSE).revision)
    for other in (HashingEncoder(sparse=HashingSparseEncoder(7)), HashingEncoder()):
        with pytest.raises(ModelMismatchError):
            await index.prepare(other.revision)


def test_encoding_runs_off_the_loop() -> None:
    with ThreadPoolExecutor(1) as executor:
        port = OffLoopEncoder(HashingEncoder(sparse=SPARSE), executor)
        (named,) = asyncio.run(port.encode(["steel hammer"]))
    assert set(named) == {TEXT_VECTOR, SPARSE_VECTOR}
    assert len(named[SPARSE_VECTOR]) == 2
    with ThreadPoolExecutor(1) as executor:
        (alone,) = asyncio.run(OffLoopEncoder(HashingEncoder(), executor).encode(["steel hammer"]))
    assert set(alone) == {TEXT_VECTOR}
