"""The vector index on a Qdrant server: guarded writes whose outcome is read back, and filtered searches.

Qdrant answers COMPLETED whether a guard let a point through or not, and two writers may give their points the same
revision number. So each call of `write` draws a token, stores it in the points that it writes, and calls those its own
that carry it afterwards. A write that a later writer has already overwritten counts as refused: the caller reads and
merges again, which can only find less to do.

A write that gives no new vectors takes the stored ones over: it fetches them, with their revision, and puts the whole
point back under the guard of that very revision. Measured, this is several times cheaper than one payload operation a
point (decision 0009). How such points travel is a matter of the `PointWire` alone.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from qdrant_client import AsyncQdrantClient, models

from retrieval.encoders.port import SparseVector
from retrieval.filters import CatalogueFilter
from retrieval.vectors import record
from retrieval.vectors.port import AnyVector, PointPayload, PointWrite, VectorCounts, VectorHit
from retrieval.vectors.qdrant import filters
from retrieval.vectors.qdrant.calls import MessageTooLargeError, StoreCalls
from retrieval.vectors.qdrant.client_wire import ClientWire
from retrieval.vectors.qdrant.collection import (
    apply_settings,
    ensure_collection,
    identify_collection,
    metadata_of,
    require_recent_server,
)
from retrieval.vectors.qdrant.grpc_wire import GrpcWire
from retrieval.vectors.qdrant.wire import Neighbours, NewPoint, PointWire, Selection, StoredPoint, StoredVector, Upsert
from retrieval.vectors.record import (
    IDENTITY_KEY,
    from_record,
    page_of,
    require_distinct,
    rev_of,
    to_record,
    without_empty,
)
from retrieval.vectors.settings import VectorSettings
from retrieval.vectors.spaces import RECORD_KEY, Spaces
from runtime.observability.redaction import without_credentials
from schemas.identity import SkuId, SkuKey, TenantId

Item = TypeVar("Item")

_WRITE_BYTES: Final = 8 * 1024 * 1024
"""Of one request: the server takes 32 MiB, and what a point keeps of its vectors comes on top."""
_VECTOR_BYTES: Final = 8 * 1024


class QdrantIndex:
    """The port `VectorIndex` on a Qdrant server; with `local`, on the client's in-memory imitation of one.

    Any number of instances, in any number of processes, may write the same collection.
    """

    def __init__(self, client: AsyncQdrantClient, settings: VectorSettings, *, local: bool = False) -> None:
        self._client = client
        self._settings = settings
        self._collection = settings.collection
        self._local = local
        self._known_spaces = Spaces()
        self._wire: PointWire = ClientWire(client, settings.collection) if local else GrpcWire(client, settings)
        self._calls = StoreCalls(
            "in memory" if local else without_credentials(settings.url),
            timeout_s=settings.timeout_s,
            retry=settings.retry,
        )

    async def recorded(self) -> Mapping[str, Any] | None:
        """The record in the collection's metadata."""
        return (await metadata_of(self._client, self._calls, self._collection) or {}).get(RECORD_KEY)

    async def identity(self) -> str | None:
        """The id in the collection's metadata."""
        return (await metadata_of(self._client, self._calls, self._collection) or {}).get(IDENTITY_KEY)

    async def identify(self) -> str:
        """The id in the collection's metadata, put there where there was none."""
        return await identify_collection(self._client, self._calls, self._collection)

    async def prepare(self, spaces: Spaces) -> None:
        """Create the collection with these spaces where it is absent, else check the recorded ones."""
        if not self._local:
            await require_recent_server(self._client, self._calls)
        await ensure_collection(self._client, self._calls, self._settings, spaces, indexes=not self._local)
        self._known_spaces = spaces

    async def apply_settings(self) -> None:
        """The server changes what differs; its imitation has neither graphs nor quantised vectors."""
        if not self._local:
            await apply_settings(self._client, self._calls, self._settings)

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        """Payloads of the points that exist, in one round trip."""
        held = await self._retrieve(keys, payload=True)
        spaces = await self._spaces()
        return {key: from_record(point.payload, spaces) for key, point in held.items()}

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        """Apply guarded writes in requests of `write_batch` points; return the refused keys."""
        require_distinct([write.key for write in writes])
        token = secrets.token_hex(8)
        refused: set[SkuKey] = set()
        for batch in batches(writes, self._settings.write_batch, _WRITE_BYTES, _written_bytes):
            refused |= await self._write_batch(batch, token)
        return frozenset(refused)

    async def collect(self, tombstones: Mapping[SkuKey, int]) -> frozenset[SkuKey]:
        """Delete under the same per-point guard as a write; what is stored afterwards is read back."""
        keys = list(tombstones)
        for start in range(0, len(keys), self._settings.write_batch):
            batch = {key.point_id: tombstones[key] for key in keys[start : start + self._settings.write_batch]}
            await self._calls("delete tombstones", lambda dead=batch: self._wire.delete_dead(dead))  # type: ignore[misc]  # mypy cannot type a lambda that binds a loop variable
        return frozenset(await self.revisions(keys))

    async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
        """Stored revision of each point that exists."""
        held = await self._retrieve(keys, payload=[record.REV])
        return {key: rev_of(point.payload) for key, point in held.items()}

    async def search(
        self, vector: AnyVector, *, using: str, catalogue_filter: CatalogueFilter, limit: int
    ) -> list[VectorHit]:
        """The `limit` nearest living products, best first."""
        if isinstance(vector, SparseVector) and not len(vector):
            return []
        sought = Neighbours(vector, using, catalogue_filter, limit, self._settings.hnsw.ef_search)
        found = await self._calls("search", lambda: self._wire.nearest(sought))
        return [VectorHit(SkuKey(catalogue_filter.tenant, SkuId(sku)), score) for sku, score in found]

    async def counts(self, tenant: TenantId | None = None) -> VectorCounts:
        """Exact counts over one tenant, or over all."""
        spaces = list(await self._spaces())
        alive, dead, *filled = await asyncio.gather(
            self._count(filters.population(tenant, alive=True)),
            self._count(filters.population(tenant, alive=False)),
            *(self._count(filters.population(tenant, alive=True, vector=space)) for space in spaces),
        )
        return VectorCounts(alive, dead, dict(zip(spaces, filled, strict=True)))

    async def scan(
        self, tenant: TenantId | None = None, *, page: int = 1000
    ) -> AsyncIterator[Mapping[SkuKey, PointPayload]]:
        """Every point in the order of ids, page by page."""
        offset: Any = None
        while True:
            try:
                points, offset = await self._calls(
                    "scroll",
                    lambda start=offset, limit=page: self._client.scroll(  # type: ignore[misc]  # mypy cannot type a lambda that binds a loop variable
                        self._collection,
                        scroll_filter=filters.population(tenant),
                        limit=limit,
                        offset=start,
                        with_payload=True,
                        with_vectors=False,
                    ),
                )
            except MessageTooLargeError:
                if page == 1:
                    raise
                page //= 2
                continue
            yield page_of((stored for point in points if (stored := point.payload)), await self._spaces())
            if offset is None:
                return

    async def vectors(self, keys: Collection[SkuKey], *, using: str) -> dict[SkuKey, AnyVector]:
        """Stored vectors of the points that have one of that space."""
        held = await self._retrieve(keys, payload=False, vectors=[using])
        return {key: self._wire.array(point.vectors[using]) for key, point in held.items() if using in point.vectors}

    async def close(self) -> None:
        """Close the connections; the server flushes by itself."""
        await self._client.close()

    async def _spaces(self) -> Spaces:
        """The collection's; asked of the server where nobody has prepared it here."""
        if not self._known_spaces:
            self._known_spaces = Spaces.recorded(await self.recorded())
        return self._known_spaces

    async def _write_batch(self, writes: Sequence[PointWrite], token: str) -> set[SkuKey]:
        spaces = (await self._spaces()).keys() or {""}  # of a collection without a record every vector is kept
        # Those whose stored vectors may have to survive: they update a point and do not name every space.
        keeping = {
            write.key for write in writes if write.expected_rev is not None and not spaces <= write.vectors.keys()
        }
        stored = await self._vectors_to_keep([write for write in writes if write.key in keeping])
        upserts = _upserts(
            [write for write in writes if write.key in stored or write.key not in keeping], stored, token
        )
        if upserts:
            await self._calls("write points", lambda: self._wire.upsert(upserts), of_points=True)
        written = await self._retrieve([write.key for write in writes], payload=[record.WRITER])
        return {
            write.key
            for write in writes
            if write.key not in written or written[write.key].payload.get(record.WRITER) != token
        }

    async def _vectors_to_keep(self, writes: Sequence[PointWrite]) -> dict[SkuKey, Mapping[str, StoredVector]]:
        """Stored vectors of the points, where the revision is the expected one.

        Revision and vectors are read together, so under a guard of that revision they belong together. A point that
        has moved on is left out: its guard could not hold any more, since a revision never goes back.
        """
        expected = {write.key: write.expected_rev for write in writes}
        if not expected:
            return {}
        held = await self._retrieve(list(expected), payload=[record.REV], vectors=True)
        return {key: point.vectors for key, point in held.items() if rev_of(point.payload) == expected[key]}

    async def _retrieve(
        self, keys: Iterable[SkuKey], *, payload: Selection, vectors: Selection = False
    ) -> dict[SkuKey, StoredPoint]:
        by_id = {key.point_id: key for key in keys}
        if not by_id:
            return {}
        points = await self._get(list(by_id), payload, vectors)
        return {by_id[point_id]: point for point_id, point in points.items()}

    async def _get(self, point_ids: Sequence[str], payload: Selection, vectors: Selection) -> dict[str, StoredPoint]:
        """Points in one round trip, or in several where the answer would be larger than a message may be."""
        try:
            return await self._calls("read points", lambda: self._wire.get(point_ids, payload=payload, vectors=vectors))
        except MessageTooLargeError:
            if len(point_ids) == 1:
                raise
        half = len(point_ids) // 2
        first = await self._get(point_ids[:half], payload, vectors)
        return first | await self._get(point_ids[half:], payload, vectors)

    async def _count(self, population: models.Filter | None) -> int:
        counted = await self._calls(
            "count", lambda: self._client.count(self._collection, count_filter=population, exact=True)
        )
        return counted.count


