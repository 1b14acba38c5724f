"""What became of one batch: the figures for its canonical log line, the metrics and the freshness histograms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from indexer.batch.plan import Action, Merged, Plan
from runtime.isolation import Reason
from schemas.identity import SkuKey

_MAX_TWINS: Final = 5
"""Conflicts that a batch names; a source that counts badly has as many as it has changes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """At which stage a product was set apart, and why."""

    stage: str
    reason: Reason


class Freshness(NamedTuple):
    """When one published change passed each stage, microseconds since 1970; 0 where a stage is unknown."""

    changed_us: int
    logged_us: int
    indexed_us: int


@dataclass(slots=True)
class BatchReport:
    """Counts and stage times of one batch. The pipeline fills it; afterwards it is only read.

    Of events: `applied`, `duplicates`, `stale`, `conflicts`. Of products: `embedded`, `patched`, `deleted`,
    `awaiting` (no item event was ever
    seen: kept, not published), `republished` (merged before, published again), `superseded` (another writer was faster, its newer document was
    published in place of ours), `contended` (a guarded write was refused and tried again), `incomplete` (their documents
    lack something, and say so), `apart` (set apart, at which stage and why). `beyond` are events of more places or lists
    than a product may hold. Seconds of a stage are summed
    over the batch's slices and chunks, of which several are under way at a time: together they can be more than the total.
    """

    records: int = 0
    ignored: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    applied: int = 0
    duplicates: int = 0
    stale: int = 0
    conflicts: int = 0
    twins: list[str] = field(default_factory=list)
    """The first of the conflicts: product, facet and version."""
    embedded: int = 0
    patched: int = 0
    deleted: int = 0
    awaiting: int = 0
    republished: int = 0
    superseded: int = 0
    contended: int = 0
    beyond: int = 0
    incomplete: int = 0
    apart: dict[SkuKey, Fault] = field(default_factory=dict)
    defects: int = 0
    """Records whose parse showed a defect of ours; they are among the dead letters."""
    read_seconds: float = 0.0
    encode_seconds: float = 0.0
    write_seconds: float = 0.0
    publish_seconds: float = 0.0
    total_seconds: float = 0.0
    freshness: list[Freshness] = field(default_factory=list)
    _encoded_until: float = 0.0

    def count(self, plan: Plan) -> None:
        """Add a plan that went through: a refused one is made anew from newer state, and must not count twice."""
        self.count_events(plan.merged)
        self.twins += [f"{plan.key} {twin}" for twin in plan.merged.conflicts][: _MAX_TWINS - len(self.twins)]
        match plan.action:
            case Action.EMBED:
                self.embedded += 1
            case Action.PATCH:
                self.patched += 1
            case Action.DELETE:
                self.deleted += 1
            case Action.AWAIT:
                self.awaiting += 1
            case Action.REPUBLISH | Action.STALE:
                self.republished += 1

    def count_events(self, merged: Merged) -> None:
        """Add what a product's events did."""
        self.applied += merged.applied
        self.duplicates += merged.duplicates
        self.stale += merged.stale
        self.conflicts += len(merged.conflicts)
        self.beyond += merged.beyond

    def encoded(self, *, since: float, until: float) -> None:
        """Count a chunk's inference by the monotonic clock; what it waited for the chunk before it is not its own."""
        self.encode_seconds += until - max(since, self._encoded_until)
        self._encoded_until = until

    def log_fields(self) -> Mapping[str, object]:
        """The fields of the batch's one log line; counts that are zero are left out."""
        counts = {
            name: getattr(self, name)
            for name in (
                "ignored", "applied", "duplicates", "stale", "conflicts", "embedded", "patched", "deleted", "awaiting",
                "republished", "superseded", "contended", "beyond", "incomplete",
            )
            if getattr(self, name)
        }  # fmt: skip
        seconds = {
            f"{stage}_ms": round(getattr(self, f"{stage}_seconds") * 1000, 1)
            for stage in ("read", "encode", "write", "publish", "total")
        }
        dead = {"dead_letters": dict(self.dead_letters)} if self.dead_letters else {}
        apart = {"set_apart": dict(Counter(fault.stage for fault in self.apart.values()))} if self.apart else {}
        return {"records": self.records, **counts, **dead, **apart, **seconds}
