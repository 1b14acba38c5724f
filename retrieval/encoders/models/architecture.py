"""Which pipelines are built from their weights, and in which numbers their linear layers compute; read off configuration alone.

Where the settings leave the layers open, an installation that was begun with float32 layers goes on with them, and a new one
gets 8-bit integers: less than half the processor time for ranking that is as good (decision 0064).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from retrieval.encoders.models.folders import ModelFolder, read_folder
from retrieval.encoders.models.sources import ModelSource, find_source
from retrieval.encoders.settings import EncoderSettings, LayerChoice, LayerPrecision

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


def poolable(folder: ModelFolder) -> bool:
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


log = structlog.get_logger(__name__)

INT8_MARK: Final = f"layers-{LayerPrecision.INT8}"
"""Part of a revision's quantisation where this code put the layers into 8-bit integers."""

_PROCESSOR: Final = "CPUExecutionProvider"


def layers_of(quantisation: str) -> LayerPrecision:
    """The numbers in which the layers of a revision compute; a graph that was shipped quantised is taken as it is."""
    return LayerPrecision.INT8 if INT8_MARK in quantisation else LayerPrecision.FLOAT32


def settle_layers(settings: EncoderSettings, recorded: Mapping[str, Any] | None = None) -> EncoderSettings:
    """The settings with the layers decided; `recorded` is the revision that the collection records, where there is one.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: a configuration file of the model is broken.
    """
    if settings.layers is not LayerChoice.AUTO:
        return settings
    source = find_source(settings.model, settings.cache_dir)
    if recorded is not None and recorded.get("model") == source.name:
        precision, why = layers_of(str(recorded.get("quantisation"))), "as the collection was written"
    elif settings.providers[0] != _PROCESSOR:
        precision, why = LayerPrecision.FLOAT32, f"8-bit layers are for {_PROCESSOR}"
    elif is_built_from_weights(source):
        precision, why = LayerPrecision.INT8, "the default"
    else:
        precision, why = LayerPrecision.FLOAT32, "the model is not built from its weights"
    log.info("layers chosen", model=source.name, layers=str(precision), because=why)
    return settings.model_copy(update={"layers": LayerChoice(precision)})


def precision_of(settings: EncoderSettings) -> LayerPrecision:
    """The layers of settings that were settled."""
    return LayerPrecision(settle_layers(settings).layers)


def servable_precisions(settings: EncoderSettings) -> tuple[LayerPrecision, ...]:
    """What a process with these settings may come to load: by itself the default, and float32 for a collection begun with it.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: a configuration file of the model is broken.
    """
    chosen = precision_of(settings)
    follows = settings.layers is LayerChoice.AUTO and chosen is not LayerPrecision.FLOAT32
    return (chosen, LayerPrecision.FLOAT32) if follows else (chosen,)
