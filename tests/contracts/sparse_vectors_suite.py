"""What every vector index must do where its collection has a sparse space beside the dense one."""

from dataclasses import replace

import numpy as np
import pytest

from retrieval.encoders.port import SparseVector
from retrieval.filters import CatalogueFilter
from retrieval.testing import HashingSparseEncoder
from retrieval.vectors.port import PointWrite
from retrieval.vectors.spaces import SPARSE_VECTOR, TEXT_VECTOR, Provenance, spaces_of
from schemas.errors import ModelMismatchError
from tests.contracts.vector_index_suite import OTHER_TENANT, REVISION, TENANT, axis, found, key, payload

SPARSE_REVISION = replace(REVISION, sparse=HashingSparseEncoder().revision)


def weights(**by_index: float) -> SparseVector:
    """`weights(i3=0.5, i7=1.0)`"""
    pairs = sorted((int(name.removeprefix("i")), value) for name, value in by_index.items())
    return SparseVector(
        np.array([index for index, _ in pairs], np.uint32), np.array([value for _, value in pairs], np.float32)
    )


def write(sku: str, sparse: SparseVector | None = None, *, rev=1, expected=None, tenant=TENANT, dense=True, **fields):
    vectors = {TEXT_VECTOR: axis(0)} if dense else {}
    if sparse is not None:
        vectors[SPARSE_VECTOR] = sparse
    return PointWrite(key(sku, tenant), expected, payload(rev, **fields), vectors)


async def sparse_hits(index, vector, *, limit=10, **catalogue_filter):
    hits = await index.search(
        vector,
        using=SPARSE_VECTOR,
        catalogue_filter=CatalogueFilter.of(**{"tenant": TENANT, **catalogue_filter}),
        limit=limit,
    )
    return [(str(hit.key.sku), pytest.approx(hit.score, abs=1e-5)) for hit in hits]


