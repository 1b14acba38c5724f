"""Live aliases: the newest version of every entry, and each tenant's compiled table over the shared one.

Readers ask for a tenant's table at any time from any thread; `apply` takes in records as they arrive. A tenant's table is
compiled when it is first asked for after a change. The shared part is compiled once for all tenants.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache

import structlog

from retrieval.aliases.compiled import CompiledAliases
from retrieval.aliases.table import TenantAliases
from runtime.isolation import Reason, concerns_one
from schemas.records.aliases import SHARED, AliasRecord, AliasStatus

log = structlog.get_logger(__name__)


class LiveAliases:
    """The entries by tenant and id; the shipped ones are there from the start and may be overridden by id."""

    def __init__(self, shipped: Iterable[AliasRecord] = ()) -> None:
        self._lock = threading.Lock()
        self._shipped = {record.key: record for record in shipped}
        self._held: dict[str, AliasRecord] = {}
        self._owners = self._with_entries()
        self._compiled: dict[str, TenantAliases] = {}
        """By owner, so that it holds no tenant without entries, whoever asks."""
        self._shared: CompiledAliases | None = None
        self._checked: dict[str, tuple[AliasRecord, Reason | None]] = {}

    @property
    def set_apart(self) -> dict[str, Reason]:
        """Entries that cannot be compiled, by key, and why; all others work. Of tenants that were asked for."""
        with self._lock:
            newest = self._shipped | self._held
            checked = list(self._checked.values())
        return {record.key: why for record, why in checked if why is not None and newest.get(record.key) == record}

    def apply(self, changes: Mapping[str, AliasRecord | None]) -> int:
        """Take in entries by record key, None for one to forget; older versions are dropped. How many changed."""
        changed = 0
        with self._lock:
            for key, record in changes.items():
                held = self._held.get(key)
                if record is None:
                    changed += self._held.pop(key, None) is not None
                elif held is None or (record.version >= held.version and record != held):
                    self._held[key] = record
                    changed += 1
                else:
                    continue
                tenant = key.partition("/")[0]
                if tenant == SHARED:
                    self._shared = None
                    self._compiled.clear()
                else:
                    self._compiled.pop(tenant, None)
            if changed:
                self._owners = self._with_entries()
        return changed

    def replace(self, records: Iterable[AliasRecord]) -> None:
        """Hold exactly these entries over the shipped ones."""
        with self._lock:
            self._held = {record.key: record for record in records}
            self._owners = self._with_entries()
            self._checked = {
                key: held for key, held in self._checked.items() if key in self._held or key in self._shipped
            }
            self._shared = None
            self._compiled.clear()

    def _with_entries(self) -> frozenset[str]:
        return frozenset(record.tenant for record in (*self._shipped.values(), *self._held.values()))

    def records(self, tenant: str | None = None) -> tuple[AliasRecord, ...]:
        """The newest version of every entry, in order of key; of one tenant and the shared ones where it is given."""
        with self._lock:
            newest = self._shipped | self._held
        return tuple(
            record for _, record in sorted(newest.items()) if tenant is None or record.tenant in (tenant, SHARED)
        )

    def owner(self, tenant: str) -> str:
        """Whose table the tenant's queries are rewritten by: its own, or the shared one where it has no entries."""
        return tenant if tenant in self._owners else SHARED

    def of(self, tenant: str) -> TenantAliases:
        """The table that the tenant's queries are rewritten by."""
        compiled = self._compiled.get(self.owner(tenant))
        if compiled is not None:
            return compiled
        with self._lock:
            owner = self.owner(tenant)
            newest = self._shipped | self._held
            own = {record.id: record for record in newest.values() if record.tenant == owner != SHARED}
            shared = [record for record in newest.values() if record.tenant == SHARED and self._works(record)]
            if self._shared is None:
                self._shared = _compiled(tuple(shared))
            compiled = TenantAliases.of(
                own=[record for record in own.values() if self._works(record)],
                shared=shared,
                compiled_shared=self._shared,
                overridden=frozenset(own),
            )
            self._compiled[owner] = compiled
            return compiled

    def _works(self, record: AliasRecord) -> bool:
        """Whether an entry is approved and can be compiled. One that cannot is left out, and no other with it."""
        if record.status is not AliasStatus.APPROVED:
            return False
        held = self._checked.get(record.key)
        if held is None or held[0] != record:
            held = self._checked[record.key] = (record, _why_not(record))
        return held[1] is None


def require_usable(record: AliasRecord) -> None:
    """Compile one entry by itself; whatever that raises is why it cannot be used."""
    if record.status is AliasStatus.APPROVED:
        table = TenantAliases.of(own=[record], shared=(), compiled_shared=_NONE, overridden=frozenset())
        table.spelled_units("1 x")


def _why_not(record: AliasRecord) -> Reason | None:
    try:
        require_usable(record)
    except Exception as error:
        if not concerns_one(error):
            raise
        log.exception("alias entry cannot be used", entry=record.key)
        return Reason.of(error)
    return None


_NONE = CompiledAliases()


@lru_cache(maxsize=4)
def _compiled(shared: tuple[AliasRecord, ...]) -> CompiledAliases:
    """One compiled table for all who share the same entries: compiling some hundred takes a tenth of a second."""
    return CompiledAliases(shared)
