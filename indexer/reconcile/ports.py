"""What a reconciliation needs from outside, beside the two stores: the truth, and the ways to mend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from schemas.product.changes import ChangeEvent
from schemas.version import SourceVersion

NO_DOCUMENTS: Final[Mapping[SkuKey, SearchDocument]] = MappingProxyType({})
"""`SourceOfTruth.documents` of a truth of rows alone."""


class SourceOfTruth(Protocol):
    """Where the rows are that the stores should hold.

    `exact`: the rows are all that there is now, so what is stored beyond them is too much; otherwise they are a history,
    of which the stores must hold at least the merge. `versioned`: a row's version is the source's own. `facets` are the
    names of the facets that it speaks of, `read_at` its position when it was read (None where it has none), `rejected`
    how many rows could not be read so far; the three are known at the end of `pages`.
    """

    name: str
    exact: bool
    versioned: bool

    @property
    def facets(self) -> frozenset[str]:
        """Names of facets, without instances."""
        ...

    @property
    def read_at(self) -> SourceVersion | None:
        """The source's position when it was read."""
        ...

    @property
    def rejected(self) -> int:
        """Rows that could not be read; each was logged."""
        ...

    @property
    def documents(self) -> Mapping[SkuKey, SearchDocument]:
        """What was published of the products of the page that was read last; none where the truth is of rows alone."""
        ...

    def pages(self) -> AsyncIterator[Sequence[ChangeEvent]]:
        """The rows, a page at a time; of several rows of one register the last counts.

        Raises:
            FerrofluxError: the truth cannot be read to its end.
        """
        ...


class ChangeSink(Protocol):
    """The change topic that the source itself writes to."""

    async def send(self, events: Sequence[ChangeEvent]) -> None:
        """Append events; durable when it returns.

        Raises:
            LogUnavailableError: the log did not take them all; sending them again is safe.
        """
        ...


class Republisher(Protocol):
    """The way of a stored product to the replicas."""

    async def republish(self, keys: Sequence[SkuKey]) -> None:
        """Publish the documents of products as the vector store holds them.

        Raises:
            RetryableError: a dependency failed; publishing them again is safe.
        """
        ...

    async def overtake(self, revisions: Mapping[SkuKey, int]) -> None:
        """Lift stored products that fell behind these revisions of their documents above them, and publish them.

        A replica refuses a document older than the one it holds, so a store that was restored from a backup would
        otherwise stay unheard until it has counted up again. The content is not touched, and the guard is that of any write.

        Raises:
            RetryableError: a dependency failed; doing it again is safe.
        """
        ...
