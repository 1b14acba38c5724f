"""Who feeds a facet: the history of its sources, and the epoch that an event takes from it. Pure.

Versions of two sources do not compare: an LSN and a clock's microseconds are both plain numbers, and the larger count would
win for ever. The merge stays blind to sources; here, before it, an event is given the epoch of its source, and epochs
compare before sequences.

An entry says from which log time on it holds. What is decided is a function of the record and of the history alone, and a
record of an earlier log time keeps the epoch that it was first read with, so replay, rebuild and redrive end where the first
reading did (docs/decisions/0075).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from schemas.errors import InvalidEventError, InvalidRequestError, UndeclaredSourceError
from schemas.identity import PROBE_TENANT, TenantId, tenant_id
from schemas.product.changes import FacetKey, facet_key, facet_name
from schemas.version import MAX_EPOCH

ANY_SOURCE: Final = "*"
"""In an entry: every source, which is how a facet is reset that nobody has declared."""

OPERATOR_SOURCE: Final = "ferroflux.operator"
"""The source of corrections (`ferroflux reconcile --repair`): they keep the version that they bring, which was chosen to win over what is
stored, and may carry an operator's epoch."""

DEFAULT_SOURCE: Final = "producer"
"""The source of a canonical event that names none."""

FIRST_OPERATOR_EPOCH: Final = MAX_EPOCH + 1
"""Events and mapping files may not carry it, so whatever version is stored, an operator's entry beats it."""

MAX_OPERATOR_EPOCH: Final = 2**53 - 1
"""What every JSON reader holds exactly."""

HOLDS_AFTER_MS: Final = 10_000
"""An entry holds this long after it was written: by then every indexer that may decide has heard of it."""

MAX_SOURCE_LENGTH: Final = 128
SOURCE_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}"
_SOURCE: Final = re.compile(SOURCE_PATTERN)
_MAX_NOTE: Final = 500
_MAX_CACHED: Final = 100_000


def source_name(raw: str) -> str:
    """Validate the name of a source: letters, digits, `.`, `_`, `:`, `/`, `-`, at most 128, beginning with a letter or digit.

    Raises:
        InvalidEventError: it is none.
    """
    if not _SOURCE.fullmatch(raw):
        msg = f"source {raw[:80]!r} is not 1-{MAX_SOURCE_LENGTH} letters, digits, '.', '_', ':', '/' or '-'"
        raise InvalidEventError(msg)
    return raw


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """From `since_ms` of log time on (milliseconds since 1970), `source` feeds the facet in `epoch`.

    `facet` is a facet, or one instance of it, whose own entries then count alone. `note` is why, for people.
    """

    tenant: TenantId
    facet: FacetKey
    source: str
    epoch: int
    since_ms: int = 0
    note: str = ""

    @property
    def key(self) -> str:
        """Its key in the control topic: an entry is written once and never changed."""
        return f"{self.tenant}/{self.epoch}/{self.facet}"

    def to_json(self) -> dict[str, Any]:
        """The entry as it is shown and kept."""
        return {
            "tenant": self.tenant,
            "facet": self.facet,
            "source": self.source,
            "epoch": self.epoch,
            "since_ms": self.since_ms,
            "note": self.note,
        }

    def to_bytes(self) -> bytes:
        """The entry as a record's value."""
        return orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, raw: bytes) -> SourceEntry:
        """Read what `to_bytes` wrote.

        Raises:
            InvalidEventError: it is no entry.
        """
        try:
            return cls.from_json(orjson.loads(raw))
        except orjson.JSONDecodeError as error:
            raise InvalidEventError(f"it is no entry of the history of sources: {error!r}"[:300]) from error

    @classmethod
    def from_json(cls, held: Any) -> SourceEntry:
        """Read what `to_json` rendered.

        Raises:
            InvalidEventError: it is no entry.
        """
        try:
            epoch, since_ms = held["epoch"], held["since_ms"]
            source, note = held["source"], held.get("note", "")
            entry = cls(tenant_id(held["tenant"]), facet_key(held["facet"]), source, epoch, since_ms, note)
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidEventError(f"it is no entry of the history of sources: {error!r}"[:300]) from error
        if source != ANY_SOURCE:
            source_name(source)
        if not (type(epoch) is int and 0 <= epoch <= MAX_OPERATOR_EPOCH and type(since_ms) is int):
            raise InvalidEventError("an entry's epoch or since_ms is no number in range")
        return entry


History = tuple[SourceEntry, ...]
"""The entries of one facet, lowest epoch first; empty where nothing is declared."""


@dataclass(frozen=True)
class Declared:
    """What a mapping file declares: it holds at all times. A facet of `tenants` goes before the same facet of every tenant."""

    tenants: Mapping[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)
    """By (tenant, facet), the epochs of its sources by name; an empty tenant is every tenant."""

    def of(self, tenant: TenantId, facet: FacetKey) -> History:
        """The first entries of a facet's history."""
        found = self.tenants.get((tenant, facet)) or {}
        if not found and tenant != PROBE_TENANT:  # the system's own products are fed by the system
            found = self.tenants.get(("", facet)) or {}
        return tuple(SourceEntry(tenant, facet, source, epoch) for source, epoch in found.items())


