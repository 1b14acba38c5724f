"""The content store on a Qdrant server: a side collection that all indexers share, of whatever generation.

It is read by id alone, so nothing in it is a vector to the server: the packed bytes are a payload on disk, and one collection
takes every space and revision, and outlives them.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from qdrant_client import AsyncQdrantClient, models

from retrieval.vectors.contents import ContentVectors
from retrieval.vectors.qdrant.calls import StoreCalls
from retrieval.vectors.settings import RetrySettings, VectorSettings
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.observability.redaction import without_credentials
from schemas.errors import ConfigurationError

T = TypeVar("T")

COLLECTION: Final = "ferroflux-contents"
_IDS: Final = uuid.UUID("5c2ff3f0-31f3-4c0e-8f1d-7f7a6f2a9f5e")
_VECTOR: Final = "vector"
_WRITTEN: Final = "written"
"""When, in seconds since 1970; the only indexed field, by which the oldest are found."""
_NO_SPACE: Final = "none"
"""A collection has a space at least. No point fills this one."""
_POINT_BYTES: Final = 128
"""About what a point takes beside its vector: id, versions, time, index."""
_DROPPED_AT_ONCE: Final = 1000


class QdrantContentVectors(ContentVectors):
    """The port on a server; oldest write first out. Calls are tried once.

    `content_bytes` is held by an estimate: each indexer counts when it has written a 64th of it, and then drops a thousand of the
    oldest a write where there are too many.
    """

    def __init__(
        self,
        client: AsyncQdrantClient,
        settings: VectorSettings,
        *,
        collection: str = COLLECTION,
        local: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`local` as in `QdrantIndex`."""
        self._client = client
        self._settings = settings
        self._collection = collection
        self._local = local
        self._clock = clock
        where = "in memory" if local else without_credentials(settings.url)
        self._calls = StoreCalls(where, timeout_s=settings.timeout_s, retry=RetrySettings(attempts=1))
        self._is_there = False
        self._uncounted_bytes = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _read(self, keys: Mapping[str, str]) -> dict[str, bytes]:
        by_id = {_id(key): name for key, name in keys.items()}
        points = await self._call(
            "read vectors by content",
            lambda: self._client.retrieve(self._collection, list(by_id), with_payload=[_VECTOR]),
        )
        return {by_id[str(point.id)]: _bytes_of(point.payload or {}) for point in points}

    async def _write(self, packed: Mapping[str, bytes]) -> None:
        texts = {_id(key): base64.b64encode(each).decode() for key, each in packed.items()}
        now = self._clock.now_us() // 1_000_000
        points = [
            models.PointStruct(id=id_, vector={}, payload={_VECTOR: text, _WRITTEN: now}) for id_, text in texts.items()
        ]
        await self._update(models.UpsertOperation(upsert=models.PointsList(points=points)))
        size = sum(_POINT_BYTES + len(text) for text in texts.values())
        self._uncounted_bytes += size
        if self._uncounted_bytes > self._settings.content_bytes // 64:
            await self._trim(size / len(packed))

    async def _trim(self, bytes_of_one: float) -> None:
        count = (await self._call("count", lambda: self._client.count(self._collection, exact=True))).count
        self.held_bytes = int(count * bytes_of_one)
        excess = count - int(self._settings.content_bytes / bytes_of_one)
        if excess <= 0:
            self._uncounted_bytes = 0
            return
        oldest, _ = await self._call(
            "look for the oldest vectors",
            lambda: self._client.scroll(
                self._collection, limit=min(excess, _DROPPED_AT_ONCE), order_by=_WRITTEN, with_payload=False
            ),
        )
        of_them = models.Filter(must=[models.HasIdCondition(has_id=[point.id for point in oldest])])
        await self._update(models.DeleteOperation(delete=models.FilterSelector(filter=of_them)))

    async def _update(self, operation: models.UpdateOperation) -> None:
        await self._call(
            "keep vectors by content",
            lambda: self._client.batch_update_points(self._collection, [operation], wait=True),
        )

    async def _call(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """One call on the collection, which is made where it is absent: again, where somebody removed it."""
        if not self._is_there:
            await self._ensure()
        try:
            return await self._calls(what, attempt)
        except ConfigurationError:
            self._is_there = False
            raise

    async def _ensure(self) -> None:
        """Create what is absent; several indexers may do so at once."""
        name = self._collection

        async def exists() -> bool:
            return await self._calls("look for the collection", lambda: self._client.collection_exists(name))

        if not await exists():
            try:
                await self._calls("create the collection", self._create)
            except ConfigurationError:
                # The server answers INVALID_ARGUMENT to the slower of two creators.
                if not await exists():
                    raise
        if not self._local:
            by_time = models.IntegerIndexParams(
                type=models.IntegerIndexType.INTEGER, lookup=False, range=True, on_disk=True
            )
            await self._calls(
                "index a payload field", lambda: self._client.create_payload_index(name, _WRITTEN, by_time, wait=True)
            )
        self._is_there = True

    async def _create(self) -> bool:
        return await self._client.create_collection(
            self._collection,
            vectors_config={_NO_SPACE: models.VectorParams(size=1, distance=models.Distance.DOT, on_disk=True)},
            hnsw_config=models.HnswConfigDiff(m=0),
            on_disk_payload=True,
            shard_number=self._settings.shards,
            replication_factor=self._settings.replicas,
            write_consistency_factor=self._settings.replicas // 2 + 1,
        )


def _id(key: str) -> str:
    return str(uuid.uuid5(_IDS, key))


def _bytes_of(payload: models.Payload) -> bytes:
    """Damaged, where that is no base64: too short to be a vector."""
    try:
        return base64.b64decode(str(payload.get(_VECTOR)), validate=True)
    except ValueError:
        return b""
