"""The products of one batch that are set apart, and why; and a stage's work on many, done again one by one where it fails for all.

Reading, encoding and writing take many products in one call, and one of them can make the call fail for all. What may
succeed later passes. Anything else is looked into: the call is made for each product alone, and those that fail by
themselves are set apart (`runtime.isolation` holds the bounds).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, TypeVar

from runtime.isolation import Batch, Isolation, Reason, concerns_one
from schemas.identity import SkuKey

T = TypeVar("T")
R = TypeVar("R")

READ: Final = "read"
PLAN: Final = "plan"
ENCODE: Final = "encode"
WRITE: Final = "write"
PUBLISH: Final = "publish"


@dataclass(frozen=True, slots=True)
class Fault:
    """At which stage a product was set apart, and why."""

    stage: str
    reason: Reason


class Stages:
    """The stages of one pipeline; each remembers from batch to batch how many products failed in a row."""

    def __init__(self) -> None:
        self.parse = Isolation("parsing records")
        self.of_products = {stage: Isolation(f"the stage {stage!r}") for stage in (READ, PLAN, ENCODE, WRITE, PUBLISH)}

    def again(self) -> None:
        """The batch comes again: what it showed is no longer in a row with what it will show."""
        for isolation in (self.parse, *self.of_products.values()):
            isolation.passed()


class Apart:
    """What one batch of so many products sets apart."""

    def __init__(self, stages: Stages, size: int) -> None:
        self._batches: dict[str, Batch[SkuKey]] = {
            stage: isolation.batch(size) for stage, isolation in stages.of_products.items()
        }

    def one(self, stage: str, key: SkuKey) -> AbstractContextManager[None]:
        """A context for one stage's work on one product; what concerns this product alone sets it apart.

        Raises:
            DefectError: too many products showed a defect.
        """
        return self._batches[stage].one(key, name=str(key))

    def note(self, stage: str, key: SkuKey, error: Exception) -> None:
        """Set a product apart for an error that was caught. Raises as `one` does."""
        self._batches[stage].note(key, error, name=str(key))

    @property
    def faults(self) -> Mapping[SkuKey, Fault]:
        """The products and why each is set apart; of several reasons the first."""
        found: dict[SkuKey, Fault] = {}
        for stage, batch in self._batches.items():
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
