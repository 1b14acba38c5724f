"""The vector index on a Qdrant server: guarded writes whose outcome is read back, and filtered searches.

Qdrant answers COMPLETED whether a guard let a point through or not, and two writers may give their points the same
revision number. So each call of `write` draws a token, stores it in the points that it writes, and calls those its own
that carry it afterwards. A write that a later writer has already overwritten counts as refused: the caller reads and
merges again, which can only find less to do.

A write that gives no new vectors takes the stored ones over: it fetches them, with their revision, and puts the whole
point back under the guard of that very revision. Measured, this is several times cheaper than one payload operation a
point (decision 0009).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, models

from retrieval.encoders.port import ModelRevision
from retrieval.filters import CatalogueFilter
from retrieval.vectors import record
from retrieval.vectors.port import TEXT_VECTOR, PointPayload, PointWrite, Vector, VectorCounts, VectorHit
from retrieval.vectors.qdrant import filters
from retrieval.vectors.qdrant.calls import NotAppliedError, StoreCalls
from retrieval.vectors.qdrant.collection import ensure_collection, require_recent_server
from retrieval.vectors.record import from_record, key_of, require_distinct, to_record
from retrieval.vectors.settings import VectorSettings
from schemas.identity import SkuKey, TenantId

StoredVectors = dict[str, Any]
"""Vectors by name as the client gives and takes them: lists of floats."""


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A point ready to be written, and the revision that it replaces (None: it is new)."""

    point: models.PointStruct
    expected_rev: int | None


