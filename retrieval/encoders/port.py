"""The text encoders' ports: texts to unit vectors, or to weights of words, and the revision that says which space they live in."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from schemas.version import canonical_digest

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """Weights above 0 of some of a space's dimensions: `indices` uint32, rising and distinct, `values` float32, of one length."""

    indices: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float32]

    @classmethod
    def of(cls, indices: Iterable[int], values: Iterable[float]) -> "SparseVector":
        """From any numbers."""
        return cls(np.fromiter(indices, np.uint32), np.fromiter(values, np.float32))

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, slots=True)
class ModelRevision:
    """All that decides where a text lands in the vector space; two encoders may share a collection only if equal.

    `weights` is a digest of the graph and tokenizer files, `library` the inference library's major.minor, `dimension`
    the length of a vector after truncation, `max_length` the tokens of a text that are read (0: all). `sparse` is the
    revision of the sparse encoder that writes beside this one, where one does.
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
    sparse: "ModelRevision | None" = None

    @property
    def id(self) -> str:
        """Short stable name, as written into documents and collections: 16 hex digits."""
        return canonical_digest(self.record())

    def record(self) -> dict[str, Any]:
        """The fields as they are stored. Without a sparse encoder they are those of the time before there was one."""
        fields = asdict(self)
        if self.sparse is None:
            del fields["sparse"]
        else:
            fields["sparse"] = self.sparse.record()
        return fields


class SparseEncoder(Protocol):
    """Computes weights over a vocabulary. Synchronous and thread-safe: callers run it off the event loop (it releases the GIL)."""

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in; its dimension is the vocabulary's size."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weights of search queries, in the order of the texts; a text may have none."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weights of catalogue texts, in the order of the texts; a text may have none."""
        ...


class TextEncoder(Protocol):
    """Computes vectors. Synchronous and thread-safe: callers run it off the event loop (it releases the GIL)."""

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in; with a sparse encoder, its space too."""
        ...

    @property
    def sparse(self) -> SparseEncoder | None:
        """The sparse encoder that is used beside this one; None where there is none."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Vectors of search queries, float32 [len(texts), dimension], L2-normalised."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        """Vectors of catalogue texts, float32 [len(texts), dimension], L2-normalised, in the order of the texts."""
        ...

    def passage_lengths(self, texts: Sequence[str]) -> list[int]:
        """How long each catalogue text is for this encoder (tokens, with it the prompt's): texts of like length are cheap together."""
        ...
