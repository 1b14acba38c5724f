"""The model of a Qdrant collection, and of this project's client to it: guarded writes and removals, a token, a read-back.

The server applies a request point by point, each only at its guard's revision, and answers "done" whatever happened.
The client does what `QdrantIndex` does (decision 0009): it draws a token for each write, tries again with the same token,
and takes for applied only what carries its token afterwards.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from retrieval.vectors.port import PointPayload, PointWrite
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.errors import StoreRefusedError, StoreUnavailableError
from schemas.identity import SkuKey
from tests.sim.model.oddities import Oddity
from tests.sim.model.world import Fault, Process, World

_WRITE_FAULTS = (*Fault,)
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Point:
    payload: PointPayload
    token: str
    text_hash_of_vector: str
    written_at: float = 0.0


@dataclass(slots=True)
class ModelStore:
    """The server's points; they survive everything."""

    world: World
    points: dict[SkuKey, Point] = field(default_factory=dict)
    log_began_at: float = 0.0
    """Simulated time of the oldest record that the change log keeps: what was deleted since then may not be collected."""
    collected_at: dict[SkuKey, float] = field(default_factory=dict)
    """When a product's tombstone was last removed."""
    collection: str = "collection-1"

    def replace(self) -> None:
        """The server lost the collection, and has another of its name."""
        self.points.clear()
        self.collection = "collection-2"
        self.world.note("store", "is replaced")

    def apply(self, process: str, writes: Sequence[PointWrite], token: str, fault: Fault | None) -> None:
        if fault is Fault.LIE:
            return
        count = len(writes) if fault not in (Fault.HALF, Fault.HALF_LIE) else self.world.rng.randrange(len(writes) + 1)
        for write in writes[:count]:
            held = self.points.get(write.key)
            at = held.payload.rev if held else None
            if self.world.guards.compare_and_set and at != write.expected_rev:
                self.world.note(
                    "store",
                    "refused",
                    process,
                    write.key.sku,
                    f"expected {_short(write.expected_rev)}, is {_short(at)}",
                )
                continue
            if not self.world.guards.tombstone and not write.payload.alive:
                self.points.pop(write.key, None)
                continue
            vector = (
                write.payload.provenance_of(TEXT_VECTOR).hash
                if write.vectors
                else held.text_hash_of_vector
                if held
                else ""
            )
            self.points[write.key] = Point(write.payload, token, vector, self.world.now)
            self.world.note(
                "store",
                "took",
                process,
                write.key.sku,
                _short(write.payload.rev),
                "alive" if write.payload.alive else "dead",
            )

    def remove(self, process: str, tombstones: Mapping[SkuKey, int], fault: Fault | None) -> None:
        """Delete points that are dead and at these revisions; whatever else a missing guard lets through is a violation."""
        if fault is Fault.LIE:
            return
        keys = list(tombstones)
        count = self.world.rng.randrange(len(keys) + 1) if fault in (Fault.HALF, Fault.HALF_LIE) else len(keys)
        for key in keys[:count]:
            held = self.points.get(key)
            if held is None:
                continue
            still = not held.payload.alive and held.payload.rev == tombstones[key]
            if self.world.guards.collect_guard and not still:
                self.world.note("store", "kept", key.sku, _short(held.payload.rev), "from", process)
                continue
            if held.payload.alive:
                self.world.violate(f"gc removed {key}, which had come to life again")
            if held.written_at >= self.log_began_at:
                self.world.violate(f"gc removed the tombstone of {key} within the reach of a replay")
            del self.points[key]
            self.collected_at[key] = self.world.now
            self.world.note("store", "forgot", process, key.sku, _short(held.payload.rev))


class SimIndex:
    """The port `VectorIndex`, as far as the processes use it, for one process."""

    def __init__(self, store: ModelStore, process: Process) -> None:
        self._store = store
        self._process = process

    async def identity(self) -> str | None:
        return self._store.collection

    async def identify(self) -> str:
        return self._store.collection

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        held = await self._get(keys)
        return {key: point.payload for key, point in held.items()}

    async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
        held = await self._get(keys)
        return {key: point.payload.rev for key, point in held.items()}

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        if any(Oddity.WRITE.encode() in write.payload.state for write in writes):
            await self._process.point()
            raise StoreRefusedError
        world, token = self._store.world, f"{self._store.world.rng.getrandbits(48):012x}"
        for attempt in range(_TRIES):
            try:
                await world.call(
                    self._process,
                    lambda fault: self._store.apply(self._process.name, writes, token, fault),
                    kinds=_WRITE_FAULTS,
                    error=StoreUnavailableError,
                )
                break
            except StoreUnavailableError:
                if attempt == _TRIES - 1:
                    raise
        if not world.guards.token:
            return frozenset()
        held = await self._get([write.key for write in writes])
        return frozenset(write.key for write in writes if write.key not in held or held[write.key].token != token)

    async def collect(self, tombstones: Mapping[SkuKey, int]) -> frozenset[SkuKey]:
        for attempt in range(_TRIES):
            try:
                await self._store.world.call(
                    self._process,
                    lambda fault: self._store.remove(self._process.name, tombstones, fault),
                    kinds=_WRITE_FAULTS,
                    error=StoreUnavailableError,
                )
                break
            except StoreUnavailableError:
                if attempt == _TRIES - 1:
                    raise
        return frozenset(await self._get(list(tombstones)))

    async def scan(self, tenant: None = None, *, page: int = 1000) -> AsyncIterator[Mapping[SkuKey, PointPayload]]:
        keys = sorted(self._store.points)
        for start in range(0, len(keys), page):
            yield await self.read(keys[start : start + page])

    async def _get(self, keys: Collection[SkuKey]) -> Mapping[SkuKey, Point]:
        points = self._store.points
        for attempt in range(_TRIES):
            try:
                return await self._store.world.call(
                    self._process,
                    lambda _: {key: points[key] for key in keys if key in points},
                    error=StoreUnavailableError,
                )
            except StoreUnavailableError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError


def _short(rev: int | None) -> str:
    return "nothing" if rev is None else f"r{rev % 10**9}"
