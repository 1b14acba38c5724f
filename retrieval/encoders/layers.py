"""In which numbers a model's linear layers compute where the settings leave it open: as the collection was written, else int8.

An installation that was begun with float32 layers goes on with them, and a new one gets 8-bit integers: less than half the
processor time for ranking that is as good (decision 0064). What is set is taken at its word.
"""

from collections.abc import Mapping
from typing import Any, Final

import structlog

from retrieval.encoders.models.architecture import is_built_from_weights
from retrieval.encoders.models.sources import find_source
from retrieval.encoders.settings import EncoderSettings, LayerChoice, LayerPrecision

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
