"""One batch on its way: its lease, its report, and the products that it sets apart.

Reading, encoding and writing take many products in one call, and one of them can make the call fail for all. What may
succeed later passes. Anything else is looked into: the call is made for each product alone, and those that fail by
themselves are set apart (`runtime.isolation` holds the bounds).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, TypeVar

from indexer.batch.report import BatchReport, Fault
from indexer.ports import Lease
from runtime import isolation
from runtime.isolation import Isolation, concerns_one
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
    attempts: int = ATTEMPTS,
    pause: Callable[[int], Awaitable[None]] | None = None,
) -> None:
    """Await `attempt` on the keys, then on those that it was refused, until there are none.

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
        raise ContentionError(f"{len(keys)} products were changed by others in all of {attempts} attempts")