def _upserts(
    writes: Sequence[PointWrite], stored: Mapping[SkuKey, Mapping[str, StoredVector]], token: str
) -> list[Upsert]:
    """At most two for one request: creates that never overwrite, and updates guarded point by point."""
    creates: list[NewPoint] = []
    updates: list[NewPoint] = []
    expected: dict[str, int] = {}
    for write in writes:
        kept = {name: vector for name, vector in stored.get(write.key, {}).items() if name not in write.vectors}
        point_id = write.key.point_id
        point = NewPoint(point_id, to_record(write.key, write.payload, token), without_empty(write.vectors), kept)
        if write.expected_rev is None:
            creates.append(point)
        else:
            updates.append(point)
            expected[point_id] = write.expected_rev
    return [upsert for upsert in (Upsert(creates, None), Upsert(updates, expected)) if upsert.points]


def batches(items: Sequence[Item], most: int, most_bytes: int, size: Callable[[Item], int]) -> Iterator[Sequence[Item]]:
    """Consecutive items, at most so many and so many bytes together; one that is larger goes alone."""
    start = together = 0
    for number, item in enumerate(items):
        bytes_of = size(item)
        if number > start and (number - start == most or together + bytes_of > most_bytes):
            yield items[start:number]
            start, together = number, 0
        together += bytes_of
    if start < len(items):
        yield items[start:]


def _written_bytes(write: PointWrite) -> int:
    return len(write.payload.state) + _VECTOR_BYTES
