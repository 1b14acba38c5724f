"""The text encoder's port: texts to unit vectors, and the revision that says which space they live in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from schemas.version import canonical_digest

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ModelRevision:
    """All that decides where a text lands in the vector space; two encoders may share a collection only if equal.

    `weights` is a digest of the graph and tokenizer files, `library` the inference library's major.minor, `dimension`
    the length of a vector after truncation, `max_length` the tokens of a text that are read (0: all).
    """

    model: str
    weights: str
    query_prompt: str
    passage_prompt: str
    dimension: int
    pooling: str
    normalised: bool
    backend: str
    quantisation: str
    library: str
    max_length: int = 0

    @property
    def id(self) -> str:
        """Short stable name, as written into documents and collections: 16 hex digits."""
        return canonical_digest(asdict(self))


class TextEncoder(Protocol):
    """Computes vectors. Synchronous and thread-safe: callers run it off the event loop (it releases the GIL)."""

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Vectors of search queries, float32 [len(texts), dimension], L2-normalised."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        """Vectors of catalogue texts, float32 [len(texts), dimension], L2-normalised, in the order of the texts."""
        ...
