"""`/v1/status`, `/healthz`, `/readyz`, `/metrics`: the worker as operators and the page see it."""

import asyncio
import os
from importlib.metadata import version

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from query_api.http.context import ApiContext, Context
from query_api.http.openapi import PROBLEMS, TENANT_PROBLEMS
from query_api.status_report import catalogue_status, encoder_status, freshness_gauges, replica_health
from query_api.worker import Worker, now_us
from retrieval.text.port import TextCounts
from schemas.api.status import CatalogueStatus, FreshnessStatus, GenerationStatus, Readiness, StatusResponse
from schemas.errors import NotReadyError, StoreUnavailableError
from schemas.identity import TenantId

router = APIRouter(tags=["operations"])


@router.get("/v1/status", summary="State of this worker", responses=TENANT_PROBLEMS)
async def get_status(request: Request, context: Context) -> StatusResponse:
    """Counts and coverage of the tenants that the caller may see, replica lag, model, and measured freshness.

    Answers while the worker is not ready too, with what is known then. Each worker behind the port measures for itself.
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
        catalogue=await _catalogue(request, context),
        replica=replica_health(worker.replica_status, stale=worker.replica_is_stale),
        freshness=_freshness(worker),
        generation=GenerationStatus(answering=worker.generation, live=worker.live, loaded=worker.generations),
    )


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Readiness:
    """Always 200 while the process answers: restart it when this fails, not when /readyz does."""
    return Readiness(ready=True)


@router.get("/readyz", summary="Whether the worker may get queries", responses={503: PROBLEMS[503]})
async def readyz(context: Context) -> Readiness:
    """200 when every part is ready, with what is degraded in `waiting_for`; else 503 with what the worker waits for."""
    waiting = context.worker.waiting_for
    if waiting:
        reasons = "; ".join(f"{part}: {reason}" for part, reason in waiting.items())
        raise NotReadyError(f"waiting for {reasons}")
    return Readiness(ready=True, waiting_for=context.worker.degraded, generation=context.worker.generation)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(context: Context) -> Response:
    """Metrics of all workers behind this port. No tenant, SKU or query is in them."""
    worker = context.worker
    status = worker.replica_status
    context.metrics.worker(
        ready=not worker.waiting_for,
        lag=None if status is None else status.lag,
        freshness_s=freshness_gauges(_freshness(worker)),
    )
    return Response(await worker.off_loop(context.metrics.exposition), media_type=CONTENT_TYPE_LATEST)


async def _catalogue(request: Request, context: ApiContext) -> CatalogueStatus | None:
    worker = context.worker
    if not context.access.is_open:
        context.access.visible(request.headers, ())  # refuse a caller without a key before anything is read
    if "replica" in worker.waiting_for:
        return None
    reader = worker.reader

    def count() -> dict[TenantId, TextCounts]:
        return {tenant: reader.counts(tenant) for tenant in context.access.visible(request.headers, reader.tenants())}

    counts = await worker.off_loop(count)
    return catalogue_status(counts, await _vectors(worker, list(counts)))


async def _vectors(worker: Worker, tenants: list[TenantId]) -> int | None:
    vectors = worker.vectors
    if vectors is None:
        return None
    try:
        counts = await asyncio.gather(*(vectors.counts(tenant) for tenant in tenants))
    except StoreUnavailableError:
        return None
    return sum(count.alive for count in counts)


def _freshness(worker: Worker) -> FreshnessStatus:
    return worker.freshness.summary(now_us())
