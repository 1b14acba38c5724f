"""From settings to a reranker: the one place that chooses."""

from time import perf_counter

import structlog

from retrieval.rerank.export import prepare_reranker
from retrieval.rerank.onnx import OnnxReranker
from retrieval.rerank.port import Reranker
from retrieval.rerank.settings import RerankSettings

log = structlog.get_logger(__name__)

_WARM_UP = ("tornillo", ["tornillo hexagonal"] * 2)
"""Scored once at the start: the first search should not pay for lazy initialisation."""


def load_reranker(settings: RerankSettings) -> Reranker | None:
    """The reranker that the settings name, ready to use; None where they name none.

    Raises:
        ModelNotFoundError: no such model.
        ConfigurationError: the settings do not fit the model or this machine.
    """
    if not settings.model:
        return None
    started = perf_counter()
    reranker = OnnxReranker(prepare_reranker(settings), settings)
    reranker.score(*_WARM_UP)
    log.info(
        "reranker loaded",
        model=reranker.revision.model,
        revision=reranker.revision.id,
        max_length=reranker.revision.max_length,
        seconds=round(perf_counter() - started, 2),
    )
    return reranker
