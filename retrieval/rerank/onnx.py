"""The cross-encoder on onnxruntime (pair, tokenise, bucket by length, infer, put back into order), loaded by the settings."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np
import structlog
from tokenizers import Encoding

from retrieval.encoders.export.exporter import prepare_cross_encoder
from retrieval.encoders.inference.session import LIBRARY, OnnxSession, padded, plan_batches
from retrieval.encoders.inference.tokenization import TextTokenizer
from retrieval.encoders.models.cache import PreparedModel
from retrieval.encoders.settings import available_cpus
from retrieval.rerank.port import Reranker, RerankerRevision, RerankSettings, Scores


class OnnxReranker:
    """Implements `Reranker` over a prepared model.

    Thread-safe without locks: the tokenizer is read-only and a session runs concurrent calls; both release the GIL. The score
    of a pair does not depend on its neighbours in a batch beyond float rounding (1e-6).
    """

    def __init__(self, model: PreparedModel, settings: RerankSettings) -> None:
        """Load tokenizer and graph.

        Raises:
            ConfigurationError: the settings do not fit the model or this build of onnxruntime.
        """
        manifest = model.manifest
        max_length = min(settings.max_length or manifest.max_length, manifest.max_length)
        self._pad_id = manifest.pad_id
        self._token_budget = settings.batch_tokens
        self._tokenizer = TextTokenizer(model.tokenizer_file, max_length=max_length, lower_case=manifest.lower_case)
        self._session = OnnxSession(
            model.graph_file, providers=settings.providers, threads=settings.threads or available_cpus()
        )
        self._revision = RerankerRevision(manifest.model, manifest.weights, max_length, LIBRARY)

    @property
    def revision(self) -> RerankerRevision:
        """Which model scores."""
        return self._revision

    def score(self, query: str, passages: Sequence[str]) -> Scores:
        """One score a passage, float32 [len(passages)], as `CrossEncoder.predict` gives it."""
        encodings = self._tokenizer.encodings([(query, passage) for passage in passages])
        scores = np.empty(len(passages), np.float32)
        for batch in plan_batches([len(encoding.ids) for encoding in encodings], self._token_budget):
            scores[batch] = self._infer([encodings[index] for index in batch])
        return scores

    def _infer(self, encodings: Sequence[Encoding]) -> Scores:
        ids, mask = padded([encoding.ids for encoding in encodings], self._pad_id)
        types = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            types[row, : len(encoding.ids)] = encoding.type_ids
        return self._session.run(ids, mask, types)[:, 0]


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
    reranker = OnnxReranker(prepare_cross_encoder(settings.model, settings.cache_dir), settings)
    reranker.score(*_WARM_UP)
    log.info(
        "reranker loaded",
        model=reranker.revision.model,
        revision=reranker.revision.id,
        max_length=reranker.revision.max_length,
        seconds=round(perf_counter() - started, 2),
    )
    return reranker
