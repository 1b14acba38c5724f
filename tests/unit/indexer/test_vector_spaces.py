"""Adding a space is one declaration and one encoder: it is planned, written, counted, reused and searched like the others."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from indexer.batch.caching import CachingEncoder
from indexer.batch.embedding import CollectionReuse, OffLoopEncoder
from retrieval.encoders.port import Matrix, SparseVector
from retrieval.filters import CatalogueFilter
from retrieval.testing import HashingEncoder, HashingSparseEncoder
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointWrite, VectorIndex
from retrieval.vectors.settings import VectorSettings
from retrieval.vectors.spaces import SPARSE_VECTOR, TEXT_VECTOR, Provenance, VectorSpace, spaces_of
from schemas.identity import SkuKey, TenantId
from tests.support.indexing.fakes import event, make_pipeline, records_of

BRAND_ENCODER = HashingEncoder(8)
BRAND = VectorSpace("brand", BRAND_ENCODER.revision, input_of=lambda document: document.brand)
KEY = SkuKey.of("acme", "A1")
HAMMER = event("A1", "item", 1, {"title": "Steel hammer", "brand": "Truper"})
HOSE = event("B1", "item", 1, {"title": "Garden hose", "brand": "Foset"})


class Counting:
    """An encoder's function, and the texts that it was asked for."""

    def __init__(self, encode) -> None:
        self._encode = encode
        self.texts: list[str] = []

    def __call__(self, texts: Sequence[str]):
        self.texts.extend(texts)
        return self._encode(texts)


class CountingText(HashingEncoder):
    def __init__(self, *, sparse=None) -> None:
        super().__init__(sparse=sparse)
        self.texts: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        self.texts.extend(texts)
        return super().encode_passages(texts)


class CountingWords(HashingSparseEncoder):
    def __init__(self, dimension: int = 1 << 20) -> None:
        super().__init__(dimension)
        self.texts: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        self.texts.extend(texts)
        return super().encode_passages(texts)


@pytest.fixture(params=["memory", "edge"])
async def indexes(request, tmp_path) -> AsyncIterator[tuple[VectorIndex, VectorIndex]]:
    """Two empty ones."""
    if request.param == "memory":
        yield MemoryIndex(), MemoryIndex()
        return
    opened = [await EdgeIndex.open(VectorSettings(directory=tmp_path / name)) for name in ("one", "other")]
    yield opened[0], opened[1]
    for index in opened:
        await index.close()


async def brands(index: VectorIndex, brand: str) -> list[str]:
    (query,) = BRAND_ENCODER.encode_queries([brand])
    found = await index.search(query, using="brand", catalogue_filter=CatalogueFilter(TenantId("acme")), limit=9)
    return [str(hit.key.sku) for hit in found if hit.score > 0.99]


@pytest.mark.parametrize("encoders_with", [OffLoopEncoder, CachingEncoder])
async def test_a_second_dense_space_goes_all_the_way(indexes, encoders_with):
    index, other = indexes
    text, brand = CountingText(), Counting(BRAND_ENCODER.encode_passages)
    encoders = encoders_with(text, None, beside={BRAND: brand})
    await index.prepare(encoders.spaces)
    pipeline = make_pipeline(index, encoder=encoders)
    await pipeline.process(records_of([HAMMER, HOSE]))
    assert (len(text.texts), sorted(brand.texts)) == (2, ["Foset", "Truper"])
    assert await brands(index, "Truper") == ["A1"]
    assert (await index.read([KEY]))[KEY].provenance.keys() == {TEXT_VECTOR, "brand"}
    assert (await index.counts()).coverage == {TEXT_VECTOR: 1.0, "brand": 1.0}

    await pipeline.process(records_of([event("A1", "item", 2, {"title": "Claw hammer", "brand": "Truper"})]))
    assert (len(text.texts), len(brand.texts)) == (3, 2), "of the brand nothing changed"
    await pipeline.process(records_of([event("A1", "price", 1, {"price": 2.0})]))
    assert (len(text.texts), len(brand.texts)) == (3, 2)
    assert await brands(index, "Truper") == ["A1"]

    await other.prepare(encoders.spaces)
    reuse = CollectionReuse(index, encoders.spaces)
    claw = event("A1", "item", 2, {"title": "Claw hammer", "brand": "Truper"})
    await make_pipeline(other, encoder=encoders, reuse=reuse).process(records_of([claw, HOSE]))
    assert (len(text.texts), len(brand.texts), reuse.given) == (3, 2, 4)
    assert await brands(other, "Truper") == ["A1"]
    assert (await other.counts()).vectors == {TEXT_VECTOR: 2, "brand": 2}