class SparseVectorsContract:
    """An adapter's class gives `index`, prepared for `SPARSE_REVISION`."""

    async def test_the_best_product_of_weights_comes_first_and_nothing_that_shares_none(self, index):
        await index.write(
            [
                write("a", weights(i1=1.0, i5=2.0)),
                write("b", weights(i5=0.5)),
                write("c", weights(i9=3.0)),
                write("big", weights(i4000000000=1.0)),
            ]
        )
        assert await sparse_hits(index, weights(i5=2.0, i1=1.0)) == [("a", 5.0), ("b", 1.0)]
        assert await sparse_hits(index, weights(i5=2.0), limit=1) == [("a", 4.0)]
        assert await sparse_hits(index, weights(i4000000000=2.0)) == [("big", 2.0)]
        assert await sparse_hits(index, weights(i77=1.0)) == []

    async def test_only_living_products_of_the_filter_are_found(self, index):
        same = weights(i5=1.0)
        await index.write(
            [
                write("a", same, brand="acme"),
                write("dead", same, alive=False),
                write("theirs", same, tenant=OTHER_TENANT),
                write("b", same, brand="bolt"),
            ]
        )
        assert await sparse_hits(index, same, brand=frozenset({"bolt"})) == [("b", 1.0)]
        assert sorted(sku for sku, _ in await sparse_hits(index, same)) == ["a", "b"]

    async def test_both_spaces_are_searched_side_by_side(self, index):
        await index.write([write("a", weights(i5=1.0))])
        assert await found(index, axis(0)) == ["a"]
        assert await sparse_hits(index, weights(i5=1.0)) == [("a", 1.0)]

    async def test_a_change_of_the_payload_keeps_both_vectors(self, index):
        await index.write([write("a", weights(i5=1.0))])
        assert not await index.write([write("a", rev=2, expected=1, dense=False, price=3.0)])
        assert await found(index, axis(0)) == ["a"]
        assert await sparse_hits(index, weights(i5=1.0)) == [("a", 1.0)]

    async def test_new_vectors_replace_the_old_ones(self, index):
        await index.write([write("a", weights(i5=1.0))])
        assert not await index.write([write("a", weights(i6=2.0), rev=2, expected=1)])
        assert await sparse_hits(index, weights(i5=1.0)) == []
        assert await sparse_hits(index, weights(i6=1.0)) == [("a", 2.0)]

    async def test_a_vector_that_is_not_named_stays(self, index):
        await index.write([write("a", weights(i5=1.0))])
        only_sparse = write("a", weights(i6=1.0), rev=2, expected=1, dense=False)
        assert not await index.write([only_sparse])
        assert await found(index, axis(0)) == ["a"]
        assert await sparse_hits(index, weights(i6=1.0)) == [("a", 1.0)]
        assert not await index.write([write("a", rev=3, expected=2)])
        assert await sparse_hits(index, weights(i6=1.0)) == [("a", 1.0)]

    async def test_an_empty_vector_is_none(self, index):
        await index.write([write("a", weights()), write("b", weights(i5=1.0))])
        assert not await index.write([write("b", weights(), rev=2, expected=1)])
        assert await sparse_hits(index, weights(i5=1.0)) == []
        assert await sparse_hits(index, weights()) == []
        assert set(await found(index, axis(0))) == {"a", "b"}

    async def test_an_empty_vector_alone_takes_the_stored_one_away_and_leaves_the_other_space(self, index):
        await index.write([write("a", weights(i5=1.0))])
        assert not await index.write([write("a", weights(), rev=2, expected=1, dense=False)])
        assert await index.vectors([key("a")], using=SPARSE_VECTOR) == {}
        assert await found(index, axis(0)) == ["a"]

    async def test_stored_vectors_are_given_back_as_they_were_written(self, index):
        await index.write([write("a", weights(i5=1.0, i1=0.5)), write("b"), write("none", weights())])
        asked = [key(sku) for sku in ("a", "b", "none", "absent")]
        (vector,) = (await index.vectors(asked, using=SPARSE_VECTOR)).values()
        assert (vector.indices.dtype, vector.values.dtype) == (np.uint32, np.float32)
        assert (vector.indices.tolist(), vector.values.tolist()) == ([1, 5], [0.5, 1.0])
        assert set(await index.vectors(asked, using=TEXT_VECTOR)) == set(asked[:3])

    async def test_coverage_is_counted_by_space(self, index):
        assert (await index.counts()).coverage == {TEXT_VECTOR: 1.0, SPARSE_VECTOR: 1.0}
        await index.write([write("a", weights(i5=1.0)), write("b"), write("none", weights()), write("d", dense=False)])
        counts = await index.counts()
        assert dict(counts.vectors) == {TEXT_VECTOR: 3, SPARSE_VECTOR: 1}
        assert counts.coverage == {TEXT_VECTOR: 0.75, SPARSE_VECTOR: 0.25}

    async def test_provenance_is_kept_by_space(self, index):
        provenance = {TEXT_VECTOR: Provenance("h1", "r1"), SPARSE_VECTOR: Provenance("h2", "r2")}
        await index.write([write("a", weights(i5=1.0), provenance=provenance)])
        assert (await index.read([key("a")]))[key("a")].provenance == provenance

    async def test_a_refused_write_changes_neither(self, index):
        await index.write([write("a", weights(i5=1.0), rev=5)])
        assert await index.write([write("a", weights(i6=1.0), rev=3, expected=2)]) == {key("a")}
        assert await sparse_hits(index, weights(i5=1.0)) == [("a", 1.0)]
        assert await sparse_hits(index, weights(i6=1.0)) == []

    async def test_another_sparse_encoder_or_none_is_refused_with_the_remedy(self, index):
        await index.prepare(spaces_of(SPARSE_REVISION))
        other = replace(SPARSE_REVISION, sparse=HashingSparseEncoder(99).revision)
        with pytest.raises(ModelMismatchError, match="generation"):
            await index.prepare(spaces_of(other))
        with pytest.raises(ModelMismatchError, match="FERROFLUX_ENCODER__SPARSE__MODEL"):
            await index.prepare(spaces_of(REVISION))
