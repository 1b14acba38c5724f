"""Inference only for what is not known yet: vectors are looked up by their text's digest and the model's revision first.

So one text under two SKUs, a text that comes back, and a lost vector index cost no inference. The content store behind it
never stops an indexer: it has bounded time, an outage is logged once and left alone for a while, and what it gives is checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

import numpy as np
import structlog

from indexer.batch.embedding import OffLoopEncoder
from retrieval.encoders.port import ModelRevision, SparseVector, TextEncoder
from retrieval.passages import text_hash
from retrieval.vectors.contents import ContentVectors
from retrieval.vectors.port import SPARSE_VECTOR, TEXT_VECTOR, AnyVector, NamedVectors

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PATIENCE_S: Final = 2.0
_LEFT_ALONE_S: Final = 30.0

Observe = Callable[[str, int, int], None]
"""Is told an outcome (`hit`, `miss`, `damaged`, `failed`), of how many texts, and the bytes that the store holds."""


@dataclass(frozen=True, slots=True)
class ContentSpace:
    """Under which names a space's vectors are kept, and how many dimensions it has."""

    name: str
    revision: str
    dimension: int

    def fits(self, vector: AnyVector | None) -> bool:
        """Whether this is a vector of the space; one with infinite or undefined members is none."""
        if isinstance(vector, SparseVector):
            return bool((vector.indices < self.dimension).all() and np.isfinite(vector.values).all())
        return vector is not None and vector.shape == (self.dimension,) and bool(np.isfinite(vector).all())


def content_spaces(revision: ModelRevision) -> list[ContentSpace]:
    """The spaces that an encoder of this revision writes, each with its own revision."""
    spaces = [ContentSpace(TEXT_VECTOR, replace(revision, sparse=None).id, revision.dimension)]
    if revision.sparse is not None:
        spaces.append(ContentSpace(SPARSE_VECTOR, revision.sparse.id, revision.sparse.dimension))
    return spaces


class CachingEncoder(OffLoopEncoder):
    """The port `PassageEncoder`; computes what the content store lacks. Without one, equal texts of a call are computed once."""

    def __init__(
        self,
        encoder: TextEncoder,
        executor: Executor,
        contents: ContentVectors | None = None,
        observe: Observe | None = None,
    ) -> None:
        super().__init__(encoder, executor)
        self._spaces = content_spaces(encoder.revision)
        self._contents = contents
        self._observe = observe
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._ask_again_at = 0.0

    async def encode(self, texts: Sequence[str]) -> Sequence[NamedVectors]:
        """The vectors of each catalogue text by the name of their space, in the order of the texts."""
        hashes = [text_hash(text) for text in texts]
        by_hash = dict(zip(hashes, texts, strict=True))
        # Calls overlap: what another one is computing will be in the store.
        while others := {self._under_way[each] for each in by_hash if each in self._under_way}:
            await asyncio.wait(others)
        done = asyncio.get_running_loop().create_future()
        self._under_way |= dict.fromkeys(by_hash, done)
        try:
            vectors = await self._found(by_hash)
            missing = [each for each in by_hash if each not in vectors]
            if missing:
                computed = await super().encode([by_hash[each] for each in missing])
                vectors |= dict(zip(missing, computed, strict=True))
                await self._keep({each: vectors[each] for each in missing})
        finally:
            for each in by_hash:
                del self._under_way[each]
            done.set_result(None)
        self._count("miss", len(missing))
        self._count("hit", len(texts) - len(missing))
        return [vectors[each] for each in hashes]

    async def _found(self, hashes: Mapping[str, str]) -> dict[str, NamedVectors]:
        """What the store has in every space."""
        if self._contents is None:
            return {}
        found: dict[str, dict[str, AnyVector]] = {each: {} for each in hashes}
        for space in self._spaces:
            held = await self._patiently(partial(self._contents.get, space.name, space.revision, list(hashes))) or {}
            for each, vector in held.items():
                if vector is not None and space.fits(vector):
                    found[each][space.name] = vector
                else:
                    self._count("damaged", 1)
        return {each: named for each, named in found.items() if len(named) == len(self._spaces)}

    async def _keep(self, computed: Mapping[str, NamedVectors]) -> None:
        if self._contents is None:
            return
        for space in self._spaces:
            sound = {each: named[space.name] for each, named in computed.items() if space.fits(named.get(space.name))}
            await self._patiently(partial(self._contents.put, space.name, space.revision, sound))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T | None:
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
