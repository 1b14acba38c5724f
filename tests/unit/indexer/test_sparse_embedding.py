"""Sparse vectors in the indexer: both vectors of a text are written together, by the same rule, and never mixed with another model's."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.batch.embedding import OffLoopEncoder
from retrieval.filters import CatalogueFilter
from retrieval.testing import HashingEncoder, HashingSparseEncoder
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import AnyVector
from retrieval.vectors.spaces import SPARSE_VECTOR, TEXT_VECTOR, encoders_of, spaces_of
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
        both = HashingEncoder(sparse=SPARSE)
        self.spaces, self._encoders = spaces_of(both.revision), encoders_of(both)
        self.of_space: dict[str, list[str]] = {space: [] for space in self.spaces}

    async def encode(self, space: str, texts: Sequence[str]) -> Sequence[AnyVector]:
        self.of_space[space].extend(texts)
        if space == TEXT_VECTOR:
            self.texts.extend(texts)
        return list(self._encoders[space](texts))


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
    assert point.provenance_of(TEXT_VECTOR).revision == HashingEncoder().revision.id
    assert point.provenance_of(SPARSE_VECTOR).revision == SPARSE.revision.id


async def test_an_indexer_with_another_sparse_encoder_does_not_start() -> None:
    index = MemoryIndex()
    await index.prepare(spaces_of(HashingEncoder(sparse=SPARSE).revision))
    for other in (HashingEncoder(sparse=HashingSparseEncoder(7)), HashingEncoder()):
        with pytest.raises(ModelMismatchError):
            await index.prepare(spaces_of(other.revision))


def test_encoding_runs_off_the_loop() -> None:
    with ThreadPoolExecutor(1) as executor:
        port = OffLoopEncoder(HashingEncoder(sparse=SPARSE), executor)
        (words,) = asyncio.run(port.encode(SPARSE_VECTOR, ["steel hammer"]))
    assert set(port.spaces) == {TEXT_VECTOR, SPARSE_VECTOR}
    assert len(words) == 2
    with ThreadPoolExecutor(1) as executor:
        alone = OffLoopEncoder(HashingEncoder(), executor)
        (dense,) = asyncio.run(alone.encode(TEXT_VECTOR, ["steel hammer"]))
    assert set(alone.spaces) == {TEXT_VECTOR}
    assert len(dense) == 64
