"""The vectors of planned texts: reused from another collection where they are the very same (same text, same model), else computed.

Inference is done off the event loop: it would otherwise hold up heartbeats and every payload-only change.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from indexer.batch.plan import Plan
from indexer.ports import PassageEncoder
from retrieval.encoders.port import TextEncoder
from retrieval.passages import text_hash
from retrieval.vectors.port import SPARSE_VECTOR, TEXT_VECTOR, NamedVectors, PointPayload, Vector
from schemas.identity import SkuKey


class StoredPoints(Protocol):
    """Where states and vectors are reused from: a collection (`VectorIndex`), or a view of one."""

    async def read(self, keys: Sequence[SkuKey], /) -> Mapping[SkuKey, PointPayload]:
        """Payloads of the products that it holds."""
        ...

    async def vectors(self, keys: Collection[SkuKey], /, *, using: str) -> Mapping[SkuKey, Vector]:
        """Vectors of the products that have one of that name."""
        ...


class VectorReuse(Protocol):
    """Gives vectors that exist already."""

    async def vectors(self, texts: Sequence[tuple[SkuKey, str]]) -> list[Vector | None]:
        """For each product and text its vector, None where there is none to be had; in the order of the texts."""
        ...


class CollectionReuse:
    """The port `VectorReuse` on another collection. A vector is given where its text's digest and its model agree.

    It gives dense vectors; a generation with a sparse encoder beside is built without reuse.
    """

    def __init__(self, source: StoredPoints, model: str) -> None:
        self._source = source
        self._model = model
        self.given = 0

    async def vectors(self, texts: Sequence[tuple[SkuKey, str]]) -> list[Vector | None]:
        """Look at the provenance first, and fetch only vectors that will be used."""
        stored = await self._source.read([key for key, _ in texts])
        wanted = [key for key, text in texts if agrees(stored.get(key), text, self._model)]
        held = await self._source.vectors(wanted, using=TEXT_VECTOR) if wanted else {}
        given = [held.get(key) for key, _ in texts]
        self.given += sum(vector is not None for vector in given)
        return given


def agrees(stored: PointPayload | None, text: str, model: str) -> bool:
    """Whether a stored point's vector is the one that this model gives this text."""
    return stored is not None and stored.text_model == model and stored.text_hash == text_hash(text)


@dataclass(frozen=True, slots=True)
class Embedding:
    """Where vectors come from: those that exist already, where there are any, and the encoder."""

    encoder: PassageEncoder
    reuse: VectorReuse | None = None

    async def embed(self, plans: Sequence[Plan]) -> list[Plan]:
        """The plans with the vectors of their texts; each has a text.

        Raises:
            ValueError: a vector holds what is no number; stored, it would be near to nothing and to everything.
        """
        texts = [(plan.key, plan.text or "") for plan in plans]
        reused: list[Vector | None] = [None] * len(texts) if self.reuse is None else await self.reuse.vectors(texts)
        missing = [text for (_, text), vector in zip(texts, reused, strict=True) if vector is None]
        computed = iter(await self.encoder.encode(missing) if missing else ())
        vectors = [next(computed) if vector is None else {TEXT_VECTOR: vector} for vector in reused]
        for plan, named in zip(plans, vectors, strict=True):
            dense = named.get(TEXT_VECTOR)
            if isinstance(dense, np.ndarray) and not np.isfinite(dense).all():
                raise ValueError(f"the encoder gave {plan.key} a vector with infinite or undefined members")
        return [plan.with_vectors(each) for plan, each in zip(plans, vectors, strict=True)]


class OffLoopEncoder:
    """The port `PassageEncoder`: runs an encoder, and the sparse one beside it, in an executor.

    onnxruntime lets go of the GIL while it computes.
    """

    def __init__(self, encoder: TextEncoder, executor: Executor) -> None:
        self._encoder = encoder
        self._executor = executor
        self.model = encoder.revision.id

    async def encode(self, texts: Sequence[str]) -> Sequence[NamedVectors]:
        """The vectors of each catalogue text by the name of their space, in the order of the texts."""
        context = contextvars.copy_context()  # with the urgency of the changes
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, context.run, encoded, self._encoder, list(texts)
        )

    async def lengths(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each catalogue text, in the order of the texts."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._encoder.passage_lengths, list(texts)
        )


def encoded(encoder: TextEncoder, texts: Sequence[str]) -> list[NamedVectors]:
    """The vectors of catalogue texts in every space that the encoder writes; blocking."""
    dense = encoder.encode_passages(texts)
    if encoder.sparse is None:
        return [{TEXT_VECTOR: row} for row in dense]
    words = encoder.sparse.encode_passages(texts)
    return [{TEXT_VECTOR: row, SPARSE_VECTOR: one} for row, one in zip(dense, words, strict=True)]