class SourceHistory:
    """Every entry that is known, by facet. Immutable; looking one up costs a dictionary's price."""

    def __init__(self, entries: Iterable[SourceEntry] = (), declared: Declared | None = None) -> None:
        self.entries: Mapping[str, SourceEntry] = {entry.key: entry for entry in entries}
        self._declared = declared or Declared()
        self._by_facet: dict[tuple[str, str], list[SourceEntry]] = {}
        for entry in self.entries.values():
            self._by_facet.setdefault((entry.tenant, entry.facet), []).append(entry)
        self._is_empty = not self.entries and not self._declared.tenants
        self._cache: dict[tuple[str, str], History] = {}

    def declaring(self, declared: Declared) -> SourceHistory:
        """The same entries behind what a mapping file declares."""
        return SourceHistory(self.entries.values(), declared)

    def of(self, tenant: TenantId, facet: FacetKey) -> History:
        """The history that decides over a facet; from its first own entry on an instance has one of its own."""
        if self._is_empty:
            return ()
        found = self._cache.get((tenant, facet))
        if found is None:
            found = self._deciding(tenant, facet)
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[tenant, facet] = found
        return found

    def _deciding(self, tenant: TenantId, facet: FacetKey) -> History:
        """An instance's own entries, behind those of its facet that held before: records of then keep the epoch of then."""
        own = self.exactly(tenant, facet)
        name = FacetKey(facet_name(facet))
        if name == facet:
            return own
        first_ms = min((entry.since_ms for entry in own), default=None)
        before = [one for one in self.exactly(tenant, name) if first_ms is None or one.since_ms < first_ms]
        return (*before, *own)

    def exactly(self, tenant: TenantId, facet: FacetKey) -> History:
        """The entries of just this facet, or of just this instance."""
        found = (*self._declared.of(tenant, facet), *self._by_facet.get((tenant, facet), ()))
        return tuple(sorted(found, key=lambda entry: (entry.epoch, entry.source)))

    def known(self, tenant: TenantId | None = None) -> list[History]:
        """The histories of all facets that have one, of one tenant or of all; declarations for every tenant are left out."""
        places = {
            place for place in (*self._by_facet, *self._declared.tenants) if place[0] and tenant in (None, place[0])
        }
        return [self.exactly(TenantId(owner), FacetKey(facet)) for owner, facet in sorted(places)]


def epoch_taken(history: History, source: str, own: int, taken_ms: int) -> int:
    """The epoch of an event of `source` that the log took at `taken_ms`; `own` is the one that it brought along.

    While nothing is declared an event keeps its own. From the first declaration on it takes its source's: the highest of
    those that held when the log took it. A source that was declared only later takes its first one, so that what was
    rejected before can be redriven after the handover. Corrections keep theirs.

    Raises:
        UndeclaredSourceError: the facet has sources and this is none of them.
    """
    if not history or source == OPERATOR_SOURCE:
        return own
    holding = [entry for entry in history if entry.since_ms <= taken_ms]
    if all(entry.source == ANY_SOURCE for entry in holding):
        return max([own, *(entry.epoch for entry in holding)])
    epochs = [entry.epoch for entry in holding if entry.source == source]
    if epochs:
        return _lifted(max(epochs), holding)
    later = [entry.epoch for entry in history if entry.source == source]
    if later:
        return min(later)
    one = history[0]
    names = ", ".join(dict.fromkeys(entry.source for entry in history if entry.source != ANY_SOURCE))
    raise UndeclaredSourceError(
        f"source {source!r} never was declared for facet {one.facet} of tenant {one.tenant}, which {names} feeds: "
        f"stop it, or hand the facet over (ferroflux facet handover --tenant {one.tenant} --facet {one.facet} "
        f"--to {source}) and redrive"
    )


def _lifted(epoch: int, holding: list[SourceEntry]) -> int:
    """The epoch of a source whose own newest one is `epoch`: a reset of all who fed the facet then lifted it, too."""
    resets = [entry.epoch for entry in holding if entry.source == ANY_SOURCE and entry.epoch > epoch]
    others = [entry.epoch for entry in holding if entry.source != ANY_SOURCE and entry.epoch > epoch]
    return max([epoch, *(reset for reset in resets if not any(other < reset for other in others))])


def present_source(history: History) -> str | None:
    """Who feeds a facet by its newest entry; None where nothing is declared."""
    named = [entry for entry in history if entry.source != ANY_SOURCE]
    return named[-1].source if named else None


def next_epoch(history: History) -> int:
    """The epoch of a facet's next entry: above those of the history and above all that an event can bring along.

    Raises:
        InvalidRequestError: there is none left.
    """
    epoch = max([FIRST_OPERATOR_EPOCH, *(entry.epoch + 1 for entry in history)])
    if epoch > MAX_OPERATOR_EPOCH:
        raise InvalidRequestError(f"the facet's epochs are used up: {MAX_OPERATOR_EPOCH} is the last")
    return epoch


def handed_over(
    history: History, tenant: TenantId, facet: FacetKey, to: str, *, since_ms: int, note: str = ""
) -> SourceEntry:
    """The entry that gives a facet to a source: its history wins over all that was written before.

    Raises:
        InvalidRequestError: that source feeds the facet already.
    """
    if present_source(history) == to:
        raise InvalidRequestError(
            f"{to} feeds facet {facet} of tenant {tenant} already; to free rows that are frozen, "
            f"ferroflux facet reset --tenant {tenant} --facet {facet}"
        )
    return SourceEntry(tenant, facet, source_name(to), next_epoch(history), since_ms, note[:_MAX_NOTE])


def reset_entry(history: History, tenant: TenantId, facet: FacetKey, *, since_ms: int, note: str = "") -> SourceEntry:
    """The entry that frees a facet's rows: whoever feeds it does so in a higher epoch, so the next change of each row wins."""
    named = [entry for entry in history if entry.source != ANY_SOURCE]
    present = {entry.source for entry in named if entry.epoch == named[-1].epoch}
    source = present.pop() if len(present) == 1 else ANY_SOURCE
    return SourceEntry(tenant, facet, source, next_epoch(history), since_ms, note[:_MAX_NOTE])
