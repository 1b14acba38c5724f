"""One batch on its way: its lease, its report (for the log line, the metrics, freshness), and the products that it sets apart.

Reading, encoding and writing take many products in one call, and one of them can make the call fail for all. What may
succeed later passes. Anything else is looked into: the call is made for each product alone, and those that fail by
themselves are set apart (`runtime.isolation` holds the bounds).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from indexer.batch.plan import Action, Merged, Plan
from indexer.ports import Lease
from runtime import isolation
from runtime.isolation import Isolation, Reason, concerns_one
from schemas.errors import ContentionError, RetryableError
from schemas.identity import SkuKey

T = TypeVar("T")
R = TypeVar("R")

READ: Final = "read"
PLAN: Final = "plan"
ENCODE: Final = "encode"
WRITE: Final = "write"
PUBLISH: Final = "publish"

ATTEMPTS: Final = 6
"""Tries of a guarded write that others keep refusing."""


class PermanentLease:
    """A lease that nobody takes away: for replays, repairs and tests, which own no partitions."""

    def check(self) -> None:
        """Return at once."""


PERMANENT: Final = PermanentLease()


class Stages:
    """The stages of one pipeline; each remembers from batch to batch how many products failed in a row."""

    def __init__(self) -> None:
        self.parse = Isolation("parsing records")
        self.of_products = {stage: Isolation(f"the stage {stage!r}") for stage in (READ, PLAN, ENCODE, WRITE, PUBLISH)}

    @contextmanager
    def of_a_try(self) -> Iterator[None]:
        """A batch that comes again shows the same products: they are not in a row with themselves."""
        try:
            yield
        except RetryableError:
            for stage in (self.parse, *self.of_products.values()):
                stage.passed()
            raise


class Batch:
    """So many products that are worked on together: under which lease, with what result, and which are set apart."""

    def __init__(
        self, stages: Stages, size: int, *, lease: Lease = PERMANENT, report: BatchReport | None = None
    ) -> None:
        self.lease = lease
        self.report = report or BatchReport()
        self._stages: dict[str, isolation.Batch[SkuKey]] = {
            name: stage.batch(size) for name, stage in stages.of_products.items()
        }

    def one(self, stage: str, key: SkuKey) -> AbstractContextManager[None]:
        """A context for one stage's work on one product; what concerns this product alone sets it apart.

        Raises:
            DefectError: too many products showed a defect.
        """
        return self._stages[stage].one(key, name=str(key))

    def note(self, stage: str, key: SkuKey, error: Exception) -> None:
        """Set a product apart for an error that was caught. Raises as `one` does."""
        self._stages[stage].note(key, error, name=str(key))

    @property
    def faults(self) -> Mapping[SkuKey, Fault]:
        """The products and why each is set apart; of several reasons the first."""
        found: dict[SkuKey, Fault] = {}
        for stage, batch in self._stages.items():
            for each in batch.set_apart:
                found.setdefault(each.thing, Fault(stage, each.reason))
        return found

    async def together(
        self,
        stage: str,
        items: Sequence[T],
        key: Callable[[T], SkuKey],
        call: Callable[[Sequence[T]], Awaitable[Iterable[R]]],
    ) -> list[R]:
        """`call` for all items at once, or for each alone where that fails for a reason of theirs; what the calls gave.

        Raises:
            DefectError: too many products showed a defect.
            RetryableError, FatalError, OSError: as `call` does.
        """
        if not items:
            return []
        try:
            return list(await call(items))
        except Exception as error:
            if not concerns_one(error):
                raise
            if len(items) == 1:
                self.note(stage, key(items[0]), error)
                return []
        gave: list[R] = []
        for item in items:
            gave += await self.together(stage, [item], key, call)
        return gave


async def until_settled(
    keys: Collection[SkuKey],
    attempt: Callable[[Collection[SkuKey]], Awaitable[Collection[SkuKey]]],
    *,
    doing: str = "write",
    attempts: int = ATTEMPTS,
    pause: Callable[[int], Awaitable[None]] | None = None,
) -> None:
    """Await `attempt` on the keys, then on those that it was refused, until there are none; `doing` names it in the error.

    Raises:
        ContentionError: some were refused in every attempt.
    """
    for number in range(attempts):
        if not keys:
            return
        if number and pause is not None:
            await pause(number)
        keys = await attempt(keys)
    if keys:
        raise ContentionError(f"{len(keys)} products were changed by others in all of {attempts} attempts to {doing}")


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
