"""A sparse encoder without a model: hashed words. For tests and demonstrations of everything around a sparse encoder."""

import re
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

from retrieval.encoders.port import ModelRevision, SparseVector

_WORD: Final = re.compile(r"\w+")


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
