"""`/v1/status`, `/healthz`, `/readyz`, `/metrics`: the worker's state as operators and the page see it."""

import os
from collections.abc import Collection
from importlib.metadata import version

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from query_api.http.context import PROBLEMS, TENANT_PROBLEMS, ApiContext, Context
from retrieval.encoders.port import ModelRevision
from retrieval.rerank.port import RerankerRevision, RerankSettings
from retrieval.serving.replica_status import ReplicaStatus
from runtime.clock import SYSTEM_CLOCK
from runtime.rights.keys import CallerRights, Rights
from schemas.api.status import (
    CatalogueStatus,
    EncoderStatus,
    FreshnessStatus,
    GenerationStatus,
    PartitionLag,
    Readiness,
    ReplicaHealth,
    RerankerStatus,
    StatusResponse,
)
from schemas.documents import instant
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
        freshness=opened.freshness.summary(SYSTEM_CLOCK.now_us()),
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
        freshness_s=freshness_gauges(searchers.current.freshness.summary(SYSTEM_CLOCK.now_us())),
    )
    return Response(await searchers.off_loop(context.metrics.exposition), media_type=CONTENT_TYPE_LATEST)


async def _catalogue(context: ApiContext, rights: Rights) -> CatalogueStatus | None:
    opened = rights.opened
    return await context.worker.catalogue.status(None if rights.is_open or opened.every else opened.tenants)


def _degraded(context: ApiContext) -> dict[str, str]:
    searchers = context.searchers
    return context.worker.supervisor.degraded | degraded(searchers.current.replica_status, searchers.aliases.set_apart)


def encoder_status(revision: ModelRevision) -> EncoderStatus:
    """What a caller should know of the encoder."""
    return EncoderStatus(
        model=revision.model,
        revision=revision.id,
        dimension=revision.dimension,
        quantisation=revision.quantisation,
        sparse=None if revision.sparse is None else f"{revision.sparse.model} ({revision.sparse.id})",
    )


def reranker_status(revision: RerankerRevision, settings: RerankSettings) -> RerankerStatus:
    """What a caller should know of the reranker."""
    return RerankerStatus(
        model=revision.model, revision=revision.id, depth=settings.depth, budget_ms=settings.budget_ms
    )


def replica_health(status: ReplicaStatus | None, *, stale: bool) -> ReplicaHealth | None:
    """The tailer's report; None where there is none."""
    if status is None:
        return None
    return ReplicaHealth(
        log_id=status.log_id,
        topic=status.topic,
        caught_up=status.caught_up,
        lag=status.lag,
        partitions=tuple(
            PartitionLag(partition=part.partition, position=part.position, end=part.end, lag=part.lag)
            for part in status.partitions
        ),
        last_commit_at=instant(status.committed_us),
        reported_at=instant(status.written_us),
        stale=stale,
        set_apart=status.set_apart,
        letters_waiting=status.letters_waiting,
        ended=status.ended,
    )


def degraded(status: ReplicaStatus | None, aliases: Collection[str]) -> dict[str, str]:
    """What is amiss although the worker answers: of its replica, and of the aliases that cannot be used."""
    found = {} if status is None else status.degraded
    if aliases:
        found["aliases"] = f"{len(aliases)} entries cannot be used; the log names them and says why"
    return found


def freshness_gauges(freshness: FreshnessStatus) -> dict[tuple[str, str], float]:
    """Seconds by (stage, quantile), for stages that have samples."""
    stages = {
        "changed": freshness.changed_to_visible_ms,
        "logged": freshness.logged_to_visible_ms,
        "indexed": freshness.indexed_to_visible_ms,
        "committed": freshness.committed_to_visible_ms,
    }
    return {
        (stage, quantile): milliseconds / 1000
        for stage, found in stages.items()
        if found is not None
        for quantile, milliseconds in (("0.5", found.p50), ("0.95", found.p95), ("0.99", found.p99))
    }
