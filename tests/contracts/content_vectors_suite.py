"""What every content store must do: one suite, inherited by a class for each adapter."""

import asyncio

import numpy as np
import pytest

from retrieval.encoders.port import SparseVector
from retrieval.vectors.contents import ContentVectors
from tests.support.clock import ClockOf

BOUND = 64 * 1024
DIMENSION = 64


def dense(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(DIMENSION).astype(np.float32)


def sparse(*indices: int) -> SparseVector:
    return SparseVector(np.array(indices, np.uint32), np.full(len(indices), 0.1, np.float32))


def names(*numbers: int) -> list[str]:
    return [f"{number:016x}" for number in numbers]


async def put(store: ContentVectors, *numbers: int) -> None:
    await store.put("text", "r1", dict(zip(names(*numbers), map(dense, numbers), strict=True)))


async def held(store: ContentVectors, *numbers: int) -> list[str]:
    return list(await store.get("text", "r1", names(*numbers)))


class Hours(ClockOf):
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        super().__init__(lambda: self.now)

    def pass_one(self) -> None:
        self.now += 3600


class ContentVectorsContract:
    """An adapter's class gives `store` with `BOUND` and `other`, a second indexer's on the same place; both by the clock `hours`."""

    @pytest.fixture
    def hours(self) -> Hours:
        return Hours()

    async def test_what_was_never_kept_is_not_found(self, store):
        assert await store.get("text", "r1", names(1, 2)) == {}
        await store.put("text", "r1", {})
        assert await store.get("text", "r1", []) == {}

    async def test_a_vector_comes_back_bit_by_bit(self, store):
        odd = np.array([1e-42, -0.0, 1 / 3, *range(DIMENSION - 3)], np.float32)
        await store.put("text", "r1", {"a": odd, "b": dense(1)})
        found = await store.get("text", "r1", ["b", "a", "c"])
        assert set(found) == {"a", "b"}
        assert found["a"].dtype == np.float32
        assert found["a"].tobytes() == odd.tobytes()
        assert found["b"].tobytes() == dense(1).tobytes()

    async def test_sparse_vectors_come_back_too_and_empty_ones(self, store):
        await store.put("splade", "r1", {"a": sparse(3, 4_000_000_000), "none": sparse()})
        found = await store.get("splade", "r1", ["a", "none"])
        assert found["a"].indices.tolist() == [3, 4_000_000_000]
        assert found["a"].indices.dtype == np.uint32
        assert found["a"].values.tobytes() == sparse(3, 5).values.tobytes()
        assert len(found["none"]) == 0

    async def test_spaces_and_revisions_never_mix(self, store):
        await store.put("text", "r1", {"a": dense(1)})
        await store.put("text", "r2", {"a": dense(2)})
        assert (await store.get("text", "r1", ["a"]))["a"].tobytes() == dense(1).tobytes()
        assert (await store.get("text", "r2", ["a"]))["a"].tobytes() == dense(2).tobytes()
        assert await store.get("text@32", "r1", ["a"]) == {}

    async def test_the_last_write_stands(self, store):
        await store.put("text", "r1", {"a": dense(1)})
        await store.put("text", "r1", {"a": dense(2)})
        assert (await store.get("text", "r1", ["a"]))["a"].tobytes() == dense(2).tobytes()

    async def test_what_one_indexer_kept_another_finds(self, store, other):
        await asyncio.gather(put(store, 1, 2), put(other, 2, 3))
        assert await held(store, 1, 2, 3) == names(1, 2, 3)
        assert await held(other, 1, 2, 3) == names(1, 2, 3)

    async def test_the_oldest_go_where_the_bound_is_reached(self, store, hours):
        for start in range(0, 1600, 16):
            await put(store, *range(start, start + 16))
            hours.pass_one()
        kept = [number for number in range(1600) if await held(store, number)]
        younger = range((kept[0] // 16 + 1) * 16, 1600)
        assert set(younger) <= set(kept), "the oldest ones went, and no others; of one time it may be any"
        assert 16 <= len(kept) <= BOUND // (4 * DIMENSION) + 32
        assert 0 < store.held_bytes <= BOUND * 1.2

    async def test_a_damaged_vector_is_told_and_replaced(self, store):
        await store._write({"text/r1/a": b"damaged", "text/r1/b": b"", "text/r1/c": b"d" + bytes(8)})
        assert await store.get("text", "r1", ["a", "b", "c"]) == {"a": None, "b": None, "c": None}
        await store.put("text", "r1", {"a": dense(1)})
        assert (await store.get("text", "r1", ["a"]))["a"].tobytes() == dense(1).tobytes()