class QdrantIndex:
    """The port `VectorIndex` on a Qdrant server; with `local`, on the client's in-memory imitation of one.

    Any number of instances, in any number of processes, may write the same collection.
    """

    def __init__(self, client: AsyncQdrantClient, settings: VectorSettings, *, local: bool = False) -> None:
        self._client = client
        self._settings = settings
        self._collection = settings.collection
        self._local = local
        self._calls = StoreCalls(
            "in memory" if local else settings.url, timeout_s=settings.timeout_s, retry=settings.retry
        )

    async def prepare(self, revision: ModelRevision) -> None:
        """Create the collection for this encoder where it is absent, else check the recorded revision."""
        if not self._local:
            await require_recent_server(self._client, self._calls)
        await ensure_collection(self._client, self._calls, self._settings, revision, indexes=not self._local)

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        """Payloads of the points that exist, in one round trip."""
        held = await self._retrieve(keys, payload=True)
        return {key: from_record(point.payload or {}) for key, point in held.items()}

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        """Apply guarded writes in requests of `write_batch` points; return the refused keys."""
        require_distinct([write.key for write in writes])
        token = secrets.token_hex(8)
        refused: set[SkuKey] = set()
        for start in range(0, len(writes), self._settings.write_batch):
            refused |= await self._write_batch(writes[start : start + self._settings.write_batch], token)
        return frozenset(refused)

    async def collect(self, tombstones: Mapping[SkuKey, int]) -> frozenset[SkuKey]:
        """Delete under the same per-point guard as a write; what is stored afterwards is read back."""
        keys = list(tombstones)
        for start in range(0, len(keys), self._settings.write_batch):
            batch = {key.point_id: tombstones[key] for key in keys[start : start + self._settings.write_batch]}
            guarded = models.FilterSelector(filter=filters.dead_at_revisions(batch))
            operations = [models.DeleteOperation(delete=guarded)]
            await self._calls("delete tombstones", lambda batched=operations: self._apply(batched))  # type: ignore[misc]  # mypy cannot type a lambda that binds a loop variable
        return frozenset(await self.revisions(keys))

    async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
        """Stored revision of each point that exists."""
        held = await self._retrieve(keys, payload=[record.REV])
        return {key: int((point.payload or {})[record.REV]) for key, point in held.items()}

    async def search(self, vector: Vector, *, using: str, within: CatalogueFilter, limit: int) -> list[VectorHit]:
        """The `limit` nearest living products, best first."""
        query = np.asarray(vector, dtype=np.float32).tolist()
        found = await self._calls(
            "search",
            lambda: self._client.query_points(
                self._collection,
                query=query,
                using=using,
                query_filter=filters.visible(within),
                limit=limit,
                with_payload=[record.SKU],
                search_params=self._search_params(),
            ),
        )
        return [
            VectorHit(key_of({record.TENANT: within.tenant, **(hit.payload or {})}), hit.score) for hit in found.points
        ]

    async def counts(self, tenant: TenantId | None = None) -> VectorCounts:
        """Exact counts over one tenant, or over all."""
        alive, dead, with_text_vector = await asyncio.gather(
            self._count(filters.population(tenant, alive=True)),
            self._count(filters.population(tenant, alive=False)),
            self._count(filters.population(tenant, alive=True, vector=TEXT_VECTOR)),
        )
        return VectorCounts(alive, dead, with_text_vector)

    async def scan(
        self, tenant: TenantId | None = None, *, page: int = 1000
    ) -> AsyncIterator[Mapping[SkuKey, PointPayload]]:
        """Every point in the order of ids, page by page."""
        offset: Any = None
        while True:
            points, offset = await self._calls(
                "scroll",
                lambda start=offset: self._client.scroll(  # type: ignore[misc]  # mypy cannot type a lambda that binds a loop variable
                    self._collection,
                    scroll_filter=filters.population(tenant),
                    limit=page,
                    offset=start,
                    with_payload=True,
                    with_vectors=False,
                ),
            )
            yield {key_of(stored): from_record(stored) for point in points if (stored := point.payload)}
            if offset is None:
                return

    async def vectors(self, keys: Collection[SkuKey], *, using: str) -> dict[SkuKey, Vector]:
        """Stored vectors of the points that have one of that name."""
        held = await self._retrieve(keys, payload=False, vectors=[using])
        return {
            key: np.asarray(stored[using], dtype=np.float32)
            for key, point in held.items()
            if using in (stored := _vectors_of(point))
        }

    async def close(self) -> None:
        """Close the connections; the server flushes by itself."""
        await self._client.close()

    async def _write_batch(self, writes: Sequence[PointWrite], token: str) -> set[SkuKey]:
        stored = await self._vectors_to_keep(writes)
        guarded = [
            _Guarded(
                models.PointStruct(
                    id=write.key.point_id,
                    payload=to_record(write.key, write.payload, token),
                    vector={**stored.get(write.key, {}), **{name: v.tolist() for name, v in write.vectors.items()}},
                ),
                write.expected_rev,
            )
            for write in writes
            if write.key in stored or not _keeps_vectors(write)
        ]
        operations = _operations(guarded)
        if operations:
            await self._calls("write points", lambda: self._apply(operations))
        written = await self._retrieve([write.key for write in writes], payload=[record.WRITER])
        return {
            write.key
            for write in writes
            if write.key not in written or (written[write.key].payload or {}).get(record.WRITER) != token
        }

    async def _vectors_to_keep(self, writes: Sequence[PointWrite]) -> dict[SkuKey, StoredVectors]:
        """Stored vectors of the points whose writes do not replace them all, where the revision is the expected one.

        Revision and vectors are read together, so under a guard of that revision they belong together. A point that
        has moved on is left out: its guard could not hold any more, since a revision never goes back.
        """
        expected = {write.key: write.expected_rev for write in writes if _keeps_vectors(write)}
        if not expected:
            return {}
        held = await self._retrieve(list(expected), payload=[record.REV], vectors=True)
        return {
            key: _vectors_of(point)
            for key, point in held.items()
            if int((point.payload or {})[record.REV]) == expected[key]
        }

    async def _apply(self, operations: Sequence[models.UpdateOperation]) -> None:
        results = await self._client.batch_update_points(
            self._collection,
            operations,
            wait=True,
            ordering=models.WriteOrdering(self._settings.ordering.value),
        )
        unsure = [result.status.value for result in results if result.status is not models.UpdateStatus.COMPLETED]
        if unsure:
            raise NotAppliedError(f"the server answered {', '.join(unsure)}")

    async def _retrieve(
        self, keys: Iterable[SkuKey], *, payload: bool | list[str], vectors: bool | list[str] = False
    ) -> dict[SkuKey, models.Record]:
        by_id = {key.point_id: key for key in keys}
        if not by_id:
            return {}
        points = await self._calls(
            "read points",
            lambda: self._client.retrieve(
                self._collection,
                ids=list(by_id),
                with_payload=payload,
                with_vectors=vectors,
                consistency=self._read_consistency(),
            ),
        )
        return {by_id[str(point.id)]: point for point in points}

    async def _count(self, population: models.Filter | None) -> int:
        counted = await self._calls(
            "count", lambda: self._client.count(self._collection, count_filter=population, exact=True)
        )
        return counted.count

    def _read_consistency(self) -> models.ReadConsistencyType | None:
        """What is merged and guarded must not come from a replica that lags; a single copy has nothing to compare."""
        return models.ReadConsistencyType.MAJORITY if self._settings.replicas > 1 else None

    def _search_params(self) -> models.SearchParams | None:
        ef = self._settings.hnsw.ef_search
        return None if ef is None else models.SearchParams(hnsw_ef=ef)


def _keeps_vectors(write: PointWrite) -> bool:
    """Whether a stored vector may have to survive this write: it updates a point and does not name every space."""
    return write.expected_rev is not None and TEXT_VECTOR not in write.vectors


def _vectors_of(point: models.Record) -> StoredVectors:
    """A point's vectors by name; a point without any comes back with an empty mapping, list or None."""
    return dict(point.vector) if isinstance(point.vector, dict) else {}


def _operations(guarded: Sequence[_Guarded]) -> list[models.UpdateOperation]:
    """At most two operations for one request: creates that never overwrite, and updates guarded point by point."""
    creates = [write.point for write in guarded if write.expected_rev is None]
    updates = [write.point for write in guarded if write.expected_rev is not None]
    expected = {str(write.point.id): write.expected_rev for write in guarded if write.expected_rev is not None}
    operations: list[models.UpdateOperation] = []
    if creates:
        inserts = models.PointsList(points=creates, update_mode=models.UpdateMode.INSERT_ONLY)
        operations.append(models.UpsertOperation(upsert=inserts))
    if updates:
        replacements = models.PointsList(
            points=updates, update_mode=models.UpdateMode.UPDATE_ONLY, update_filter=filters.at_revisions(expected)
        )
        operations.append(models.UpsertOperation(upsert=replacements))
    return operations
