"""Text and sparse encoder on onnxruntime: prompt, tokenise, bucket by length, infer, put back into order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from retrieval.encoders.inference.session import LIBRARY, OnnxSession, padded, plan_batches
from retrieval.encoders.inference.tokenization import open_tokenizer
from retrieval.encoders.models.architecture import layers_of
from retrieval.encoders.models.cache import PreparedModel
from retrieval.encoders.port import Matrix, ModelRevision, SparseEncoder, SparseVector
from retrieval.encoders.settings import EncoderSettings, LayerPrecision, available_cpus
from schemas.errors import ConfigurationError

_ALONE: Final = 1
"""A budget of tokens that no text fits into with another."""

_TINY: Final = 1e-12
"""Keeps the division of an all-zero prefix finite."""


class OnnxTextEncoder:
    """Implements `TextEncoder` over a prepared model.

    Thread-safe without locks: the tokenizer is read-only and a session runs concurrent calls; both release the GIL.
    The vector of a text does not depend on its neighbours in a batch beyond float rounding (1e-6).
    """

    def __init__(self, model: PreparedModel, settings: EncoderSettings, *, sparse: SparseEncoder | None = None) -> None:
        """Load tokenizer and graph. `sparse` is the sparse encoder that is used beside this one.

        Raises:
            ConfigurationError: the settings do not fit the model or this build of onnxruntime.
        """
        manifest = model.manifest
        dimension = settings.truncate_dimension or manifest.dimension
        if dimension > manifest.dimension:
            raise ConfigurationError(
                f"encoder.truncate_dimension is {dimension}, but {manifest.model} has only {manifest.dimension} dimensions"
            )
        max_length = min(settings.max_length or manifest.max_length, manifest.max_length)
        self._pad_id = manifest.pad_id
        # Eight-bit activations share one scale a call: computed alone, a text has one vector, whatever stands beside it.
        self._token_budget = (
            _ALONE if layers_of(manifest.quantisation) is LayerPrecision.INT8 else settings.batch_tokens
        )
        self._tokenizer = open_tokenizer(model, max_length=max_length)
        self._session = OnnxSession(
            model.graph_file,
            providers=settings.providers,
            threads=settings.threads or available_cpus(),
            inter_op_threads=settings.inter_op_threads,
            spin=settings.spin,
        )
        self._truncates = dimension < manifest.dimension
        self._revision = ModelRevision(
            model=manifest.model,
            weights=manifest.weights,
            query_prompt=_first_given(settings.query_prompt, manifest.query_prompt),
            passage_prompt=_first_given(settings.passage_prompt, manifest.passage_prompt),
            dimension=dimension,
            pooling=manifest.pooling,
            normalised=True,
            backend="onnxruntime",
            quantisation=manifest.quantisation,
            library=LIBRARY,
            max_length=max_length,
            sparse=None if sparse is None else sparse.revision,
        )
        self.sparse = sparse

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in."""
        return self._revision

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors of queries behind the query prompt, float32 [len(texts), dimension]."""
        return self._encode(texts, self._revision.query_prompt)

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors of passages behind the passage prompt, float32 [len(texts), dimension], in the order given."""
        return self._encode(texts, self._revision.passage_prompt)

    def passage_lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each catalogue text as they are computed, in the order given."""
        return [len(ids) for ids in self._tokenizer.token_ids(texts, self._revision.passage_prompt)]

    def _encode(self, texts: Sequence[str], prompt: str) -> Matrix:
        token_ids = self._tokenizer.token_ids(texts, prompt)
        vectors = np.empty((len(texts), self._revision.dimension), np.float32)
        for batch in plan_batches([len(ids) for ids in token_ids], self._token_budget):
            vectors[batch] = self._infer([token_ids[index] for index in batch])
        return vectors

    def _infer(self, token_ids: Sequence[Sequence[int]]) -> Matrix:
        vectors = self._session.run(*padded(token_ids, self._pad_id))
        if not self._truncates:
            return vectors
        kept = vectors[:, : self._revision.dimension]
        lengths: Matrix = np.linalg.norm(kept, axis=1, keepdims=True)
        return np.divide(kept, np.maximum(lengths, np.float32(_TINY)))


def _first_given(chosen: str | None, own: str) -> str:
    return own if chosen is None else chosen


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
            weights = self._session.run(*padded([token_ids[each] for each in batch], self._pad_id))
            found.update(zip(batch, map(sparse_vector, weights), strict=True))
        return [found[place] for place in range(len(texts))]


def sparse_vector(weights: Matrix) -> SparseVector:
    """The weights above 0 of one text, float32 [words]."""
    indices = np.flatnonzero(weights > 0)
    return SparseVector(indices.astype(np.uint32), weights[indices].astype(np.float32))
