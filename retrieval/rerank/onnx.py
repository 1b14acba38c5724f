"""The cross-encoder on onnxruntime: pair, tokenise, bucket by length, infer, put back into order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding

from retrieval.encoders.models.prepared import PreparedModel
from retrieval.encoders.runtime.batching import plan_batches
from retrieval.encoders.runtime.session import LIBRARY, OnnxSession
from retrieval.encoders.runtime.tokenization import TextTokenizer
from retrieval.encoders.settings import available_cpus
from retrieval.rerank.port import RerankerRevision, Scores
from retrieval.rerank.settings import RerankSettings


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
        width = max(len(encoding.ids) for encoding in encodings)
        ids = np.full((len(encodings), width), self._pad_id, np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            length = len(encoding.ids)
            ids[row, :length] = encoding.ids
            types[row, :length] = encoding.type_ids
            mask[row, :length] = 1
        return self._session.run(ids, mask, types)[:, 0]
