"""The vector index on Qdrant Edge, for a process that owns its data: no server, the same engine, the same contract.

Edge holds the interpreter's lock in every call, so what counts is that no call is long: writes and reads go in small
chunks, one job each, through a single thread. That thread is also what makes a guarded write atomic: it looks at the
stored revisions and writes within one job, and there is no other writer.

Acknowledged writes are in Edge's write-ahead log, which survives the process (kill -9), and are flushed to the
segments only every tens of thousands of points: a flush waits for the disk with the interpreter's lock held.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import numpy as np
import qdrant_edge as edge
import structlog

from retrieval.encoders.port import SparseVector
from retrieval.filters import CatalogueFilter
from retrieval.vectors import record
from retrieval.vectors.edge import filters
from retrieval.vectors.edge.shard import DirectoryOwner, ShardFiles
from retrieval.vectors.port import AnyVector, NamedVectors, PointPayload, PointWrite, VectorCounts, VectorHit
from retrieval.vectors.record import from_record, page_of, require_distinct, rev_of, to_record, without_empty
from retrieval.vectors.settings import VectorSettings
from retrieval.vectors.spaces import Spaces
from schemas.errors import NotReadyError, StoreRefusedError, StoreUnavailableError
from schemas.identity import SkuId, SkuKey, TenantId

log = structlog.get_logger(__name__)

T = TypeVar("T")
Item = TypeVar("Item")

WRITE_CHUNK: Final = 64
"""Points written in one job: 3 to 8 ms with 384 dimensions on the machine of decision 0010."""
_OF_A_POINT: Final = re.compile(
    r"vector dimension error|not existing vector name|wrong input|.*validation", re.IGNORECASE
)
"""How Edge begins to say that it refuses a point for what it holds."""
READ_CHUNK: Final = 512
"""Points read in one job: about 3 ms."""
WRITER: Final = "edge"
"""The owner is the only writer; its points need no token."""


class EdgeIndex:
    """The port `VectorIndex` on one directory that this process owns."""

    def __init__(self, settings: VectorSettings) -> None:
        """Take the directory; `prepare` or `open` then opens the shard.

        Raises:
            IndexInUseError: another process owns it.
        """
        self._settings = settings
        self._owner = DirectoryOwner(settings.directory)
        self._files = ShardFiles(settings)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge")
        self._opened: edge.EdgeShard | None = None
        self._unflushed = 0
        self._closed = False

    @classmethod
    async def open(cls, settings: VectorSettings) -> Self:
        """Take the directory and open what is there; an absent shard is created by `prepare`."""
        index = cls(settings)
        try:
            await index._run(index._open_existing)
        except BaseException:
            await index.close()
            raise
        return index

    @property
    def is_absent(self) -> bool:
        """Whether the directory holds no shard: `prepare` creates one."""
        return self._opened is None

    async def recorded(self) -> Mapping[str, Any] | None:
        """The record in the file beside the shard."""
        return None if self.is_absent else await self._run(self._files.recorded)

    async def identity(self) -> str | None:
        """The id in the file beside the shard."""
        return None if self.is_absent else await self._run(self._files.identity)

    async def identify(self) -> str:
        """The id in the file beside the shard, put there where there was none."""
        if self.is_absent:
            raise NotReadyError(f"the vector index in {self._settings.directory} is not prepared yet")
        return await self._run(self._files.identify)

    async def prepare(self, spaces: Spaces) -> None:
        """Create the shard with these spaces where it is absent, else check the recorded ones."""
        await self._run(self._prepare, spaces)

    async def apply_settings(self) -> None:
        """Check what opening the shard did not change; graphs and quantised vectors are built by `maintain`."""
        await self._run(self._files.require_settings)

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        """Payloads of the points that exist."""
        held = await self._retrieve(keys, payload=True)
        return {key: from_record(point.payload or {}, self._files.spaces) for key, point in held.items()}

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        """Apply guarded writes chunk by chunk; other calls get their turn between two chunks."""
        require_distinct([write.key for write in writes])
        refused: set[SkuKey] = set()
        for chunk in _chunks(writes, WRITE_CHUNK):
            refused |= await self._run(self._write_chunk, chunk)
            if self._unflushed >= self._settings.flush_every:
                await self._run(self._flush)
        return frozenset(refused)

    async def collect(self, tombstones: Mapping[SkuKey, int]) -> frozenset[SkuKey]:
        """Remove tombstones chunk by chunk, each looked at and removed in one job of the only writer."""
        kept: set[SkuKey] = set()
        for chunk in _chunks(list(tombstones.items()), WRITE_CHUNK):
            kept |= await self._run(self._collect_chunk, chunk)
        return frozenset(kept)

    async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
        """Stored revision of each point that exists."""
        held = await self._retrieve(keys, payload=[record.REV])
        return {key: rev_of(point.payload or {}) for key, point in held.items()}

    async def search(
        self, vector: AnyVector, *, using: str, catalogue_filter: CatalogueFilter, limit: int
    ) -> list[VectorHit]:
        """The `limit` nearest living products, best first."""
        if isinstance(vector, SparseVector) and not len(vector):
            return []
        ef = self._settings.hnsw.ef_search
        request = edge.QueryRequest(
            limit=limit,
            query=edge.Query.Nearest(_edge_vector(vector), using=using),
            filter=filters.visible(catalogue_filter),
            with_payload=[record.SKU],
            with_vector=False,
            params=None if ef is None else edge.SearchParams(hnsw_ef=ef),
        )
        found = await self._run(lambda: self._shard.query(request))
        return [
            VectorHit(SkuKey(catalogue_filter.tenant, SkuId((hit.payload or {})[record.SKU])), hit.score)
            for hit in found
        ]

    async def counts(self, tenant: TenantId | None = None) -> VectorCounts:
        """Exact counts over one tenant, or over all."""
        return VectorCounts(
            alive=await self._count(filters.population(tenant, alive=True)),
            dead=await self._count(filters.population(tenant, alive=False)),
            vectors={
                space: await self._count(filters.population(tenant, alive=True, vector=space))
                for space in self._files.spaces
            },
        )

    async def scan(
        self, tenant: TenantId | None = None, *, page: int = 1000
    ) -> AsyncIterator[Mapping[SkuKey, PointPayload]]:
        """Every point in the order of ids, page by page."""
        offset: Any = None
        while True:
            request = edge.ScrollRequest(
                offset=offset,
                limit=page,
                filter=filters.population(tenant),
                with_payload=True,
                with_vector=False,
            )
            points, offset = await self._run(self._scroll, request)
            yield page_of((point.payload or {} for point in points), self._files.spaces)
            if offset is None:
                return

    async def vectors(self, keys: Collection[SkuKey], *, using: str) -> dict[SkuKey, AnyVector]:
        """Stored vectors of the points that have one of that space."""
        held = await self._retrieve(list(keys), payload=False, vectors=[using])
        return {
            key: _array(point.vector[using])
            for key, point in held.items()
            if isinstance(point.vector, dict) and using in point.vector
        }

    async def maintain(self) -> bool:
        """Build graphs and vacuum where the thresholds ask for it, and flush; whether anything was rebuilt.

        It may hold the interpreter for seconds: call it before the process serves, or when it has stopped serving.
        """
        return await self._run(self._maintain)

    async def close(self) -> None:
        """Flush, close the shard and let the directory go; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close_shard)
        finally:
            self._thread.shutdown(wait=True)
            self._owner.release()

    @property
    def _shard(self) -> edge.EdgeShard:
        if self._opened is None:
            raise NotReadyError(f"the vector index in {self._settings.directory} is not prepared yet")
        return self._opened

    async def _run(self, job: Callable[..., T], *args: object) -> T:
        """One job on the index's thread.

        Raises:
            NotReadyError: the index is not prepared, or closed.
        """
        if self._closed:
            raise NotReadyError(f"the vector index in {self._settings.directory} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, job, *args)

    def _open_existing(self) -> None:
        if self._opened is None and self._files.exists():
            self._opened = self._files.open()

    def _prepare(self, spaces: Spaces) -> None:
        if self._files.exists():
            self._files.require_spaces(spaces)
            self._open_existing()
            return
        self._opened = self._files.create(spaces)
        log.info("vector index created", spaces={name: space.revision for name, space in spaces.items()})

    def _write_chunk(self, writes: Sequence[PointWrite]) -> set[SkuKey]:
        shard = self._shard
        by_id = {write.key.point_id: write.key for write in writes}
        held = {by_id[str(point.id)]: point for point in shard.retrieve(list(by_id), [record.REV], False)}
        due = [write for write in writes if write.expected_rev == _rev_of(held.get(write.key))]
        spaces = self._files.spaces.keys() or {""}  # of a shard without a record nothing is whole
        whole = [write for write in due if write.expected_rev is None or spaces <= write.vectors.keys()]
        # What cannot be laid out is a matter of that write, and no failure of the disk.
        operations: list[edge.UpdateOperation] = []
        if whole:
            points = [
                edge.Point(write.key.point_id, _lists(write.vectors), to_record(write.key, write.payload, WRITER))
                for write in whole
            ]
            operations.append(edge.UpdateOperation.upsert_points(points))
        for write in due:
            if write.expected_rev is not None and not spaces <= write.vectors.keys():
                vectors = _lists(write.vectors)
                if vectors:
                    named = edge.PointVectors(write.key.point_id, vectors)
                    operations.append(edge.UpdateOperation.update_vectors([named]))
                if emptied := list(write.vectors.keys() - vectors.keys()):
                    operations.append(edge.UpdateOperation.delete_vectors([write.key.point_id], emptied))
                stored = to_record(write.key, write.payload, WRITER)
                operations.append(edge.UpdateOperation.overwrite_payload([write.key.point_id], stored))
        try:
            for operation in operations:
                shard.update(operation)
        except Exception as error:  # Edge raises bare Exception for all that can go wrong, on the disk and with a point
            failure = StoreRefusedError if _OF_A_POINT.match(str(error)) else StoreUnavailableError
            raise failure(f"the vector index in {self._settings.directory} could not write: {error}") from error
        self._unflushed += len(due)
        return {write.key for write in writes} - {write.key for write in due}

    def _collect_chunk(self, tombstones: Sequence[tuple[SkuKey, int]]) -> set[SkuKey]:
        shard = self._shard
        keys = {key.point_id: (key, rev) for key, rev in tombstones}
        held = {
            str(point.id): point.payload or {}
            for point in shard.retrieve(list(keys), [record.REV, record.ALIVE], False)
        }
        due: list[int | UUID | str] = [
            point_id
            for point_id, stored in held.items()
            if rev_of(stored) == keys[point_id][1] and not stored.get(record.ALIVE)
        ]
        try:
            if due:
                shard.update(edge.UpdateOperation.delete_points(due))
        except Exception as error:  # Edge raises bare Exception for all that can go wrong on the disk
            raise StoreUnavailableError(
                f"the vector index in {self._settings.directory} could not delete: {error}"
            ) from error
        self._unflushed += len(due)
        return {keys[point_id][0] for point_id in held.keys() - {str(point_id) for point_id in due}}

    async def _retrieve(
        self, keys: Sequence[SkuKey], *, payload: bool | list[str], vectors: bool | list[str] = False
    ) -> dict[SkuKey, edge.Record]:
        by_id = {key.point_id: key for key in keys}
        held: dict[SkuKey, edge.Record] = {}
        for chunk in _chunks(list(by_id), READ_CHUNK):
            points = await self._run(lambda ids=chunk: self._shard.retrieve(ids, payload, vectors))
            held.update((by_id[str(point.id)], point) for point in points)
        return held

    def _scroll(self, request: edge.ScrollRequest) -> tuple[list[edge.Record], Any]:
        return self._shard.scroll(request)

    async def _count(self, population: edge.Filter) -> int:
        request = edge.CountRequest(exact=True, filter=population)
        return await self._run(lambda: self._shard.count(request))

    def _flush(self) -> None:
        self._shard.flush()
        self._unflushed = 0

    def _maintain(self) -> bool:
        rebuilt = self._shard.optimize()
        self._flush()
        info = self._shard.info()
        log.info(
            "vector index maintained",
            rebuilt=rebuilt,
            points=info.points_count,
            in_graph=info.indexed_vectors_count,
            segments=info.segments_count,
        )
        return rebuilt

    def _close_shard(self) -> None:
        if self._opened is None:
            return
        self._opened.flush()
        self._opened.close()
        self._opened = None


def _lists(vectors: NamedVectors) -> dict[str, edge.NamedVector]:
    """By name, without empty ones."""
    return {name: _edge_vector(vector) for name, vector in without_empty(vectors).items()}


def _array(stored: Any) -> AnyVector:
    if isinstance(stored, edge.SparseVector):
        return SparseVector.of(stored.indices, stored.values)
    return np.asarray(stored, dtype=np.float32)


def _edge_vector(vector: AnyVector) -> Any:
    if isinstance(vector, SparseVector):
        return edge.SparseVector(vector.indices.tolist(), vector.values.tolist())
    return np.asarray(vector, dtype=np.float32).tolist()


def _rev_of(point: edge.Record | None) -> int | None:
    return None if point is None else rev_of(point.payload or {})


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
