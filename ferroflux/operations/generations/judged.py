"""Two generations on the same judged queries, asked through the search API of a running system: what buyers would get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx

from ferroflux.operations.generations.gate import JudgedFigures
from ferroflux.operations.http_client import problem_sentence
from runtime.retry import Backoff, BackoffPolicy, retry
from schemas.errors import ConfigurationError, InvalidRequestError, NotReadyError
from training.experiments.comparison import Comparison, compare
from training.experiments.run import Run
from training.judgments import JudgedQuery, JudgedSet
from training.metrics import DEPTH, METRICS, Judge, mean
from training.systems.port import RankedAnswer

_AT_ONCE: Final = 4
_ATTEMPTS: Final = 5
_BACKOFF: Final = BackoffPolicy(base_s=0.5, cap_s=4.0)
_TIMEOUT_S: Final = 30.0

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class ApiUnderJudgement:
    """Where the search API is, and the shop of queries that name none."""

    url: str
    key: str = ""
    tenant: str = ""


async def compare_generations(
    api: ApiUnderJudgement, judged: JudgedSet, *, live: str, candidate: str, on_progress: OnProgress
) -> Comparison:
    """Ask every query of both generations.

    Raises:
        ConfigurationError: a query names no shop and there are several, or the API does not answer.
        NotReadyError: a generation is not loaded there, or its answers stay incomplete.
    """
    judge = Judge(judged)
    headers = {"authorization": f"Bearer {api.key}"} if api.key else {}
    async with httpx.AsyncClient(base_url=api.url, headers=headers, timeout=_TIMEOUT_S) as client:
        tenant = api.tenant or await _only_tenant(client, judged)
        before = await _run(client, judge, live, tenant, lambda done: on_progress(done / 2, live))
        after = await _run(client, judge, candidate, tenant, lambda done: on_progress((1 + done) / 2, candidate))
    return compare(before, after)


def figures_of(comparison: Comparison) -> JudgedFigures:
    """The means for the gate."""
    return JudgedFigures(
        queries=len(comparison.before.scores),
        live={metric: mean(comparison.before.scores, metric) for metric in METRICS},
        difference={metric: comparison.differences[metric].difference for metric in METRICS},
        p_value={metric: comparison.differences[metric].p_value for metric in METRICS},
    )


async def _run(
    client: httpx.AsyncClient, judge: Judge, generation: str, tenant: str, on_progress: Callable[[float], None]
) -> Run:
    queries = judge.judged.queries
    gate = asyncio.Semaphore(_AT_ONCE)
    answers: dict[str, RankedAnswer] = {}

    async def one(query: JudgedQuery) -> None:
        async with gate:
            answers[query.id] = await _answer(client, query, generation, query.tenant or tenant)
        on_progress(len(answers) / len(queries))

    await asyncio.gather(*(one(query) for query in queries))
    return Run(generation, judge.judged, answers, judge.score(answers))


async def _answer(client: httpx.AsyncClient, query: JudgedQuery, generation: str, tenant: str) -> RankedAnswer:
    """A whole answer: one from which a retriever is missing says nothing of the generation, and is asked for again."""
    body = {"tenant": tenant, "text": query.text, "limit": DEPTH, "facets": False, "generation": generation}
    try:
        found = await retry(
            partial(_found, client, body),
            "no whole answer",
            backoff=Backoff(_BACKOFF),
            errors=NotReadyError,
            attempts=_ATTEMPTS,
        )
    except NotReadyError as error:
        raise NotReadyError(
            f"generation {generation} gave no whole answer to {query.text!r} in {_ATTEMPTS} tries: {error}"
        ) from error
    return RankedAnswer(
        skus=tuple(str(hit["item"]["sku"]) for hit in found["hits"]),
        low_confidence=found["low_confidence"] is not None,
        milliseconds={"total": found["timings_ms"]["total"]},
    )


async def _found(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    try:
        response = await client.post("/v1/search", json=body)
    except httpx.TransportError as error:
        raise ConfigurationError(f"no search API answers at {client.base_url}: {error!r}; give its --url") from error
    if response.status_code in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
        raise NotReadyError(problem_sentence(response))
    if not response.is_success:
        raise InvalidRequestError(problem_sentence(response))
    found: dict[str, Any] = response.json()
    if found["degraded"]:
        raise NotReadyError(f"retrievers were missing: {found['degraded']}")
    return found


async def _only_tenant(client: httpx.AsyncClient, judged: JudgedSet) -> str:
    if all(query.tenant for query in judged.queries):
        return ""
    try:
        response = await client.get("/v1/tenants")
    except httpx.TransportError as error:
        raise ConfigurationError(f"no search API answers at {client.base_url}: {error!r}; give its --url") from error
    if not response.is_success:
        raise NotReadyError(problem_sentence(response))
    tenants = response.json()["tenants"]
    if len(tenants) != 1:
        raise ConfigurationError(f"the judged queries name no shop, and there are {len(tenants)}: give --tenant")
    return str(tenants[0])
