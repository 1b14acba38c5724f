"""Which pipelines are built from their weights, told from a folder's configuration alone: no weights are read, no graph library loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from retrieval.encoders.models.folder import SentenceTransformerFolder, read_folder
from retrieval.encoders.models.sources import ModelSource

POOLINGS: Final = ("mean", "cls", "max")
"""Poolings of token vectors that the graph builder knows."""

WEIGHTS_FILE: Final = "model.safetensors"

_ROBERTA: Final = frozenset({"roberta", "xlm-roberta"})


@dataclass(frozen=True, slots=True)
class BertConfig:
    """What the weights alone do not tell; `first_position` is the row of the position table that a text's first token takes."""

    layers: int
    heads: int
    layer_norm_epsilon: float
    first_position: int = 0

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> "BertConfig | None":
        """Read a `config.json`; None where the architecture is not a plain BERT or RoBERTa."""
        family = config.get("model_type")
        plain = (
            (family == "bert" or family in _ROBERTA)
            and config.get("hidden_act", "gelu") == "gelu"
            and config.get("position_embedding_type", "absolute") == "absolute"
            and not config.get("is_decoder", False)
        )
        if not plain:
            return None
        return cls(
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            layer_norm_epsilon=config.get("layer_norm_eps", 1e-12),
            first_position=int(config.get("pad_token_id", 1)) + 1 if family in _ROBERTA else 0,
        )


def poolable(folder: SentenceTransformerFolder) -> bool:
    """Whether the pipeline is a transformer under one pooling that the graph builder knows."""
    return folder.plain and folder.pooling in POOLINGS


def is_built_from_weights(source: ModelSource) -> bool:
    """Whether the model's graph is built from its weights, so that its layers can compute in 8-bit integers.

    Raises:
        ModelNotFoundError: it is not a sentence-transformers folder.
        ConfigurationError: one of its configuration files is broken.
    """
    if source.path.is_file():
        return True
    folder = read_folder(source.path)
    return (
        poolable(folder)
        and BertConfig.from_transformers(folder.config) is not None
        and (folder.transformer_path / WEIGHTS_FILE).is_file()
    )
