"""Scoring under a time budget: best first, in small batches, and whatever is done when the time is up.

A reranker costs a hundred times what a fusion costs, and how much depends on the machine and on what else runs there. So the
passages are scored in the order of the fusion, a batch at a time on a thread of their own; before each batch its cost is
foretold from the batches before it (of all searches), and one that would not be done in time is not begun. The search waits
no longer than the budget either way: a batch that takes longer than foretold is left behind. Waiting for a free thread
counts, so under load reranking gets shallower instead of slower.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import structlog

from retrieval.rerank.port import Reranker, RerankSettings
from runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

_MEMORY: Final = 0.8
"""Share of the earlier batches in the mean cost of a character; the newest batch has the rest."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the first passages, in their order; `failed` where the reranker raised, and then there may be none."""

    scores: tuple[float, ...]
    failed: bool
    milliseconds: float


@dataclass(slots=True)
class _Run:
    query: str
    passages: Sequence[str]
    deadline: float
    scores: list[float] = field(default_factory=list)
    given_up: bool = False


class TimedReranker:
    """Runs a reranker off the event loop, `at_once` searches side by side. Used from one event loop; `close` ends its threads."""

    def __init__(self, reranker: Reranker, settings: RerankSettings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._reranker = reranker
        self._batch = settings.batch_size
        self._budget_s = settings.budget_ms / 1000
        self._clock = clock
        self._threads = ThreadPoolExecutor(settings.at_once, thread_name_prefix="rerank")
        self._seconds_per_character = 0.0

    async def score(self, query: str, passages: Sequence[str]) -> Scored:
        """Score as many passages as the budget allows, from the first on. Never raises what the reranker raises."""
        began = self._clock.monotonic()
        run = _Run(query, passages, began + self._budget_s)
        working = asyncio.get_running_loop().run_in_executor(self._threads, self._work, run)
        failed = False
        try:
            await asyncio.wait({working}, timeout=self._budget_s)
        finally:
            run.given_up = True
            if not working.done():
                working.cancel()
        if not working.cancelled() and (error := working.exception()) is not None:
            # A defect in the reranker must not take the answer away: the fusion's order stands, and the caller is told.
            log.error("reranker failed", model=self._reranker.revision.model, exc_info=error)
            failed = True
        return Scored(tuple(run.scores), failed, (self._clock.monotonic() - began) * 1000)

    def close(self) -> None:
        """End the threads; a batch that runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _work(self, run: _Run) -> None:
        while len(run.scores) < len(run.passages) and not run.given_up:
            left = run.deadline - self._clock.monotonic()
            batch = self._fitting(run, left)
            if not batch:
                return
            began = self._clock.monotonic()
            scores = self._reranker.score(run.query, batch)
            run.scores += scores.tolist()
            self._learn(sum(map(len, batch)) + len(batch) * len(run.query), self._clock.monotonic() - began)

    def _fitting(self, run: _Run, seconds: float) -> Sequence[str]:
        """The next passages that will be scored in this time: at most a batch, none where not even one will."""
        batch: list[str] = []
        for passage in run.passages[len(run.scores) : len(run.scores) + self._batch]:
            seconds -= (len(run.query) + len(passage)) * self._seconds_per_character
            if seconds <= 0:
                break
            batch.append(passage)
        return batch

    def _learn(self, characters: int, seconds: float) -> None:
        cost = seconds / max(1, characters)
        known = self._seconds_per_character
        self._seconds_per_character = cost if not known else _MEMORY * known + (1 - _MEMORY) * cost
