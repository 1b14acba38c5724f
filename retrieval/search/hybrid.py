"""Hybrid search: analyse, run the retrievers side by side, fuse, check against the replica, hydrate, count facets."""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from retrieval.analysis.tokens import AnalysedText
from retrieval.encoders.port import TextEncoder
from retrieval.search.facets import count_facets
from retrieval.search.fanout import SearchUnavailableError, run_legs
from retrieval.search.fusion import weighted_rrf
from retrieval.search.hydration import hydrate
from retrieval.search.legs import CodeLeg, DenseLeg, Leg, ListLeg, TextLeg
from retrieval.search.query import Hit, PreparedQuery, SearchQuery, SearchResult
from retrieval.search.query_vectors import QueryVectors
from retrieval.search.settings import SearchSettings
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex

Analyse = Callable[[str], AnalysedText]
"""Text analysis of the query side; must be the analysis that the index was written with."""


class HybridSearcher:
    """Answers searches over one text replica and one vector collection, from one event loop.

    It owns the threads on which the replica is read and queries are encoded; `close` ends them. The stores belong to
    the caller.
    """

    def __init__(
        self,
        legs: Sequence[Leg],
        reader: TextIndexReader,
        analyse: Analyse,
        settings: SearchSettings,
        *,
        reading: ThreadPoolExecutor,
        encoding: ThreadPoolExecutor | None = None,
    ) -> None:
        self._legs = legs
        self._reader = reader
        self._analyse = analyse
        self._settings = settings
        self._reading = reading
        self._encoding = encoding

    @classmethod
    def over(
        cls,
        *,
        vectors: VectorIndex,
        encoder: TextEncoder,
        reader: TextIndexReader,
        analyse: Analyse,
        settings: SearchSettings,
    ) -> Self:
        """The searcher with every retriever whose weight is above 0."""
        reading = ThreadPoolExecutor(settings.reader_threads, thread_name_prefix="text-reader")
        encoding = ThreadPoolExecutor(settings.encoder_threads, thread_name_prefix="query-encoder")
        queries = QueryVectors(encoder, encoding, capacity=settings.query_vector_cache)
        legs: list[Leg] = [
            CodeLeg(reader, reading, depth=settings.code_depth),
            TextLeg(reader, reading, depth=settings.depth),
            DenseLeg(vectors, queries, depth=settings.depth),
            ListLeg(reader, reading, depth=settings.list_depth),
        ]
        weighted = [leg for leg in legs if settings.weight(leg.retriever) > 0]
        return cls(weighted, reader, analyse, settings, reading=reading, encoding=encoding)

    async def search(self, query: SearchQuery) -> SearchResult:
        """Answer one search.

        A retriever that fails or is late is named in `degraded` while the others answer.

        Raises:
            SearchUnavailableError: every retriever failed, or the hits could not be read in time.
        """
        started = time.perf_counter()
        text = normalise_query(query.text)
        prepared = PreparedQuery(text, self._analyse(text), query.within)
        analysed = time.perf_counter()
        outcomes = await run_legs(self._legs, prepared, deadline_s=self._settings.deadline_s)
        retrieved = time.perf_counter()
        candidates = weighted_rrf(
            {outcome.retriever: outcome.hits for outcome in outcomes},
            k=self._settings.rrf_k,
            weights=self._settings.weights,
        )
        fused = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.hydration_deadline_s):
                hydrated = await asyncio.get_running_loop().run_in_executor(
                    self._reading,
                    lambda: hydrate(
                        self._reader,
                        candidates,
                        within=query.within,
                        offset=query.offset,
                        limit=query.limit,
                        everything=query.facets,
                    ),
                )
        except TimeoutError as error:
            raise SearchUnavailableError("the hits could not be read in time; try again in a moment") from error
        read = time.perf_counter()
        facets = None
        if query.facets:
            facets = count_facets(
                hydrated.counted, values=self._settings.facet_values, price_buckets=self._settings.price_buckets
            )
        ended = time.perf_counter()
        return SearchResult(
            hits=tuple(Hit(document, found.score, found.contributions) for found, document in hydrated.page),
            total=hydrated.total,
            truncated=any(outcome.reached_depth for outcome in outcomes),
            facets=facets,
            degraded={outcome.retriever: outcome.degraded for outcome in outcomes if outcome.degraded},
            timings_ms={
                "analyse": _milliseconds(started, analysed),
                **{str(outcome.retriever): round(outcome.milliseconds, 3) for outcome in outcomes},
                "fuse": _milliseconds(retrieved, fused),
                "hydrate": _milliseconds(fused, read),
                "facets": _milliseconds(read, ended),
                "total": _milliseconds(started, ended),
            },
        )

    def close(self) -> None:
        """End the threads; what is running ends by itself, what waits is dropped."""
        for executor in (self._reading, self._encoding):
            if executor is not None:
                executor.shutdown(wait=False, cancel_futures=True)


def normalise_query(text: str) -> str:
    """A query as every retriever gets it: NFC, control characters as blanks, blanks collapsed."""
    visible = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    return " ".join(unicodedata.normalize("NFC", visible).split())


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
