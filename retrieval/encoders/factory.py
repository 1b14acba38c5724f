"""From settings to an encoder: the one place that chooses."""

from time import perf_counter

import structlog

from retrieval.encoders.export.exporter import prepare, prepare_sparse
from retrieval.encoders.inference.encoders import OnnxSparseEncoder, OnnxTextEncoder
from retrieval.encoders.models.architecture import layers_of, precision_of, servable_precisions, settle_layers
from retrieval.encoders.models.cache import PreparedModel
from retrieval.encoders.port import SparseEncoder, TextEncoder
from retrieval.encoders.settings import EncoderSettings

log = structlog.get_logger(__name__)


def prepare_model(settings: EncoderSettings) -> PreparedModel:
    """Decode and export the model into the cache now, so that no worker does it at its start; quick when done before.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: the model cannot be exported, or the cache cannot be written.
    """
    return prepare(settings.model, settings.cache_dir, precision_of(settings))


def prepare_servable(settings: EncoderSettings) -> list[PreparedModel]:
    """Prepare every form of the model that a process with these settings may load, for images whose cache is read-only.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: the model cannot be exported, or the cache cannot be written.
    """
    return [prepare(settings.model, settings.cache_dir, each) for each in servable_precisions(settings)]


def load_sparse(settings: EncoderSettings) -> SparseEncoder | None:
    """The sparse encoder that the settings name, ready to use; None where they name none.

    Raises:
        ModelNotFoundError: no such model.
        ConfigurationError: the settings do not fit the model or this machine.
    """
    if not settings.sparse.model:
        return None
    started = perf_counter()
    encoder = OnnxSparseEncoder(prepare_sparse(settings), settings)
    # The first search should not pay for lazy initialisation.
    encoder.encode_queries(["tornillo"])
    log.info(
        "sparse encoder loaded",
        model=encoder.revision.model,
        revision=encoder.revision.id,
        words=encoder.revision.dimension,
        seconds=round(perf_counter() - started, 2),
    )
    return encoder


def load_encoder(settings: EncoderSettings) -> TextEncoder:
    """The encoder that the settings name, ready to use; prepares the model first where that was not done.

    Where there is a collection, `settle_layers` with its record comes first; without one, open layers are the default's.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: the settings do not fit the model or this machine.
    """
    started = perf_counter()
    settings = settle_layers(settings)
    encoder = OnnxTextEncoder(prepare_model(settings), settings, sparse=load_sparse(settings))
    log.info(
        "encoder loaded",
        model=encoder.revision.model,
        revision=encoder.revision.id,
        dimension=encoder.revision.dimension,
        layers=str(layers_of(encoder.revision.quantisation)),
        seconds=round(perf_counter() - started, 2),
    )
    return encoder
