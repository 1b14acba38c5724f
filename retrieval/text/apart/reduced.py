"""Building the index's entry of each document: whole, else without the parts that fail, else as no more than its revision.

Shared by all adapters. One document that cannot be analysed stops no other; too many of them are a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeVar

from retrieval.text.apart.values import Apart, Flaw, LogNotes, Place
from retrieval.text.content import SEARCHED, Analyse, Part, failing_parts
from runtime.isolation import Batch, Isolation, Reason, concerns_one
from schemas.documents import SearchDocument
from schemas.identity import SkuKey

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_ALL: Final = frozenset(Part)
_NONE: Final[frozenset[Part]] = frozenset()
_NOWHERE: Final = Place(-1, -1)
"""Of a product whose record's place is not known any more."""


class Build(Protocol[T_co]):
    """An adapter's entry of a document without some parts; `apart` says how it is marked in the index."""

    def __call__(self, document: SearchDocument, without: frozenset[Part], apart: Mark | None, /) -> T_co:
        """The entry; may raise whatever the analysis raises."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a product that is set apart. `stored` says that all of its document is there to be analysed again."""

    flaw: Flaw
    stored: bool


@dataclass(frozen=True, slots=True)
class Built(Generic[T]):
    """One document's entry, and what is said of it where it is not whole."""

    document: SearchDocument
    entry: T
    apart: Apart | None


def build_each(
    documents: Iterable[SearchDocument],
    notes: LogNotes,
    build: Build[T],
    *,
    isolation: Isolation,
    size: int,
    analyser: Analyse | None = None,
) -> Iterator[Built[T]]:
    """Build the entries of a batch of `size` documents, one after another.

    Raises:
        DefectError: too many of them could not be built.
    """
    batch: Batch[SkuKey] = isolation.batch(size)
    for document in documents:
        incomplete = notes.incomplete.get(document.key)
        mark = None if incomplete is None else Mark(incomplete.flaw, stored=False)
        try:
            entry = build(document, _NONE, mark)
        except Exception as error:
            if not concerns_one(error):
                raise
            if not notes.again:
                place = notes.places.get(document.key, _NOWHERE)
                batch.note(document.key, error, name=f"{document.key} r{document.rev} at {place}")
            yield _reduced(document, error, incomplete, notes, build, analyser)
        else:
            isolation.passed()
            yield Built(document, entry, incomplete)


def _reduced(
    document: SearchDocument,
    error: Exception,
    incomplete: Apart | None,
    notes: LogNotes,
    build: Build[T],
    analyser: Analyse | None,
) -> Built[T]:
    failing = failing_parts(document, analyser)
    reason = Reason.of(next(iter(failing.values()), error))
    said = _apart(document, reason, failing, incomplete, notes)
    stored = incomplete is None
    for without in (frozenset(failing), _ALL) if failing else (_ALL,):
        apart = replace(said, flaw=Flaw.NOT_INDEXED) if without >= SEARCHED else said
        try:
            entry = build(document, without, Mark(apart.flaw, stored=stored))
        except Exception as another:
            if not concerns_one(another):
                raise
        else:
            return Built(document, entry, apart)
    # Not even its stored form can be made: it is hidden, since what was held of it before is not what it is now.
    bare = SearchDocument(
        tenant=document.tenant, sku=document.sku, rev=document.rev, state=document.state, deleted=True
    )
    apart = replace(said, flaw=Flaw.NOT_INDEXED)
    return Built(bare, build(bare, _ALL, Mark(Flaw.NOT_INDEXED, stored=False)), apart)


def _apart(
    document: SearchDocument,
    reason: Reason,
    failing: Iterable[Part],
    incomplete: Apart | None,
    notes: LogNotes,
) -> Apart:
    lacks = (*(incomplete.lacks if incomplete else ()), *(part.value for part in failing))
    return Apart(
        Flaw.PARTLY_INDEXED,
        notes.places.get(document.key, _NOWHERE),
        str(document.key),
        reason.code,
        reason.detail,
        rev=document.rev,
        lacks=lacks,
        since_us=notes.now_us,
    )
