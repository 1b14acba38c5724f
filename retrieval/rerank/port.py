"""The reranker's port, how well each passage answers a query, read together; and the settings under `FERROFLUX_SEARCH__RERANK__…`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from retrieval.encoders.settings import default_cache_dir
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


class RerankSettings(BaseModel):
    """Off until a model is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "",
        description="A sentence-transformers CrossEncoder folder, or an fsspec URL of such a folder; none: no reranking.",
    )
    cache_dir: Path = Field(default_factory=default_cache_dir, description="Where prepared models are kept.")
    depth: int = Field(32, ge=2, le=500, description="Candidates, best first, that are reranked at most.")
    batch_size: int = Field(
        8, ge=1, le=256, description="Candidates that are scored between two looks at the clock, best first."
    )
    budget_ms: float = Field(
        80.0,
        gt=0,
        le=600_000,
        description="Milliseconds that reranking may take; candidates that were not scored until then keep the fusion's order.",
    )
    max_length: int | None = Field(
        None, ge=8, description="Tokens of a pair that are read; null takes the model's own."
    )
    threads: int | None = Field(
        None, ge=1, description="Threads of one inference; null takes the available processors."
    )
    at_once: int = Field(1, ge=1, le=64, description="Searches that are reranked at the same time.")
    batch_tokens: int = Field(
        1024, ge=64, description="Tokens of one inference, padding included; pairs of like length go together."
    )
    providers: tuple[str, ...] = Field(
        ("CPUExecutionProvider",), min_length=1, description="onnxruntime's execution providers in order of preference."
    )
