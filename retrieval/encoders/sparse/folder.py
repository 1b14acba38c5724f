"""A SparseEncoder folder, read without sentence-transformers: the pooling, prompts and lengths.

A masked language model's folder without `modules.json` is read as sentence-transformers reads it: as SPLADE with max pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from retrieval.encoders.models.folder import length_limit, passage_prompt, query_prompt, read_json
from retrieval.encoders.models.sources import CONFIG_FILE
from schemas.errors import ConfigurationError, ModelNotFoundError

SAVED_BY: Final = "SparseEncoder.save_pretrained"

_POOLINGS: Final = ("max", "sum")
_ACTIVATIONS: Final = ("relu", "log1p_relu")
_SPLADE: Final = (["Transformer", "SpladePooling"], ["MLMTransformer", "SpladePooling"])


@dataclass(frozen=True, slots=True)
class SparseEncoderFolder:
    """What the folder says about itself. `plain` is whether the pipeline is a masked language model and SpladePooling alone."""

    path: Path
    config: dict[str, Any]
    plain: bool
    pooling: str
    activation: str
    query_prompt: str
    passage_prompt: str
    max_length: int
    lower_case: bool

    @property
    def tokenizer_file(self) -> Path:
        """The fast tokenizer's file."""
        return self.path / "tokenizer.json"


def read_sparse_encoder(path: Path) -> SparseEncoderFolder:
    """Read the folder's configuration files; no weights.

    Raises:
        ModelNotFoundError: it is not a model's folder.
        ConfigurationError: it is no sparse encoder, or one that is not supported.
    """
    if not (path / CONFIG_FILE).is_file():
        raise ModelNotFoundError(
            f"{path} is not a SparseEncoder folder: it has no {CONFIG_FILE}. Save it with {SAVED_BY}."
        )
    config: dict[str, Any] = read_json(path / CONFIG_FILE)
    own = read_json(path / "config_sentence_transformers.json", {})
    modules = read_json(path / "modules.json", [])
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    architecture = str((config.get("architectures") or [""])[0])
    if own.get("model_type", "SparseEncoder") != "SparseEncoder" or not (kinds or architecture.endswith("ForMaskedLM")):
        raise ConfigurationError(
            f"{path} holds a {architecture or own.get('model_type')}, not a SparseEncoder. Name a folder that {SAVED_BY} wrote."
        )
    if "Router" in kinds:
        raise ConfigurationError(
            f"the model in {path} has one encoder for queries and one for documents (Router), which is not supported. "
            "Take a SPLADE model that encodes both alike."
        )
    if not (path / "tokenizer.json").is_file():
        raise ConfigurationError(
            f"{path} has no tokenizer.json, only a slow tokenizer. Load it once with transformers' AutoTokenizer and save it again."
        )
    pooling = read_json(path / modules[-1]["path"] / "config.json", {}) if kinds in _SPLADE else {}
    transformer = read_json(path / "sentence_bert_config.json", {})
    strategy = pooling.get("pooling_strategy", "max")
    activation = pooling.get("activation_function", "relu")
    known = strategy in _POOLINGS and activation in _ACTIVATIONS
    return SparseEncoderFolder(
        path=path,
        config=config,
        plain=known and (not kinds or kinds in _SPLADE),
        pooling=strategy,
        activation=activation,
        query_prompt=query_prompt(own),
        passage_prompt=passage_prompt(own),
        max_length=length_limit(transformer, read_json(path / "tokenizer_config.json", {}), config),
        lower_case=bool(transformer.get("do_lower_case", False)),
    )
