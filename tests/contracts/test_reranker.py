"""The contract of `Reranker`, run against every adapter."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval.rerank.onnx import load_reranker
from retrieval.rerank.port import Reranker, RerankSettings
from retrieval.testing import OverlapReranker
from tests.support.tiny_models import cross_encoder_folder

PASSAGES = [
    "steel hammer",
    "",
    "   ",
    "garden hose " * 300,
    "\x00\x07 control \u200b\ufeff",
    "lone surrogate \ud800 inside",
    "日本語 🔩",
    "steel hammer",
]


class RerankerContract:
    """What every reranker promises; an adapter's class provides the fixture `reranker`."""

    def test_there_is_one_finite_float32_score_a_passage(self, reranker: Reranker) -> None:
        scores = reranker.score("hammer of steel", PASSAGES)
        assert (scores.shape, scores.dtype) == ((len(PASSAGES),), np.float32)
        assert np.isfinite(scores).all()

    def test_no_passages_have_no_scores(self, reranker: Reranker) -> None:
        assert reranker.score("hammer", []).shape == (0,)

    @pytest.mark.parametrize("query", ["", "  ", "saw \ud800", "drill " * 300])
    def test_any_query_can_be_scored(self, reranker: Reranker, query: str) -> None:
        assert np.isfinite(reranker.score(query, PASSAGES)).all()

    def test_the_order_is_that_of_the_passages(self, reranker: Reranker) -> None:
        forward = reranker.score("hammer", PASSAGES)
        np.testing.assert_allclose(reranker.score("hammer", PASSAGES[::-1])[::-1], forward, atol=1e-5)

    def test_a_pair_has_one_score_whatever_its_neighbours(self, reranker: Reranker) -> None:
        scores = reranker.score("hammer", PASSAGES)
        assert scores[0] == pytest.approx(scores[-1], abs=1e-5)
        np.testing.assert_allclose(reranker.score("hammer", PASSAGES[6:7])[0], scores[6], atol=1e-5)

    def test_any_sequence_of_strings_will_do(self, reranker: Reranker) -> None:
        passages: Sequence[str] = ("saw", "drill")
        np.testing.assert_allclose(reranker.score("saw", passages), reranker.score("saw", list(passages)), atol=1e-6)

    def test_threads_do_not_disturb_each_other(self, reranker: Reranker) -> None:
        expected = reranker.score("hammer", PASSAGES)
        with ThreadPoolExecutor(3) as pool:
            for scores in pool.map(lambda _: reranker.score("hammer", PASSAGES), range(6)):
                np.testing.assert_allclose(scores, expected, atol=1e-5)

    def test_the_revision_is_stable(self, reranker: Reranker) -> None:
        assert reranker.revision == reranker.revision
        assert len(reranker.revision.id) == 16


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
class TestOnnx(RerankerContract):
    @pytest.fixture(scope="class")
    def reranker(self, tmp_path_factory: pytest.TempPathFactory) -> Reranker:
        folder = cross_encoder_folder(tmp_path_factory.mktemp("reranker") / "tiny")
        settings = RerankSettings(model=str(folder), cache_dir=folder.parent / "cache", threads=1, batch_tokens=64)
        reranker = load_reranker(settings)
        assert reranker is not None
        return reranker

    def test_the_revision_is_truthful(self, reranker: Reranker) -> None:
        assert (reranker.revision.model, reranker.revision.max_length) == ("tiny", 40)


class TestOverlap(RerankerContract):
    @pytest.fixture
    def reranker(self) -> Reranker:
        return OverlapReranker()

    def test_shared_words_score_higher(self, reranker: Reranker) -> None:
        first, second = reranker.score("steel hammer", ["claw hammer of steel", "garden hose"])
        assert first > second


def test_no_model_is_no_reranker() -> None:
    assert load_reranker(RerankSettings()) is None
