"""Removing tombstones, so that a product can come back at any moment and nothing old can.

The order of effects is what makes it safe. First the null record: replicas forget the product, the vector store still
holds its versions, so an event that comes now is merged as ever. Then the store's point, under a guard of its revision:
a product that was changed or revived meanwhile is refused, and published again, for its document may stand before our
null record. Between the two a crash leaves a null record over a stored tombstone: the next run does the rest, and the
verifier publishes the tombstone again if the run does not come.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from indexer.awaiting import awaits_item
from indexer.collection.tombstones import Tombstone, TombstoneSource
from indexer.ports import DocumentRemover
from retrieval.vectors.port import PointPayload, VectorIndex
from schemas.identity import SkuKey, TenantId

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Collected:
    """What a run found: tombstones looked at; `within_reach` of a replay, so kept; `changed` since, so kept; `due`.

    A dry run ends there. Otherwise `removed` were, and `revived` came back in the middle and were published again.
    """

    tombstones: int = 0
    within_reach: int = 0
    changed: int = 0
    due: int = 0
    removed: int = 0
    revived: int = 0


class TombstoneCollector:
    """Collects what is due. Several may run at once, beside any number of writers."""

    def __init__(
        self,
        index: VectorIndex,
        source: TombstoneSource,
        remover: DocumentRemover,
        republish: Callable[[Sequence[SkuKey]], Awaitable[object]],
    ) -> None:
        self._index = index
        self._source = source
        self._remover = remover
        self._republish = republish

    async def collect(self, *, before_us: int, apply: bool, tenant: TenantId | None = None) -> Collected:
        """Look at every tombstone (of one tenant), and with `apply` remove those last heard of before `before_us`.

        Raises:
            RetryableError: a store or the log did not answer; running it again goes on where this run stopped.
        """
        found = Collected()
        async for page in self._source.tombstones():
            mine = [tombstone for tombstone in page if tenant in (None, tombstone.key.tenant)]
            old = [tombstone for tombstone in mine if tombstone.published_us < before_us]
            stored = await self._index.read([tombstone.key for tombstone in old])
            waiting = {key for key, point in stored.items() if awaits_item(point)}
            due = [one for one in old if one.key in waiting or _is_due(one, stored.get(one.key))]
            found.tombstones += len(mine)
            found.within_reach += len(mine) - len(old)
            found.changed += len(old) - len(due)
            found.due += len(due)
            if apply and due:
                await self._remove(due, waiting, found)
        log.info(
            "tombstones looked at", dry_run=not apply, tombstones=found.tombstones, due=found.due, removed=found.removed
        )
        return found

    async def _remove(self, due: Sequence[Tombstone], waiting: Collection[SkuKey], found: Collected) -> None:
        """Of a product that waits for its item, a tombstone is left over: what waits stays."""
        await self._remover.remove([tombstone.key for tombstone in due])
        back = await self._index.collect({one.key: one.rev for one in due if one.key not in waiting})
        if back:
            await self._republish(sorted(back))
        found.removed += len(due) - len(back)
        found.revived += len(back)


def _is_due(tombstone: Tombstone, point: PointPayload | None) -> bool:
    """Also where the store does not hold the product: an earlier run came as far as the point, and no further."""
    return point is None or (not point.alive and point.rev == tombstone.rev)