async def test_a_build_with_one_more_space_reuses_every_other_vector(indexes):
    before, after = indexes
    await before.prepare(spaces_of(HashingEncoder().revision))
    await make_pipeline(before, encoder=OffLoopEncoder(HashingEncoder(), None)).process(records_of([HAMMER, HOSE]))
    words = CountingWords()
    text = CountingText(sparse=words)
    encoders = OffLoopEncoder(text, None)
    await after.prepare(encoders.spaces)
    reuse = CollectionReuse(before, encoders.spaces)
    await make_pipeline(after, encoder=encoders, reuse=reuse).process(records_of([HAMMER, HOSE]))
    assert (text.texts, len(words.texts), reuse.given) == ([], 2, 2)
    keys = [HAMMER.key, HOSE.key]
    old, new = await before.vectors(keys, using=TEXT_VECTOR), await after.vectors(keys, using=TEXT_VECTOR)
    assert all(np.allclose(old[key], new[key], atol=1e-6) for key in keys)
    assert (await after.counts()).vectors == {TEXT_VECTOR: 2, SPARSE_VECTOR: 2}


async def test_a_build_with_another_sparse_encoder_costs_no_dense_inference_and_the_next_none_at_all(indexes):
    before, after = indexes
    first = OffLoopEncoder(HashingEncoder(sparse=HashingSparseEncoder(1 << 10)), None)
    await before.prepare(first.spaces)
    await make_pipeline(before, encoder=first).process(records_of([HAMMER, HOSE]))
    words = CountingWords()
    text = CountingText(sparse=words)
    encoders = OffLoopEncoder(text, None)
    await after.prepare(encoders.spaces)
    reuse = CollectionReuse(before, encoders.spaces)
    await make_pipeline(after, encoder=encoders, reuse=reuse).process(records_of([HAMMER, HOSE]))
    assert (text.texts, len(words.texts)) == ([], 2)
    third = MemoryIndex()
    await make_pipeline(third, encoder=encoders, reuse=CollectionReuse(after, encoders.spaces)).process(
        records_of([HAMMER, HOSE])
    )
    assert (text.texts, len(words.texts)) == ([], 2), "sparse vectors are reused, too"
    held, given = [await each.vectors([KEY], using=SPARSE_VECTOR) for each in (after, third)]
    assert held[KEY].indices.tolist() == given[KEY].indices.tolist()
    assert np.allclose(held[KEY].values, given[KEY].values)


async def test_only_the_space_whose_provenance_differs_is_computed():
    index, words = MemoryIndex(), CountingWords()
    text = CountingText(sparse=words)
    encoders = OffLoopEncoder(text, None)
    pipeline = make_pipeline(index, encoder=encoders)
    await pipeline.process(records_of([HAMMER]))
    point = (await index.read([KEY]))[KEY]
    stale = {**point.provenance, SPARSE_VECTOR: Provenance("of another text", "by another model")}
    await index.write([PointWrite(KEY, point.rev, replace(point, rev=point.rev + 1, provenance=stale))])
    await pipeline.process(records_of([HAMMER]))
    assert (len(text.texts), len(words.texts)) == (1, 2)
    assert (await index.read([KEY]))[KEY].provenance == point.provenance
