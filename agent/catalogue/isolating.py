"""One product that cannot be read does not take the others of an answer with it.

It is left out, logged and counted. An answer of which nothing can be read is no matter of a product: the search speaks
another language than we do, and counts as away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

from agent.errors import CatalogueUnavailableError
from runtime.isolation import Batch, DefectError, Isolation

T = TypeVar("T")
R = TypeVar("R")

Counted = Callable[[str, str], None]
"""Takes the stage and the reason of each thing that was set apart."""

STAGE: Final = "catalogue answer"

_NO_PRODUCTS_FAULT: Final = 5
"""Products of one answer of which not one can be read, from which it is the search that fails. A conversation may well be
about two or three products that all have the same fault, and has to go on."""


class Readings(Generic[T]):
    """The things of one answer, read one by one; `name` tells one for the log."""

    def __init__(
        self, isolation: Isolation, things: Iterable[T], *, name: Callable[[T], str], counted: Counted
    ) -> None:
        self._things = tuple(things)
        self._batch: Batch[T] = isolation.batch(len(self._things))
        self._name = name
        self._counted = counted

    def read(self, step: Callable[[T], R]) -> list[R]:
        """What the step makes of each thing; those at which it fails are left out.

        Raises:
            CatalogueUnavailableError: it failed at every one of many.
        """
        made: list[R] = []
        try:
            for thing in self._things:
                with self._batch.one(thing, name=self._name(thing)):
                    made.append(step(thing))
        except DefectError as error:
            raise CatalogueUnavailableError(str(error)) from error
        for apart in self._batch.set_apart:
            self._counted(STAGE, apart.reason.code)
        if len(self._things) >= _NO_PRODUCTS_FAULT and not made:
            raise CatalogueUnavailableError("the search answers in another form than this version knows")
        return made


def uncounted(_stage: str, _reason: str) -> None:
    """For callers without metrics."""
