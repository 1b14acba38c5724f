"""The contract of `SparseEncoder`, run against every adapter."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval.encoders.factory import load_sparse
from retrieval.encoders.port import SparseEncoder, SparseVector
from retrieval.encoders.settings import EncoderSettings, SparseSettings
from retrieval.testing import HashingSparseEncoder
from tests.support.tiny_models import masked_language_folder

TEXTS = [
    "steel hammer",
    "",
    "   ",
    "garden hose " * 300,
    "\x00\x07 control \u200b\ufeff",
    "lone surrogate \ud800 inside",
    "日本語 🔩",
    "steel hammer",
]


def assert_same(one: SparseVector, other: SparseVector) -> None:
    """Equal but for rounding; a weight of next to nothing may be there or not."""
    both = {int(index): 0.0 for index in (*one.indices, *other.indices)}
    for vector, sign in ((one, 1), (other, -1)):
        for index, value in zip(vector.indices, vector.values, strict=True):
            both[int(index)] += sign * float(value)
    assert max(map(abs, both.values()), default=0) < 1e-5


class SparseEncoderContract:
    """What every sparse encoder promises; an adapter's class provides the fixture `encoder`."""

    def test_indices_rise_within_the_space_and_weights_are_above_nothing(self, encoder: SparseEncoder) -> None:
        for vectors in (encoder.encode_queries(TEXTS), encoder.encode_passages(TEXTS)):
            assert len(vectors) == len(TEXTS)
            for vector in vectors:
                assert (vector.indices.dtype, vector.values.dtype) == (np.uint32, np.float32)
                assert vector.indices.shape == vector.values.shape
                assert (np.diff(vector.indices.astype(np.int64)) > 0).all()
                assert (vector.indices < encoder.revision.dimension).all()
                assert (vector.values > 0).all()
                assert np.isfinite(vector.values).all()

    def test_no_texts_have_no_vectors(self, encoder: SparseEncoder) -> None:
        assert encoder.encode_queries([]) == []
        assert encoder.encode_passages([]) == []

    def test_a_text_has_one_vector_whatever_its_neighbours(self, encoder: SparseEncoder) -> None:
        vectors = encoder.encode_passages(TEXTS)
        assert_same(vectors[0], vectors[-1])
        assert_same(encoder.encode_passages(TEXTS[6:7])[0], vectors[6])
        for forward, backward in zip(vectors, encoder.encode_passages(TEXTS[::-1])[::-1], strict=True):
            assert_same(forward, backward)

    def test_any_sequence_of_strings_will_do(self, encoder: SparseEncoder) -> None:
        texts: Sequence[str] = ("saw", "drill")
        for one, other in zip(encoder.encode_queries(texts), encoder.encode_queries(list(texts)), strict=True):
            assert_same(one, other)

    def test_threads_do_not_disturb_each_other(self, encoder: SparseEncoder) -> None:
        expected = encoder.encode_queries(TEXTS)
        with ThreadPoolExecutor(3) as pool:
            for vectors in pool.map(lambda _: encoder.encode_queries(TEXTS), range(6)):
                for one, other in zip(vectors, expected, strict=True):
                    assert_same(one, other)

    def test_the_revision_names_the_space_and_is_stable(self, encoder: SparseEncoder) -> None:
        assert encoder.revision == encoder.revision
        assert not encoder.revision.normalised
        assert encoder.revision.sparse is None
        assert len(encoder.revision.id) == 16


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
class TestOnnx(SparseEncoderContract):
    @pytest.fixture(scope="class")
    def encoder(self, tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
        folder = masked_language_folder(tmp_path_factory.mktemp("sparse") / "tiny")
        sparse = SparseSettings(model=str(folder), batch_tokens=64)
        encoder = load_sparse(EncoderSettings(cache_dir=folder.parent / "cache", threads=1, sparse=sparse))
        assert encoder is not None
        return encoder


class TestHashing(SparseEncoderContract):
    @pytest.fixture
    def encoder(self) -> SparseEncoder:
        return HashingSparseEncoder()


def test_no_model_is_no_sparse_encoder() -> None:
    assert load_sparse(EncoderSettings()) is None
