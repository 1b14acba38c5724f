"""Held versions straight from the vector store, whose points hold each product's merged state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Self

import structlog

from ferroflux.ingest.held.versions import Held, Look, NotLookedError, Register
from indexer.generations.settings import settings_of
from indexer.settings import IndexerSettings
from indexer.sources.kafka import KafkaSourceStore
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import PointPayload, VectorIndex
from retrieval.vectors.settings import VectorStoreKind
from runtime.clock import Clock
from schemas.errors import FerrofluxError, RetryableError
from schemas.identity import SkuKey, TenantId
from schemas.mapping.loading import load_mapping
from schemas.product.changes import FacetKey
from schemas.product.merge import ItemState
from schemas.product.sources import History, SourceHistory

log = structlog.get_logger(__name__)

Opened = tuple[VectorIndex | None, SourceHistory]

PAGE: Final = 200
"""Products of one read: a state is a kilobyte, seldom more."""
OPEN_WITHIN_S: Final = 10.0
"""For a store that is not there: a load need not wait longer to be told that it goes unlooked."""


class StoreHeldVersions:
    """The port `HeldVersions` over a vector index that somebody else opened and closes.

    `clock` is the server's, if any; `sources` says who feeds which facet.
    """

    def __init__(
        self,
        index: VectorIndex,
        *,
        clock: Clock | None = None,
        sources: Callable[[], SourceHistory] = SourceHistory,
    ) -> None:
        self._index = index
        self._clock = clock
        self._sources = sources

    async def look(self, registers: Collection[Register]) -> Look:
        """Read the products' states, page by page."""
        asked: dict[SkuKey, set[FacetKey]] = {}
        for key, facet in registers:
            asked.setdefault(key, set()).add(facet)
        held: dict[Register, Held] = {}
        for keys in _pages(asked):
            try:
                points = await self._index.read(keys)
            except RetryableError as error:
                raise NotLookedError(f"the vector store does not answer ({error})") from error
            # Off the loop that answers searches: a state may be large.
            held |= await asyncio.to_thread(_held, points, asked)
        return Look(
            held, None if self._clock is None else self._clock.now_us(), histories_of(self._sources(), registers)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class OperatorsHeldVersions:
    """The port `HeldVersions` on the store that the operator's settings name, opened at the first look.

    `opening` gives the open index and who feeds which facet; no index where there is no collection yet: then nothing is held.
    """

    def __init__(self, opening: Callable[[AsyncExitStack], Awaitable[Opened]]) -> None:
        self._opening = opening
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._opened: list[Opened] = []

    async def look(self, registers: Collection[Register]) -> Look:
        """Open the store where it is not yet, then read."""
        index, sources = await self._open()
        if index is None:
            return Look(histories=histories_of(sources, registers))
        return await StoreHeldVersions(index, sources=lambda: sources).look(registers)

    async def _open(self) -> Opened:
        async with self._lock:
            if not self._opened:
                try:
                    async with asyncio.timeout(OPEN_WITHIN_S):
                        self._opened.append(await self._opening(self._stack))
                except TimeoutError as error:
                    raise NotLookedError(f"the vector store did not answer within {OPEN_WITHIN_S:.0f} s") from error
                except NotLookedError:
                    raise
                except FerrofluxError as error:
                    raise NotLookedError(str(error)) from error
            return self._opened[0]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def open_production(settings: IndexerSettings, stack: AsyncExitStack) -> Opened:
    """The live generation's collection, as the operator's commands open it, and the sources of facets.

    Raises:
        NotLookedError: the settings name a store that another process owns.
        FerrofluxError: a server does not answer, or refuses us.
    """
    if settings.vectors.kind is VectorStoreKind.EDGE:
        raise NotLookedError("FERROFLUX_VECTORS__KIND is edge, a store that one process owns")
    index = await stack.enter_async_context(_live_collection(settings))
    declared = load_mapping(settings.mapping, settings.default_tenant).declared
    return index, SourceHistory(await KafkaSourceStore(settings.kafka).entries(), declared)


@asynccontextmanager
async def _live_collection(settings: IndexerSettings) -> AsyncIterator[VectorIndex | None]:
    live = await settings_of(settings)
    index = await open_vector_index(live.vectors)
    try:
        yield index if await index.recorded() is not None else None
    finally:
        await index.close()


def histories_of(sources: SourceHistory, registers: Collection[Register]) -> dict[tuple[TenantId, FacetKey], History]:
    """The sources of each facet, of those that have any."""
    places = {(key.tenant, facet) for key, facet in registers}
    return {place: history for place in places if (history := sources.of(*place))}


def _held(points: Mapping[SkuKey, PointPayload], asked: Mapping[SkuKey, Iterable[FacetKey]]) -> dict[Register, Held]:
    held: dict[Register, Held] = {}
    for key, point in points.items():
        try:
            state = ItemState.from_bytes(point.state)
        except (ValueError, KeyError, TypeError, AttributeError):
            # Nothing can be said of it, and the indexer will set the product apart by itself, with its reason.
            log.warning("stored state cannot be read", product=str(key))
            continue
        for facet in asked[key]:
            if (register := state.facets.get(facet)) is not None:
                held[key, facet] = Held(register.stamp, register.changed_at_us)
    return held


def _pages(asked: Mapping[SkuKey, object]) -> Iterator[list[SkuKey]]:
    keys = list(asked)
    return (keys[start : start + PAGE] for start in range(0, len(keys), PAGE))
