"""Which encoder and how it runs: the settings under `FERROFLUX_ENCODER__…`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_MODEL: Final = "multilingual-e5-small"


def default_cache_dir() -> Path:
    """`ferroflux/models` in the user's cache directory (XDG)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "ferroflux" / "models"


def available_cpus() -> int:
    """Processors that this process may use; onnxruntime's own default counts the whole machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LayerPrecision(StrEnum):
    """The numbers in which a model's linear layers compute."""

    FLOAT32 = "float32"
    INT8 = "int8"


class LayerChoice(StrEnum):
    """The setting: a precision, or what fits the collection and the model."""

    AUTO = "auto"
    FLOAT32 = "float32"
    INT8 = "int8"


class SparseSettings(BaseModel):
    """A learned sparse encoder (SPLADE) beside the dense one; none until a model is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "",
        description="A sentence-transformers SparseEncoder folder (SPLADE), or an fsspec URL of one; none: no sparse vectors. "
        "A collection is written with it from the beginning, or without.",
    )
    max_length: int | None = Field(
        None, ge=8, description="Tokens of a text that are read; null takes the model's own."
    )
    batch_tokens: int = Field(
        256,
        ge=64,
        description="Tokens of one batch, padding included; each gives a number for every word of the vocabulary.",
    )


class EncoderShares(BaseModel):
    """How queries, live changes and loads share the processors' inference where they are one process (`ferroflux up`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: float = Field(
        4.0, gt=0, description="Weight of queries in `ferroflux up`, where all want more than there is."
    )
    live: float = Field(2.0, gt=0, description="Weight of live changes; they seldom want as much as that gives them.")
    bulk: float = Field(1.0, gt=0, description="Weight of loads, replays and rebuilds.")


class EncoderSettings(BaseModel):
    """The model and its run-time settings. What changes the vectors is in the model's revision, the rest is free."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        DEFAULT_MODEL,
        min_length=1,
        description="A built-in model, a sentence-transformers folder, or an fsspec URL of such a folder.",
    )
    cache_dir: Path = Field(default_factory=default_cache_dir, description="Where prepared models are kept.")
    layers: LayerChoice = Field(
        LayerChoice.AUTO,
        description="Arithmetic of the linear layers: float32 equals sentence-transformers to 1e-5; int8 takes less than "
        "half the processor time, and its vectors are near those, not equal (BERT models; its revision is another one). "
        "auto: as the collection was written; a new one gets int8 where the model allows it, else float32.",
    )
    query_prompt: str | None = Field(None, description="Put before every query; null takes the model's own.")
    passage_prompt: str | None = Field(None, description="Put before every passage; null takes the model's own.")
    max_length: int | None = Field(
        None, ge=8, description="Tokens of a text that are read; null takes the model's own."
    )
    truncate_dimension: int | None = Field(
        None, ge=1, description="Keep the first so many numbers of a vector (for models trained so)."
    )
    threads: int | None = Field(
        None, ge=1, description="Threads of one inference; null takes the available processors."
    )
    inter_op_threads: int = Field(1, ge=1, description="Branches of the graph that run at once; ours has none.")
    spin: bool = Field(
        default=False,
        description="Let idle threads spin for the next task: a query is about 15 % faster, idle processors burn.",
    )
    batch_tokens: int = Field(
        512, ge=64, description="Tokens of one batch, padding included; what lies in the processor's cache is quickest."
    )
    providers: tuple[str, ...] = Field(
        ("CPUExecutionProvider",), min_length=1, description="onnxruntime's execution providers in order of preference."
    )
    shares: EncoderShares = Field(
        default_factory=EncoderShares, description="Weights of those who share the encoder in one process."
    )
    sparse: SparseSettings = Field(
        default_factory=SparseSettings,
        description="A sparse encoder beside it; cache, threads and providers are shared.",
    )
