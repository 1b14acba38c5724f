"""The worker's state in the words of the API. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from query_api.status_file import ReplicaStatus
from retrieval.encoders.port import ModelRevision
from retrieval.rerank.port import RerankerRevision, RerankSettings
from retrieval.text.port import TextCounts
from schemas.api.status import (
    CatalogueStatus,
    Coverage,
    EncoderStatus,
    FreshnessStatus,
    PartitionLag,
    ReplicaHealth,
    RerankerStatus,
)
from schemas.api.times import instant
from schemas.identity import TenantId


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


def catalogue_status(products: Mapping[TenantId, int], counts: TextCounts, vectors: int | None) -> CatalogueStatus:
    """Living products by tenant, and the counts over all of them; `vectors` is the vector store's own count of them."""
    return CatalogueStatus(
        documents=counts.alive,
        deleted=counts.dead,
        embedding=_coverage(counts.with_text_vector, counts.alive),
        images=_coverage(counts.with_image, counts.alive),
        vectors=vectors,
        by_tenant={str(tenant): alive for tenant, alive in sorted(products.items())},
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


def _coverage(products: int, alive: int) -> Coverage:
    return Coverage(products=products, share=min(1.0, products / alive) if alive else 1.0)
