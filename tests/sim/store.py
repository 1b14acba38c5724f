"""The model of a Qdrant collection, and of this project's client to it: guarded writes, a token, and a read-back.

The server applies a request point by point, each only at its guard's revision, and answers "done" whatever happened.
The client does what `QdrantIndex` does (decision 0009): it draws a token for each write, tries again with the same token,
and takes for applied only what carries its token afterwards.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from retrieval.vectors.port import PointPayload, PointWrite
from schemas.errors import StoreUnavailableError
from schemas.identity import SkuKey
from tests.sim.world import Fault, Process, World

_WRITE_FAULTS = (*Fault,)
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Point:
    payload: PointPayload
    token: str
    text_hash_of_vector: str


@dataclass(slots=True)
class ModelStore:
    """The server's points; they survive everything."""

    world: World
    points: dict[SkuKey, Point] = field(default_factory=dict)

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
            vector = write.payload.text_hash if write.vectors else held.text_hash_of_vector if held else ""
            self.points[write.key] = Point(write.payload, token, vector)
            self.world.note(
                "store",
                "took",
                process,
                write.key.sku,
                _short(write.payload.rev),
                "alive" if write.payload.alive else "dead",
            )


class SimIndex:
    """The port `VectorIndex`, as far as indexer and verifier use it, for one process."""

    def __init__(self, store: ModelStore, process: Process) -> None:
        self._store = store
        self._process = process

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        held = await self._get(keys)
        return {key: point.payload for key, point in held.items()}

    async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
        held = await self._get(keys)
        return {key: point.payload.rev for key, point in held.items()}

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
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
