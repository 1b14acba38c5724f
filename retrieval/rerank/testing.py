"""A reranker without a model, by shared words: a test double for everything around a reranker.

No setting names it; tests construct it.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from retrieval.rerank.port import RerankerRevision, Scores

_WORD: Final = re.compile(r"\w+")


class OverlapReranker:
    """The share of the query's words that a passage has, case-folded, less a little for every word that was not asked for.

    Deterministic on every platform, needs no file, and costs microseconds a pair; it says nothing about search quality.
    """

    @property
    def revision(self) -> RerankerRevision:
        """A revision of its own."""
        return RerankerRevision("overlap", "none", 0, "ferroflux-overlap-1")

    def score(self, query: str, passages: Sequence[str]) -> Scores:
        """One score a passage, between 0 and 1, float32 [len(passages)]."""
        asked = set(_WORD.findall(query.casefold()))
        scores = np.zeros(len(passages), np.float32)
        for place, passage in enumerate(passages):
            words = set(_WORD.findall(passage.casefold()))
            union = len(asked | words)
            scores[place] = (
                len(asked & words) / max(1, len(asked)) * 0.9 + (len(asked & words) / union if union else 0) * 0.1
            )
        return scores
