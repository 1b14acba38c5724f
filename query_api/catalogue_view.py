"""What the catalogue holds, for `/v1/status` and `/v1/tenants`: counted once for all who ask within a second."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from functools import reduce
from typing import Final

from retrieval.serving.searchers import Searchers
from retrieval.text.port import TextCounts, TextIndexReader
from retrieval.vectors.port import VectorCounts
from runtime.clock import SYSTEM_CLOCK
from runtime.shared_answer import SharedAnswers
from schemas.api.status import CatalogueStatus, Coverage
from schemas.errors import NotReadyError, StoreUnavailableError
from schemas.identity import PROBE_TENANT, TenantId

Visible = frozenset[TenantId] | None
"""The tenants that a caller's key opens; None where nobody needs a key, and so for everybody."""

_COUNTED_IN_THE_STORE: Final = 4
"""Tenants of one key that the vector store is asked about, one by one; of a key for more, only the replica's counts are told."""

_NAMES_EVERY_S: Final = 5.0
_NONE: Final = TextCounts(0, 0, 0, 0)


class CatalogueView:
    """Counts by who may see them, each shared while it is fresh. Used from the worker's event loop."""

    def __init__(self, searchers: Searchers) -> None:
        self._searchers = searchers
        self._products = SharedAnswers(self._count_products, most=1)
        self._status = SharedAnswers(self._count)
        self._names: frozenset[TenantId] = frozenset()
        self._named_at = -_NAMES_EVERY_S
        self._naming: asyncio.Task[None] | None = None

    async def status(self, visible: Visible) -> CatalogueStatus | None:
        """The counts of all that the caller may see; None while the replica is not whole."""
        if "replica" in self._searchers.waiting_for:
            return None
        return await self._status.get(visible)

    async def products(self) -> dict[TenantId, int]:
        """Living products by tenant, of every tenant that has any.

        Raises:
            NotReadyError: the replica is not open or not whole.
        """
        return await self._products.get(None)

    def has(self, tenant: TenantId) -> bool:
        """Whether there is such a tenant, as of some seconds ago; told at once. Before the first count there is none."""
        if SYSTEM_CLOCK.monotonic() - self._named_at >= _NAMES_EVERY_S and self._naming is None:
            self._naming = asyncio.get_running_loop().create_task(self._name(), name="tenants")
        return tenant in self._names

    async def _name(self) -> None:
        try:
            self._names = frozenset(await self.products())
            self._named_at = SYSTEM_CLOCK.monotonic()
        except NotReadyError:
            self._named_at = SYSTEM_CLOCK.monotonic()  # nothing can be asked of a worker without a replica either
        finally:
            self._naming = None

    async def _count_products(self, _: None) -> dict[TenantId, int]:
        return await self._searchers.off_loop(self._searchers.current.reader.products)

    async def _count(self, visible: Visible) -> CatalogueStatus:
        products = await self.products()
        shown = {tenant: alive for tenant, alive in products.items() if tenant != PROBE_TENANT}
        if visible is not None:
            shown = {tenant: alive for tenant, alive in shown.items() if tenant in visible}
        reader, everything = self._searchers.current.reader, visible is None
        counts = await self._searchers.off_loop(lambda: _everything(reader) if everything else _of(reader, shown))
        return catalogue_status(shown, counts, await self._vectors(everything=everything, shown=shown))

    async def _vectors(self, *, everything: bool, shown: dict[TenantId, int]) -> VectorCounts | None:
        """The vector store's own count: one question for all tenants together, or one for each of a caller's few."""
        store = self._searchers.current.vectors
        if store is None or (not everything and len(shown) > _COUNTED_IN_THE_STORE):
            return None
        try:
            if everything:
                whole, probe = await asyncio.gather(store.counts(), store.counts(PROBE_TENANT))
                return whole.plus(probe, times=-1)
            counted = await asyncio.gather(*(store.counts(tenant) for tenant in shown))
            return reduce(VectorCounts.plus, counted, VectorCounts(0, 0, {}))
        except StoreUnavailableError:
            return None


def _everything(reader: TextIndexReader) -> TextCounts:
    """All tenants but the one of synthetic products, by two counts."""
    whole, probe = astuple(reader.counts()), astuple(reader.counts(PROBE_TENANT))
    return TextCounts(*(all_of - probed for all_of, probed in zip(whole, probe, strict=True)))


def _of(reader: TextIndexReader, tenants: Iterable[TenantId]) -> TextCounts:
    counted = [astuple(reader.counts(tenant)) for tenant in tenants]
    return TextCounts(*map(sum, zip(astuple(_NONE), *counted, strict=True)))


def catalogue_status(
    products: Mapping[TenantId, int], counts: TextCounts, vectors: VectorCounts | None
) -> CatalogueStatus:
    """Living products by tenant, and the counts over all of them; `vectors` is the vector store's own count of them."""
    return CatalogueStatus(
        documents=counts.alive,
        deleted=counts.dead,
        embedding=_coverage(counts.with_text_vector, counts.alive),
        images=_coverage(counts.with_image, counts.alive),
        vectors=None if vectors is None else vectors.alive,
        spaces={}
        if vectors is None
        else {space: _coverage(count, vectors.alive) for space, count in vectors.vectors.items()},
        by_tenant={str(tenant): alive for tenant, alive in sorted(products.items())},
    )


def _coverage(products: int, alive: int) -> Coverage:
    return Coverage(products=products, share=min(1.0, products / alive) if alive else 1.0)
