"""From settings to an encoder: the one place that chooses."""

from time import perf_counter

import structlog

from retrieval.encoders.export.exporter import prepare
from retrieval.encoders.models.prepared import PreparedModel
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.runtime.encoder import OnnxTextEncoder
from retrieval.encoders.settings import EncoderSettings

log = structlog.get_logger(__name__)


def prepare_model(settings: EncoderSettings) -> PreparedModel:
    """Decode and export the model into the cache now, so that no worker does it at its start; quick when done before.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: the model cannot be exported, or the cache cannot be written.
    """
    return prepare(settings.model, settings.cache_dir, settings.layers)


def load_encoder(settings: EncoderSettings) -> TextEncoder:
    """The encoder that the settings name, ready to use; prepares the model first where that was not done.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: the settings do not fit the model or this machine.
    """
    started = perf_counter()
    encoder = OnnxTextEncoder(prepare_model(settings), settings)
    log.info(
        "encoder loaded",
        model=encoder.revision.model,
        revision=encoder.revision.id,
        dimension=encoder.revision.dimension,
        seconds=round(perf_counter() - started, 2),
    )
    return encoder
