"""Inference only for what is not known yet: vectors are looked up by their text's digest and the model's revision first.

So one text under two SKUs, a text that comes back, and a lost vector index cost no inference. The content store behind it
never stops an indexer: it has bounded time, an outage is logged once and left alone for a while, and what it gives is checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeVar

import structlog

from indexer.batch.embedding import NOTHING_BESIDE, OffLoopEncoder, is_finite
from retrieval.encoders.port import SparseVector, TextEncoder
from retrieval.passages import text_hash
from retrieval.vectors.contents import ContentVectors
from retrieval.vectors.port import AnyVector
from retrieval.vectors.spaces import Encode, VectorSpace

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PATIENCE_S: Final = 2.0
_LEFT_ALONE_S: Final = 30.0

Observe = Callable[[str, int, int], None]
"""Is told an outcome (`hit`, `miss`, `damaged`, `failed`), of how many texts, and the bytes that the store holds."""


def fits(space: VectorSpace, vector: AnyVector | None) -> bool:
    """Whether this is a vector of the space; one with infinite or undefined members is none."""
    if vector is None or not is_finite(vector):
        return False
    if isinstance(vector, SparseVector):
        return bool((vector.indices < space.dimension).all())
    return vector.shape == (space.dimension,)


class CachingEncoder(OffLoopEncoder):
    """The port `PassageEncoder`; computes what the content store lacks. Without one, equal texts of a call are computed once."""

    def __init__(
        self,
        encoder: TextEncoder,
        executor: Executor,
        contents: ContentVectors | None = None,
        observe: Observe | None = None,
        *,
        beside: Mapping[VectorSpace, Encode] = NOTHING_BESIDE,
    ) -> None:
        super().__init__(encoder, executor, beside)
        self._contents = contents
        self._observe = observe
        self._under_way: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._ask_again_at = 0.0

    async def encode(self, space: str, inputs: Sequence[str]) -> Sequence[AnyVector]:
        """The inputs' vectors in one space, in the order of the inputs."""
        hashes = [text_hash(each) for each in inputs]
        by_hash = dict(zip(hashes, inputs, strict=True))
        # Calls overlap: what another one is computing will be in the store.
        while others := {self._under_way[space, each] for each in by_hash if (space, each) in self._under_way}:
            await asyncio.wait(others)
        done = asyncio.get_running_loop().create_future()
        self._under_way |= {(space, each): done for each in by_hash}
        try:
            vectors = await self._found(self.spaces[space], by_hash)
            missing = [each for each in by_hash if each not in vectors]
            if missing:
                computed = await super().encode(space, [by_hash[each] for each in missing])
                vectors |= dict(zip(missing, computed, strict=True))
                await self._keep(self.spaces[space], {each: vectors[each] for each in missing})
        finally:
            for each in by_hash:
                del self._under_way[space, each]
            done.set_result(None)
        self._count("miss", len(missing))
        self._count("hit", len(inputs) - len(missing))
        return [vectors[each] for each in hashes]

    async def _found(self, space: VectorSpace, hashes: Collection[str]) -> dict[str, AnyVector]:
        if self._contents is None:
            return {}
        found: dict[str, AnyVector] = {}
        held = await self._bounded(partial(self._contents.get, space.name, space.revision, list(hashes))) or {}
        for each, vector in held.items():
            if vector is not None and fits(space, vector):
                found[each] = vector
            else:
                self._count("damaged", 1)
        return found

    async def _keep(self, space: VectorSpace, computed: Mapping[str, AnyVector]) -> None:
        if self._contents is not None:
            sound = {each: vector for each, vector in computed.items() if fits(space, vector)}
            await self._bounded(partial(self._contents.put, space.name, space.revision, sound))

    async def _bounded(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The store's answer; None where it has none in time, or had none a moment ago."""
        now = asyncio.get_running_loop().time
        if now() < self._ask_again_at:
            return None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                answer = await call()
        except Exception as error:  # noqa: BLE001 -- whatever it is: a store that only saves work stops none
            if not self._ask_again_at:
                log.warning("the content store fails; vectors are computed without it", error=repr(error))
            self._ask_again_at = now() + _LEFT_ALONE_S
            self._count("failed", 1)
            return None
        if self._ask_again_at:
            log.info("the content store answers again")
            self._ask_again_at = 0.0
        return answer

    def _count(self, outcome: str, texts: int) -> None:
        if texts and self._observe is not None:
            self._observe(outcome, texts, 0 if self._contents is None else self._contents.held_bytes)
