"""The reranker of a configuration under test: loaded once for all configurations that name it, each pair scored once."""

from __future__ import annotations

from functools import lru_cache

from retrieval.rerank.factory import load_reranker
from retrieval.rerank.port import Reranker
from retrieval.rerank.settings import RerankSettings
from training.systems.memo import memoised


def remembered_reranker(settings: RerankSettings) -> Reranker | None:
    """The reranker that the settings name, answering every question once; None where they name none.

    Raises:
        ModelNotFoundError: no such model.
        ConfigurationError: the settings do not fit the model or this machine.
    """
    if not settings.model:
        return None
    # What decides how many candidates it gets does not decide what it gives.
    same = {
        name: type(settings).model_fields[name].get_default()
        for name in ("depth", "batch_size", "budget_ms", "at_once")
    }
    return _loaded(settings.model_copy(update=same))


@lru_cache(maxsize=4)
def _loaded(settings: RerankSettings) -> Reranker:
    reranker = load_reranker(settings)
    assert reranker is not None, "the settings name a model"
    return memoised(reranker)
