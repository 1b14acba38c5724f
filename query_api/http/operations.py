"""`/v1/status`, `/healthz`, `/readyz`, `/metrics`: the worker as operators and the page see it."""

import os
from importlib.metadata import version

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from query_api.http.context import ApiContext, Context
from query_api.http.openapi import PROBLEMS, TENANT_PROBLEMS
from query_api.status_report import degraded, encoder_status, freshness_gauges, replica_health
from query_api.worker import Worker
from runtime.clock import SYSTEM_CLOCK
from runtime.rights.keys import CallerRights, Rights
from schemas.api.status import CatalogueStatus, FreshnessStatus, GenerationStatus, Readiness, StatusResponse
from schemas.errors import NotReadyError

router = APIRouter(tags=["operations"])


@router.get("/v1/status", summary="State of this worker", responses=TENANT_PROBLEMS)
async def get_status(context: Context, rights: CallerRights) -> StatusResponse:
    """Counts and coverage of the tenants that the caller may see, replica lag, model, and measured freshness.

    Answers while the worker is not ready too, with what is known then. Each worker behind the port measures for itself. Counts
    are taken once for all who ask within a second, or longer where there is much to count.
    """
    worker = context.worker
    waiting = worker.waiting_for
    return StatusResponse(
        ready=not waiting,
        waiting_for=waiting,
        version=version("ferroflux"),
        worker=os.getpid(),
        encoder=None if worker.encoder is None else encoder_status(worker.encoder.revision),
        reranker=worker.reranker_status,
        catalogue=await _catalogue(context, rights),
        replica=replica_health(worker.replica_status, stale=worker.replica_is_stale),
        freshness=_freshness(worker),
        generation=GenerationStatus(answering=worker.generation, live=worker.live, loaded=worker.generations),
        degraded=worker.degraded | degraded(worker.replica_status, worker.aliases.set_apart),
    )


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Readiness:
    """Always 200 while the process answers: restart it when this fails, not when /readyz does."""
    return Readiness(ready=True)


@router.get("/readyz", summary="Whether the worker may get queries", responses={503: PROBLEMS[503]})
async def readyz(context: Context) -> Readiness:
    """200 when every part is ready, with what is amiss all the same; else 503 with what the worker waits for."""
    waiting = context.worker.waiting_for
    if waiting:
        reasons = "; ".join(f"{part}: {reason}" for part, reason in waiting.items())
        raise NotReadyError(f"waiting for {reasons}")
    status = context.worker.replica_status
    return Readiness(
        ready=True,
        generation=context.worker.generation,
        degraded=context.worker.degraded | degraded(status, context.worker.aliases.set_apart),
        set_apart={} if status is None else status.set_apart,
    )


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(context: Context) -> Response:
    """Metrics of all workers behind this port. No SKU or query is in them, and tenants only where requests were refused."""
    worker = context.worker
    status = worker.replica_status
    context.metrics.worker(
        ready=not worker.waiting_for,
        lag=None if status is None else status.lag,
        freshness_s=freshness_gauges(_freshness(worker)),
    )
    return Response(await worker.off_loop(context.metrics.exposition), media_type=CONTENT_TYPE_LATEST)


async def _catalogue(context: ApiContext, rights: Rights) -> CatalogueStatus | None:
    opened = rights.opened
    return await context.worker.catalogue.status(None if rights.is_open or opened.every else opened.tenants)


def _freshness(worker: Worker) -> FreshnessStatus:
    return worker.freshness.summary(SYSTEM_CLOCK.now_us())
