"""What an operator does about the sources of facets: look, hand a facet over, free its rows. Once for the command and for HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from indexer.sources.port import SourceStore
from schemas.errors import InvalidEventError, InvalidRequestError
from schemas.identity import TenantId, tenant_id
from schemas.product.changes import FacetKey, facet_key
from schemas.product.sources import (
    ANY_SOURCE,
    HOLDS_AFTER_MS,
    Declared,
    History,
    SourceEntry,
    SourceHistory,
    handed_over,
    present_source,
    reset_entry,
    source_name,
)

log = structlog.get_logger(__name__)

Make = Callable[[History, int], SourceEntry]
FACETS: Final = ("item", "price", "stock")


@dataclass(frozen=True, slots=True)
class Decided:
    """The facet's history before, and the entry that was added, or would be."""

    before: History
    entry: SourceEntry
    applied: bool

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "applied": self.applied,
            "entry": self.entry.to_json(),
            "before": [entry.to_json() for entry in self.before],
            "next": self.sentences(),
        }

    def sentences(self) -> list[str]:
        """What was found, and what happens next."""
        entry, now = self.entry, present_source(self.before)
        found = f"facet {entry.facet} of tenant {entry.tenant}: {_fed(self.before)}"
        holds = (
            f"from {_moment(entry.since_ms)} on, by the time of the log"
            if self.applied
            else f"{HOLDS_AFTER_MS // 1_000} s after the entry is written, by the time of the log"
        )
        if entry.source in (now, ANY_SOURCE):
            who = "every source" if entry.source == ANY_SOURCE else entry.source
            return [
                found,
                f"{holds}, changes of {who} are in epoch {entry.epoch}: each wins over whatever is stored of its row",
                "a row stays as it is until its next change; to free all at once, let the source send its rows again (a snapshot), or load the file again",
            ]
        return [
            found,
            f"{holds}, {entry.source} feeds it in epoch {entry.epoch}, and its rows win over all that was written before",
            f"rows that {entry.source} has not sent yet keep their values: let it send all of them once (a snapshot)",
            (
                "sources that are not in the history are refused from then on (dead letter `undeclared_source`); those of "
                f"{entry.source} that were refused before come in with `ferroflux dlq redrive --reason undeclared_source`"
            ),
        ]


class SourceService:
    """Over one store, and what the mapping file declares."""

    def __init__(self, store: SourceStore, declared: Declared) -> None:
        self._store = store
        self._declared = declared

    async def listed(self, tenant: str = "") -> dict[str, Any]:
        """Every facet that has a history, newest entry last, and what the mapping file declares for every tenant."""
        history = SourceHistory(await self._store.entries(), self._declared)
        known = history.known(tenant_of(tenant) if tenant else None)
        everybody = {facet: dict(epochs) for (owner, facet), epochs in self._declared.tenants.items() if not owner}
        return {
            "facets": [
                {
                    "tenant": entries[0].tenant,
                    "facet": entries[0].facet,
                    "source": present_source(entries),
                    "entries": [entry.to_json() for entry in entries],
                }
                for entries in known
            ],
            "every_tenant": [{"facet": facet, "sources": epochs} for facet, epochs in sorted(everybody.items())],
        }

    async def hand_over(self, tenant: str, facet: str, to: str, *, note: str = "", apply: bool) -> Decided:
        """Give a facet to another source; without `apply` only say what would be.

        Raises:
            InvalidRequestError: a name is none, or that source feeds the facet already.
        """
        owner, what, source = tenant_of(tenant), facet_of(facet), _source_of(to)
        return await self._decide(
            owner,
            what,
            lambda history, since_ms: handed_over(history, owner, what, source, since_ms=since_ms, note=note),
            apply=apply,
        )

    async def reset(self, tenant: str, facet: str, *, note: str = "", apply: bool) -> Decided:
        """Raise the epoch of whoever feeds a facet, so that the next change of each row wins; without `apply` only say so.

        Raises:
            InvalidRequestError: a name is none.
        """
        owner, what = tenant_of(tenant), facet_of(facet)
        return await self._decide(
            owner,
            what,
            lambda history, since_ms: reset_entry(history, owner, what, since_ms=since_ms, note=note),
            apply=apply,
        )

    async def _decide(self, tenant: TenantId, facet: FacetKey, make: Make, *, apply: bool) -> Decided:
        before: list[History] = []

        def decide(history: SourceHistory, since_ms: int) -> SourceEntry:
            declared = history.declaring(self._declared)
            # An instance without entries of its own is decided by those of its facet: they are what it comes after.
            before[:] = [declared.of(tenant, facet)]
            return make(before[0], since_ms)

        if not apply:
            entry = decide(SourceHistory(await self._store.entries()), 0)
            return Decided(before[0], entry, applied=False)
        entry = await self._store.add(decide)
        log.info("history of sources changed", **entry.to_json())
        return Decided(before[0], entry, applied=True)


def tenant_of(raw: str) -> TenantId:
    """The tenant of a request.

    Raises:
        InvalidRequestError: it is no tenant's name.
    """
    try:
        return tenant_id(raw)
    except InvalidEventError as error:
        raise InvalidRequestError(str(error)) from error


def facet_of(raw: str) -> FacetKey:
    """The facet of a request.

    Raises:
        InvalidRequestError: it is no facet, or none that products have.
    """
    try:
        facet = facet_key(raw)
    except InvalidEventError as error:
        raise InvalidRequestError(str(error)) from error
    if facet.partition(":")[0] not in FACETS:
        raise InvalidRequestError(
            f"facet {raw[:80]!r} is none of {', '.join(FACETS)}, or an instance of the latter two"
        )
    return facet


def _source_of(raw: str) -> str:
    try:
        return source_name(raw)
    except InvalidEventError as error:
        raise InvalidRequestError(str(error)) from error


def _fed(history: History) -> str:
    named = [entry for entry in history if entry.source != ANY_SOURCE]
    if not named:
        again = f", reset {len(history)} times" if history else ""
        return f"no source is declared{again}, so events of every source come in"
    newest = named[-1]
    since = f" since {_moment(newest.since_ms)}" if newest.since_ms else " by the mapping file"
    return f"fed by {newest.source}{since}, in epoch {newest.epoch}"


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
