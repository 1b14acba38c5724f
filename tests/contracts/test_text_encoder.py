"""The contract of `TextEncoder`, run against every adapter."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from retrieval.encoders.factory import load_encoder
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings
from retrieval.testing import HashingEncoder

TEXTS = [
    "Martillo de uña 16 oz",
    "cordless drill",
    "",
    "   ",
    'codo 1/2" npt galv. c/rosca',
    "palabra " * 900,
    "\x00\x07 control \u200b\ufeff",
    "lone surrogate \ud800 inside",
    "日本語 العربية 🔩🔧",
    "Martillo de uña 16 oz",
]


@cache
def _onnx(model: str, layers: str = "auto") -> TextEncoder:
    return load_encoder(EncoderSettings(model=model, layers=layers, threads=2))


class TextEncoderContract:
    """What every encoder promises; an adapter's class provides the fixture `encoder`."""

    def test_more_words_are_longer_whatever_their_letters_are(self, encoder: TextEncoder) -> None:
        lengths = encoder.passage_lengths(["broca", "broca para concreto sds plus", "", *TEXTS])
        assert len(lengths) == 3 + len(TEXTS)
        assert lengths[1] > lengths[0] > 0
        assert lengths == [
            encoder.passage_lengths([text])[0] for text in ["broca", "broca para concreto sds plus", "", *TEXTS]
        ]

    def test_vectors_are_unit_float32_of_the_revisions_dimension(self, encoder: TextEncoder) -> None:
        for vectors in (encoder.encode_queries(TEXTS), encoder.encode_passages(TEXTS)):
            assert vectors.dtype == np.float32
            assert vectors.shape == (len(TEXTS), encoder.revision.dimension)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_no_texts_give_no_vectors(self, encoder: TextEncoder) -> None:
        assert encoder.encode_queries([]).shape == (0, encoder.revision.dimension)
        assert encoder.encode_passages([]).shape == (0, encoder.revision.dimension)

    def test_the_order_is_that_of_the_texts(self, encoder: TextEncoder) -> None:
        forward = encoder.encode_passages(TEXTS)
        backward = encoder.encode_passages(TEXTS[::-1])
        np.testing.assert_allclose(forward, backward[::-1], atol=1e-5)

    def test_a_text_has_one_vector_whatever_its_neighbours(self, encoder: TextEncoder) -> None:
        vectors = encoder.encode_passages(TEXTS)
        np.testing.assert_allclose(vectors[0], vectors[-1], atol=1e-5)
        np.testing.assert_allclose(encoder.encode_passages(TEXTS[4:5])[0], vectors[4], atol=1e-5)

    def test_any_sequence_of_strings_will_do(self, encoder: TextEncoder) -> None:
        texts: Sequence[str] = ("saw", "drill")
        np.testing.assert_allclose(encoder.encode_queries(texts), encoder.encode_queries(list(texts)), atol=1e-6)

    def test_threads_do_not_disturb_each_other(self, encoder: TextEncoder) -> None:
        expected = encoder.encode_queries(TEXTS[:5])
        with ThreadPoolExecutor(3) as pool:
            for vectors in pool.map(lambda _: encoder.encode_queries(TEXTS[:5]), range(6)):
                np.testing.assert_allclose(vectors, expected, atol=1e-5)

    def test_a_text_is_nearest_to_the_text_that_shares_its_words(self, encoder: TextEncoder) -> None:
        (query,) = encoder.encode_queries(["steel hammer"])
        scores = encoder.encode_passages(["claw hammer of steel", "garden hose"]) @ query
        assert scores[0] > scores[1]

    def test_the_revision_names_the_space_and_is_stable(self, encoder: TextEncoder) -> None:
        assert encoder.revision == encoder.revision
        assert encoder.revision.normalised
        assert len(encoder.revision.id) == 16


class TestMultilingualE5(TextEncoderContract):
    @pytest.fixture
    def encoder(self) -> TextEncoder:
        return _onnx("multilingual-e5-small")

    def test_the_revision_is_truthful(self, encoder: TextEncoder) -> None:
        revision = encoder.revision
        assert (revision.model, revision.dimension, revision.pooling) == ("multilingual-e5-small", 384, "mean")
        assert (revision.query_prompt, revision.passage_prompt) == ("query: ", "passage: ")
        assert (revision.backend, revision.quantisation) == ("onnxruntime", "embeddings-q4, layers-int8")

    def test_it_reads_misspelt_spanish(self, encoder: TextEncoder) -> None:
        (query,) = encoder.encode_queries(["martilo de goma"])
        scores = encoder.encode_passages(["Mazo martillo de caucho", "Manguera de jardín"]) @ query
        assert scores[0] > scores[1]


class TestMiniLM(TextEncoderContract):
    @pytest.fixture
    def encoder(self) -> TextEncoder:
        return _onnx("all-MiniLM-L6-v2")


class TestMiniLMInFloat32(TextEncoderContract):
    @pytest.fixture
    def encoder(self) -> TextEncoder:
        return _onnx("all-MiniLM-L6-v2", "float32")


class TestHashing(TextEncoderContract):
    @pytest.fixture
    def encoder(self) -> TextEncoder:
        return HashingEncoder()
