"""The gate before a promotion: everything that speaks against it, as sentences with their remedy. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from retrieval.generations.view import GenerationView
from retrieval.vectors.port import VectorCounts
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.records.generations import GenerationStage, ReplicaReport

HEARD_OF_US: Final = 60 * 1_000_000
"""A replica that has reported within this time is known; one that has not is taken for gone."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a candidate may differ. Shares are of the live generation's figure."""

    missing_share: float = 0.001
    """Living products fewer, or more."""
    lag_records: int = 1_000
    """Records of the change log that it may be behind."""
    quality_drop: float = 0.01
    """Mean nDCG@10, and mean recall@100, that it may lose on the judged queries."""


@dataclass(frozen=True, slots=True)
class JudgedFigures:
    """Means of two generations over the same judged queries, by metric: of the live one, and the difference."""

    queries: int
    live: Mapping[str, float]
    difference: Mapping[str, float]
    p_value: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """For `--json` and the HTTP body."""
        return {
            "queries": self.queries,
            "live": dict(self.live),
            "difference": dict(self.difference),
            "p_value": dict(self.p_value),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> JudgedFigures:
        """Read what `to_json` gave."""
        return cls(int(raw["queries"]), raw["live"], raw["difference"], raw["p_value"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a candidate beside the live generation."""

    view: GenerationView
    live: VectorCounts
    candidate: VectorCounts
    lag: int
    reports: Sequence[ReplicaReport]
    judged: JudgedFigures | None
    now_us: int


GATED: Final = ("ndcg@10", "recall@100")


def objections(name: str, evidence: Evidence, limits: Limits) -> list[str]:
    """Everything against promoting the generation; empty: it may be promoted."""
    if evidence.view.stage(name) is not GenerationStage.PREPARED:
        return [f"{name} is not prepared: let `ferroflux generation build {name}` come to its end"]
    return [
        *_count_objections(name, evidence, limits),
        *_judged_objections(name, evidence.judged, limits),
        *_replica_objections(name, evidence),
    ]


def known(reports: Iterable[ReplicaReport], now_us: int) -> list[ReplicaReport]:
    """The reports of replicas that live."""
    return [report for report in reports if now_us - report.written_us <= HEARD_OF_US]


def _count_objections(name: str, evidence: Evidence, limits: Limits) -> list[str]:
    found = []
    live, candidate = evidence.live, evidence.candidate
    if abs(candidate.alive - live.alive) > limits.missing_share * live.alive:
        found.append(
            f"it has {candidate.alive:,} living products, the live generation {live.alive:,}: wait until it has caught up, "
            "or look with `ferroflux reconcile --generation` for what differs"
        )
    for space, count in candidate.vectors.items():
        # A text of which a sparse encoder keeps nothing has no vector there.
        allowed = 0 if space == TEXT_VECTOR else limits.missing_share * candidate.alive
        if candidate.alive - count > allowed:
            where = "" if space == TEXT_VECTOR else f" in the space {space}"
            found.append(f"{candidate.alive - count:,} of its products have no vector{where}: build it again")
    record = evidence.view.stages.get(name)
    if record is not None and record.set_apart > limits.missing_share * live.alive:
        found.append(
            f"{record.set_apart:,} products were set apart while it was built: `ferroflux dlq list` and the build's log have the "
            "reasons; mend them and build it again"
        )
    if evidence.lag > limits.lag_records:
        found.append(
            f"it is {evidence.lag:,} records behind the change log: see that the indexers run and follow it (/readyz)"
        )
    return found


def _judged_objections(name: str, judged: JudgedFigures | None, limits: Limits) -> list[str]:
    if judged is None:
        return [
            f"it was not compared on judged queries: give --judged FILE (as for `ferroflux generation compare {name}`)"
        ]
    return [
        f"{metric} is {-judged.difference[metric]:.4f} lower than the live generation's {judged.live[metric]:.4f} on "
        f"{judged.queries} judged queries (p = {judged.p_value[metric]:.3f}), {limits.quality_drop:g} is allowed: look at "
        "the queries that lost with `compare`, and choose another model or setting"
        for metric in GATED
        if judged.difference[metric] < -limits.quality_drop
    ]


def _replica_objections(name: str, evidence: Evidence) -> list[str]:
    """Every replica and worker that can serve it must be ready; one of another version goes on with the generation before."""
    manifest = evidence.view.manifest(name)
    reports = known(evidence.reports, evidence.now_us)
    fit = [
        report
        for report in reports
        if manifest.text_schema in ("", report.text_schema) and manifest.analyser in ("", report.analyser)
    ]
    if not fit:
        reason = (
            "no text replica of its version has reported within a minute: start `ferroflux replica` (and `ferroflux api` "
            "beside it) of the version that built it"
        )
        return [reason]
    if not any(report.workers for report in fit):
        reason = (
            "no search worker has reported to its replica: start `ferroflux api`, and see that it can write the folder of "
            "FERROFLUX_TEXT__REPORTS, the same for both"
        )
        return [reason]
    found = []
    for report in fit:
        reason = report.ready.get(name, "it has not heard of it yet")
        if reason:
            found.append(f"replica {report.replica} is not ready: {reason}")
        for worker in report.workers:
            reason = worker.ready.get(name, "it has not heard of it yet")
            if reason:
                found.append(f"worker {worker.worker} beside replica {report.replica} is not ready: {reason}")
    return found
