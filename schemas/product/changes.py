"""One change of one facet of one product, in the form that every source is brought to.

An event is a full row of its facet (or its deletion). `unavailable` names the fields that the source could not give
(an unchanged TOASTed column in Debezium): they keep the value of the newest event that gave one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NewType

from schemas.errors import InvalidEventError
from schemas.identity import SkuKey
from schemas.normalisers import FieldValue
from schemas.version import SourceVersion, Stamp, canonical_digest

FacetKey = NewType("FacetKey", str)
"""Name of a facet, with an instance where a facet has several rows a product: `item`, `price:wholesale`, `stock:branch-2`."""

ITEM_FACET: Final = FacetKey("item")
"""The facet whose life is the product's life."""

_FACET = re.compile(r"[a-z][a-z0-9_]{0,31}(:[^\x00-\x1f\x7f]{1,128})?")


def facet_key(raw: str) -> FacetKey:
    """Validate a facet's name: a lower-case word, optionally a colon and the instance's name.

    Raises:
        InvalidEventError: the form is another.
    """
    if not _FACET.fullmatch(raw) or raw.startswith("item:"):
        msg = f"facet {raw[:80]!r} is not a lower-case word with an optional :instance (the item facet has none)"
        raise InvalidEventError(msg)
    return FacetKey(raw)


def facet_name(facet: FacetKey) -> str:
    """The facet without its instance: `stock` of `stock:branch-2`."""
    return facet.partition(":")[0]


def facet_instance(facet: FacetKey) -> str:
    """The instance without the facet: `branch-2` of `stock:branch-2`, empty where there is none."""
    return facet.partition(":")[2]


@dataclass(frozen=True)
class ChangeEvent:
    """A row of one facet as its source has it at `version`; `fields` is None where the row was deleted.

    `changed_at_us` is when the source committed it, in microseconds since 1970 (0 where the source does not say); it
    feeds the freshness figures and never the order.
    """

    key: SkuKey
    facet: FacetKey
    version: SourceVersion
    fields: Mapping[str, FieldValue] | None
    unavailable: frozenset[str] = field(default_factory=frozenset)
    changed_at_us: int = 0

    @property
    def is_delete(self) -> bool:
        """Whether the row is gone."""
        return self.fields is None

    @cached_property
    def stamp(self) -> Stamp:
        """The event's place in the total order of its facet's events; equal stamps are the same event again."""
        fields = None if self.fields is None else dict(self.fields)
        return Stamp(self.version, canonical_digest([fields, sorted(self.unavailable)]))
