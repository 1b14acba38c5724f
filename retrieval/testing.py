"""Test doubles of the models: encoders that hash tokens, and a reranker that counts shared words.

No setting names one; tests, and whoever builds on the library, construct them.
"""

import re
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

from retrieval.encoders.port import Matrix, ModelRevision, SparseEncoder, SparseVector
from retrieval.rerank.port import RerankerRevision, Scores

_WORD: Final = re.compile(r"\w+")


class HashingEncoder:
    """Signed feature hashing of case-folded words, L2-normalised: texts that share words are near, and that is all.

    It knows no synonyms, no inflection and no word order, so it says nothing about search quality; it is deterministic on
    every platform, needs no file, and costs microseconds a text. A text without words becomes the first unit vector.
    """

    def __init__(self, dimension: int = 64, *, sparse: SparseEncoder | None = None) -> None:
        if dimension < 1:
            raise ValueError("the dimension must be positive")
        self._dimension = dimension
        self._sparse = sparse

    @property
    def revision(self) -> ModelRevision:
        """A revision of its own, so that its vectors never mix with a model's."""
        return ModelRevision(
            model="hashing",
            weights="none",
            query_prompt="",
            passage_prompt="",
            dimension=self._dimension,
            pooling="sum",
            normalised=True,
            backend="numpy",
            quantisation="none",
            library="ferroflux-hashing-1",
            sparse=None if self._sparse is None else self._sparse.revision,
        )

    @property
    def sparse(self) -> SparseEncoder | None:
        """The sparse encoder that was given."""
        return self._sparse

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors of the texts, float32 [len(texts), dimension]."""
        return self._encode(texts)

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        """The same as for queries."""
        return self._encode(texts)

    def passage_lengths(self, texts: Sequence[str]) -> list[int]:
        """Words of each text."""
        return [len(_WORD.findall(text)) for text in texts]

    def _encode(self, texts: Sequence[str]) -> Matrix:
        vectors = np.zeros((len(texts), self._dimension), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in _WORD.findall(text.casefold()):
                digest = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little")
                vector[(digest >> 1) % self._dimension] += 1.0 if digest & 1 else -1.0
            # Words may cancel each other out; a unit vector is promised all the same.
            if not vector.any():
                vector[0] = 1.0
        lengths: Matrix = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths)


class HashingSparseEncoder:
    """A dimension for each case-folded word by its hash, weighted log(1 + count): texts that share words have a product above 0.

    Deterministic on every platform, needs no file, expands nothing; it says nothing about search quality.
    """

    def __init__(self, dimension: int = 1 << 20) -> None:
        if dimension < 1:
            raise ValueError("the dimension must be positive")
        self._dimension = dimension

    @property
    def revision(self) -> ModelRevision:
        """A revision of its own, so that its vectors never mix with a model's."""
        return ModelRevision(
            model="hashing-sparse",
            weights="none",
            query_prompt="",
            passage_prompt="",
            dimension=self._dimension,
            pooling="sum",
            normalised=False,
            backend="numpy",
            quantisation="none",
            library="ferroflux-hashing-1",
        )

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Word weights of the texts."""
        return [self._encode(text) for text in texts]

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """The same as for queries."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> SparseVector:
        counts = Counter(self._place(word) for word in _WORD.findall(text.casefold()))
        places = sorted(counts)
        return SparseVector(
            np.array(places, np.uint32), np.log1p(np.array([counts[place] for place in places], np.float32))
        )

    def _place(self, word: str) -> int:
        digest = blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(digest, "little") % self._dimension


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
