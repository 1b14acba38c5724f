"""The sparse encoder on onnxruntime: prompt, tokenise, bucket by length, infer, keep the weights above 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.encoders.models.prepared import PreparedModel
from retrieval.encoders.port import Matrix, ModelRevision, SparseVector
from retrieval.encoders.runtime.batching import plan_batches
from retrieval.encoders.runtime.session import LIBRARY, OnnxSession
from retrieval.encoders.runtime.tokenization import open_tokenizer
from retrieval.encoders.settings import EncoderSettings, available_cpus


class OnnxSparseEncoder:
    """Implements `SparseEncoder` over a prepared model; thread-safe as `OnnxTextEncoder` is."""

    def __init__(self, model: PreparedModel, settings: EncoderSettings) -> None:
        """Load tokenizer and graph.

        Raises:
            ConfigurationError: the settings do not fit the model or this build of onnxruntime.
        """
        manifest = model.manifest
        max_length = min(settings.sparse.max_length or manifest.max_length, manifest.max_length)
        self._pad_id = manifest.pad_id
        self._token_budget = settings.sparse.batch_tokens
        self._tokenizer = open_tokenizer(model, max_length=max_length)
        self._session = OnnxSession(
            model.graph_file,
            providers=settings.providers,
            threads=settings.threads or available_cpus(),
            inter_op_threads=settings.inter_op_threads,
            spin=settings.spin,
        )
        self._revision = ModelRevision(
            model=manifest.model,
            weights=manifest.weights,
            query_prompt=manifest.query_prompt,
            passage_prompt=manifest.passage_prompt,
            dimension=manifest.dimension,
            pooling=manifest.pooling,
            normalised=False,
            backend="onnxruntime",
            quantisation=manifest.quantisation,
            library=LIBRARY,
            max_length=max_length,
        )

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in."""
        return self._revision

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Word weights of queries behind the query prompt, in the order given."""
        return self._encode(texts, self._revision.query_prompt)

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """Word weights of passages behind the passage prompt, in the order given."""
        return self._encode(texts, self._revision.passage_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> list[SparseVector]:
        token_ids = self._tokenizer.token_ids(texts, prompt)
        found: dict[int, SparseVector] = {}
        for batch in plan_batches([len(ids) for ids in token_ids], self._token_budget):
            found.update(zip(batch, map(sparse_vector, self._infer([token_ids[each] for each in batch])), strict=True))
        return [found[place] for place in range(len(texts))]

    def _infer(self, token_ids: Sequence[Sequence[int]]) -> Matrix:
        width = max(len(ids) for ids in token_ids)
        padded = np.full((len(token_ids), width), self._pad_id, np.int64)
        mask = np.zeros_like(padded)
        for row, ids in enumerate(token_ids):
            padded[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        return self._session.run(padded, mask)


def sparse_vector(weights: Matrix) -> SparseVector:
    """The weights above 0 of one text, float32 [words]."""
    indices = np.flatnonzero(weights > 0)
    return SparseVector(indices.astype(np.uint32), weights[indices].astype(np.float32))
