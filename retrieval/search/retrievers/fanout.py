"""Run the retrievers side by side, each under its deadline; one that fails is reported and the others answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.fusion import RankedHit
from retrieval.search.retrievers.retriever import Retriever
from schemas.api.explain import RetrieverName
from schemas.errors import OverloadedError, RetryableError

log = structlog.get_logger(__name__)


class SearchUnavailableError(RetryableError):
    """No retriever could answer this search. Try again in a moment; /readyz says what the worker waits for."""

    code = "search_unavailable"


class DegradedReason(StrEnum):
    """Why a retriever is missing from an answer."""

    DEADLINE = "deadline"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RetrieverOutcome:
    """What one retriever did: its list (empty where it failed), why it failed, and how long it took."""

    retriever: RetrieverName
    hits: Sequence[RankedHit]
    degraded: DegradedReason | None
    milliseconds: float
    reached_depth: bool


async def run_retrievers(
    retrievers: Sequence[Retriever], query: QueryPlan, *, deadline_s: float, alone: bool = True
) -> list[RetrieverOutcome]:
    """Run the retrievers that apply to the query, all at once; outcomes come in the order of the retrievers.

    A retriever past its deadline is left behind: its thread ends by itself and the answer is thrown away. `alone` is off where
    other retrievers have answered or will: then all of these may fail.

    Raises:
        SearchUnavailableError: there were retrievers to run and every one failed.
        OverloadedError: one of them would have come too late, not for a store that is away but for the demand.
    """
    applicable = [
        asyncio.create_task(_run(retriever, query, deadline_s)) for retriever in retrievers if retriever.applies(query)
    ]
    try:
        outcomes = await asyncio.gather(*applicable)
    except OverloadedError:
        for running in applicable:
            running.cancel()
        await asyncio.gather(*applicable, return_exceptions=True)
        raise
    if alone and outcomes and all(outcome.degraded for outcome in outcomes):
        reasons = ", ".join(f"{outcome.retriever}: {outcome.degraded}" for outcome in outcomes)
        raise SearchUnavailableError(f"no retriever could answer ({reasons}); try again in a moment")
    return outcomes


async def _run(retriever: Retriever, query: QueryPlan, deadline_s: float) -> RetrieverOutcome:
    started = time.perf_counter()
    hits: Sequence[RankedHit] = ()
    degraded: DegradedReason | None = None
    try:
        async with asyncio.timeout(deadline_s):
            hits = await retriever.find(query)
    except TimeoutError:
        degraded = DegradedReason.DEADLINE
        log.warning("retriever missed its deadline", retriever=str(retriever.name), deadline_s=deadline_s)
    except OverloadedError:
        raise
    except RetryableError as error:
        degraded = DegradedReason.UNAVAILABLE
        log.warning("retriever unavailable", retriever=str(retriever.name), code=error.code, error=str(error))
    except Exception:
        # A defect in one retriever must not take the others' answer away; it is logged and reported to the caller.
        degraded = DegradedReason.FAILED
        log.exception("retriever failed", retriever=str(retriever.name))
    milliseconds = (time.perf_counter() - started) * 1000
    return RetrieverOutcome(retriever.name, hits, degraded, milliseconds, len(hits) >= retriever.depth)
