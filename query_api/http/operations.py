"""`/v1/status`, `/healthz`, `/readyz`, `/metrics`: the worker as operators and the page see it."""

import os
from importlib.metadata import version

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from query_api.http.context import ApiContext, Context
from query_api.http.openapi import PROBLEMS, TENANT_PROBLEMS
from query_api.status_report import degraded, encoder_status, freshness_gauges, replica_health, reranker_status
from retrieval.serving.freshness import now_us
from runtime.rights.keys import CallerRights, Rights
from schemas.api.status import CatalogueStatus, GenerationStatus, Readiness, StatusResponse
from schemas.errors import NotReadyError

router = APIRouter(tags=["operations"])


@router.get("/v1/status", summary="State of this worker", responses=TENANT_PROBLEMS)
async def get_status(context: Context, rights: CallerRights) -> StatusResponse:
    """Counts and coverage of the tenants that the caller may see, replica lag, model, and measured freshness.

    Answers while the worker is not ready too, with what is known then. Each worker behind the port measures for itself. Counts
    are taken once for all who ask within a second, or longer where there is much to count.
    """
    searchers = context.searchers
    waiting, opened = searchers.waiting_for, searchers.current
    reranker = None if waiting else opened.searcher.hybrid.reranker
    return StatusResponse(
        ready=not waiting,
        waiting_for=waiting,
        version=version("ferroflux"),
        worker=os.getpid(),
        encoder=None if opened.encoder is None else encoder_status(opened.encoder.revision),
        reranker=None if reranker is None else reranker_status(reranker, searchers.settings.search.rerank),
        catalogue=await _catalogue(context, rights),
        replica=replica_health(opened.replica_status, stale=opened.replica_is_stale),
        freshness=opened.freshness.summary(now_us()),
        generation=GenerationStatus(answering=searchers.generation, live=searchers.live, loaded=searchers.generations),
        degraded=_degraded(context),
    )


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Readiness:
    """Always 200 while the process answers: restart it when this fails, not when /readyz does."""
    return Readiness(ready=True)


@router.get("/readyz", summary="Whether the worker may get queries", responses={503: PROBLEMS[503]})
async def readyz(context: Context) -> Readiness:
    """200 when every part is ready, with what is amiss all the same; else 503 with what the worker waits for."""
    searchers = context.searchers
    waiting = searchers.waiting_for
    if waiting:
        reasons = "; ".join(f"{part}: {reason}" for part, reason in waiting.items())
        raise NotReadyError(f"waiting for {reasons}")
    status = searchers.current.replica_status
    return Readiness(
        ready=True,
        generation=searchers.generation,
        degraded=_degraded(context),
        set_apart={} if status is None else status.set_apart,
    )


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(context: Context) -> Response:
    """Metrics of all workers behind this port. No SKU or query is in them, and tenants only where requests were refused."""
    searchers = context.searchers
    status = searchers.current.replica_status
    context.metrics.worker(
        ready=not searchers.waiting_for,
        lag=None if status is None else status.lag,
        freshness_s=freshness_gauges(searchers.current.freshness.summary(now_us())),
    )
    return Response(await searchers.off_loop(context.metrics.exposition), media_type=CONTENT_TYPE_LATEST)


async def _catalogue(context: ApiContext, rights: Rights) -> CatalogueStatus | None:
    everything = rights.is_open or rights.opened.every
    return await context.worker.catalogue.status(None if everything else rights.opened.tenants)


def _degraded(context: ApiContext) -> dict[str, str]:
    searchers = context.searchers
    return context.worker.supervisor.degraded | degraded(searchers.current.replica_status, searchers.aliases.set_apart)
