"""The values: how a thing is set apart, where its record stands, and what the log says of a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from schemas.identity import SkuKey


class Flaw(StrEnum):
    """How a thing is set apart; the reason code of its dead letter."""

    PARTLY_INDEXED = "partly_indexed"
    """The product is searchable, without the parts that are named."""
    NOT_INDEXED = "not_indexed"
    """The product is found by no word. Where it could be stored, it is shown by its SKU and found by its vector."""
    MALFORMED_DOCUMENT = "malformed_document"
    """The record is no document; what is held of its product, if anything, stays as it was."""
    UNUSABLE_ALIAS = "unusable_alias"
    """The record of the alias topic is no entry, or one that cannot be compiled; no query is rewritten by it."""

    @property
    def of_record(self) -> bool:
        """Whether a record is set apart, and not a product."""
        return self in (Flaw.MALFORMED_DOCUMENT, Flaw.UNUSABLE_ALIAS)


class Place(NamedTuple):
    """Where a record stands in the log, how often it was tried, and how to know it again: the same for every replica that meets it."""

    partition: int
    offset: int
    timestamp_ms: int = 0
    attempt: int = 1
    size: int = 0
    digest: str = ""
    """SHA-256 of the value."""

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Apart:
    """One thing that was set apart. `lacks` names what a product is held without, `code` and `detail` say why.

    `told` says that its letter is in the log, `settled` that a later document has mended it.
    """

    flaw: Flaw
    place: Place
    key: str
    code: str
    detail: str
    rev: int = 0
    lacks: tuple[str, ...] = ()
    since_us: int = 0
    told: bool = False
    settled: bool = False

    @property
    def names_product(self) -> bool:
        """Whether a later document can mend it."""
        return "/" in self.key

    @property
    def sentence(self) -> str:
        """For the operator."""
        if self.flaw is Flaw.PARTLY_INDEXED:
            return f"indexed without {', '.join(self.lacks)}: {self.detail}"
        if self.flaw is Flaw.NOT_INDEXED:
            return f"found by no word: {self.detail}"
        return self.detail


@dataclass(frozen=True, slots=True)
class LogNotes:
    """What the log says of a batch, beside its documents.

    `places`: where the document of each product stands. `incomplete`: products whose document could be read without some
    fields only. `malformed`: records that are no documents. `told`: letters that were sent. `again`: what the index holds
    is tried once more, so that another failure is no news.
    """

    now_us: int = 0
    places: Mapping[SkuKey, Place] = field(default_factory=lambda: MappingProxyType({}))
    incomplete: Mapping[SkuKey, Apart] = field(default_factory=lambda: MappingProxyType({}))
    malformed: Sequence[Apart] = ()
    told: Collection[Place] = frozenset()
    again: bool = False


NO_NOTES: Final = LogNotes()
