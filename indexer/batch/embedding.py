"""The vectors of planned inputs: reused from another collection where they are the very same (same input, same model), else computed.

Inference is done off the event loop: it would otherwise hold up heartbeats and every payload-only change.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np

from indexer.batch.plan import Plan
from indexer.ports import PassageEncoder
from retrieval.encoders.port import SparseVector, TextEncoder
from retrieval.passages import text_hash
from retrieval.vectors.port import AnyVector, PointPayload
from retrieval.vectors.spaces import Encode, Provenance, Spaces, VectorSpace, encoders_of, spaces_of
from schemas.identity import SkuKey

NOTHING_BESIDE: Final[Mapping[VectorSpace, Encode]] = MappingProxyType({})


class StoredPoints(Protocol):
    """Where states and vectors are reused from: a collection (`VectorIndex`), or a view of one."""

    async def read(self, keys: Sequence[SkuKey], /) -> Mapping[SkuKey, PointPayload]:
        """Payloads of the products that it holds."""
        ...

    async def vectors(self, keys: Collection[SkuKey], /, *, using: str) -> Mapping[SkuKey, AnyVector]:
        """Vectors of the products that have one of that space."""
        ...


class VectorReuse(Protocol):
    """Gives vectors that exist already."""

    async def vectors(self, inputs: Sequence[tuple[SkuKey, Mapping[str, str]]]) -> list[dict[str, AnyVector]]:
        """For each product and its inputs by space those vectors that are to be had, by space; in the order of the products."""
        ...


class CollectionReuse:
    """The port `VectorReuse` on another collection. A vector is given where its input's digest and its model agree, space by space."""

    def __init__(self, source: StoredPoints, spaces: Spaces) -> None:
        self._source = source
        self._spaces = spaces
        self.given = 0
        """Vectors, of all spaces together."""

    async def vectors(self, inputs: Sequence[tuple[SkuKey, Mapping[str, str]]]) -> list[dict[str, AnyVector]]:
        """Look at the provenance first, and fetch only vectors that will be used."""
        stored = await self._source.read([key for key, _ in inputs])
        given: list[dict[str, AnyVector]] = [{} for _ in inputs]
        for name, space in self._spaces.items():
            wanted = {
                key
                for key, by_space in inputs
                if name in by_space
                and key in stored
                and stored[key].provenance_of(name) == Provenance(text_hash(by_space[name]), space.revision)
            }
            held = await self._source.vectors(wanted, using=name) if wanted else {}
            for (key, _), vectors in zip(inputs, given, strict=True):
                if key in wanted and key in held:
                    vectors[name] = held[key]
                    self.given += 1
        return given


@dataclass(frozen=True, slots=True)
class Embedding:
    """Where vectors come from: those that exist already, where there are any, and the encoders."""

    encoder: PassageEncoder
    reuse: VectorReuse | None = None

    async def embed(self, plans: Sequence[Plan]) -> list[Plan]:
        """The plans with the vectors of their inputs.

        Raises:
            ValueError: a vector holds what is no number; stored, it would be near to nothing and to everything.
        """
        vectors: list[dict[str, AnyVector]] = [{} for _ in plans]
        if self.reuse is not None:
            vectors = await self.reuse.vectors([(plan.key, plan.inputs) for plan in plans])
        for space in self.encoder.spaces:
            rows = [row for row, plan in enumerate(plans) if space in plan.inputs and space not in vectors[row]]
            if rows:
                computed = await self.encoder.encode(space, [plans[row].inputs[space] for row in rows])
                for row, vector in zip(rows, computed, strict=True):
                    vectors[row][space] = vector
        for plan, named in zip(plans, vectors, strict=True):
            for space, vector in named.items():
                if not is_finite(vector):
                    raise ValueError(
                        f"the encoder of {space} gave {plan.key} a vector with infinite or undefined members"
                    )
        return [plan.with_vectors(each) for plan, each in zip(plans, vectors, strict=True)]


def is_finite(vector: AnyVector) -> bool:
    """Whether a vector, dense or sparse, holds numbers only."""
    return bool(np.isfinite(vector.values if isinstance(vector, SparseVector) else vector).all())


class OffLoopEncoder:
    """The port `PassageEncoder`: runs a text encoder, and the sparse one beside it, in an executor.

    onnxruntime lets go of the GIL while it computes.
    """

    def __init__(
        self, encoder: TextEncoder, executor: Executor | None, beside: Mapping[VectorSpace, Encode] = NOTHING_BESIDE
    ) -> None:
        """`beside` are further spaces, each with what fills it."""
        self.spaces = Spaces.of([*spaces_of(encoder.revision).values(), *beside])
        self._encoders = encoders_of(encoder) | {space.name: encode for space, encode in beside.items()}
        self._lengths = encoder.passage_lengths
        self._executor = executor

    async def encode(self, space: str, inputs: Sequence[str]) -> Sequence[AnyVector]:
        """The inputs' vectors in one space, in the order of the inputs."""
        context = contextvars.copy_context()  # with the urgency of the changes
        encode = self._encoders[space]
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, context.run, lambda: list(encode(list(inputs)))
        )

    async def lengths(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each catalogue text, in the order of the texts."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._lengths, list(texts))
