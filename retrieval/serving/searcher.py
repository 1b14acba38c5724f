"""One opened generation. A query leases it, so that what is let go closes only when the last query has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from retrieval.aliases.live import LiveAliases
from retrieval.analysis.pipeline import analyse
from retrieval.encoders.port import TextEncoder
from retrieval.rerank.port import Reranker
from retrieval.search.hybrid import HybridSearcher
from retrieval.search.settings import SearchSettings
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from schemas.records.generations import MAIN

log = structlog.get_logger(__name__)


class Searcher:
    """Encoder, vectors and text replica of one generation, and the search over them. The parts belong to whoever opened them."""

    def __init__(
        self,
        *,
        vectors: VectorIndex,
        encoder: TextEncoder,
        reader: TextIndexReader,
        settings: SearchSettings,
        aliases: LiveAliases | None = None,
        reranker: Reranker | None = None,
        name: str = MAIN,
    ) -> None:
        """Without `aliases`, with the shipped ones alone."""
        self.name = name
        self.vectors = vectors
        self.encoder = encoder
        self.reader = reader
        self.hybrid = HybridSearcher.over(
            vectors=vectors,
            encoder=encoder,
            reader=reader,
            analyse=analyse,
            settings=settings,
            aliases=aliases,
            reranker=reranker,
        )
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def lease(self) -> Iterator[Searcher]:
        """Hold it for the length of one query: all of the query is answered from this generation."""
        self._leases += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self._leases -= 1
            if not self._leases:
                self._idle.set()

    async def idle(self, within_s: float) -> None:
        """Return when the last lease has ended, or the time is up."""
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("a generation is let go under running queries", generation=self.name, queries=self._leases)

    def close(self) -> None:
        """End the threads of the search."""
        self.hybrid.close()
