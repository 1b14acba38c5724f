"""The reranker's port: how well each passage answers a query, read together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from schemas.version import canonical_digest

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RerankerRevision:
    """All that decides a score: the model, the digest of its files, the tokens that are read of a pair, the library."""

    model: str
    weights: str
    max_length: int
    library: str

    @property
    def id(self) -> str:
        """Short stable name, 16 hex digits."""
        return canonical_digest(asdict(self))


class Reranker(Protocol):
    """Scores pairs. Synchronous and thread-safe: callers run it off the event loop (it releases the GIL)."""

    @property
    def revision(self) -> RerankerRevision:
        """Which model scores."""
        ...

    def score(self, query: str, passages: Sequence[str]) -> Scores:
        """One score a passage, float32 [len(passages)], in their order; the higher, the better, comparable within a model."""
        ...
