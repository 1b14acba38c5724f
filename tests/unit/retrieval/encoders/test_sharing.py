"""Inference by turns: whose turn it is, pieces of a load, and the same vectors as without."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from indexer.batch.embedding import OffLoopEncoder
from retrieval.encoders.settings import EncoderShares
from retrieval.encoders.sharing import InferenceShares, SharedEncoder, Urgency, on_behalf_of, urgency
from retrieval.testing import HashingEncoder, HashingSparseEncoder
from retrieval.vectors.spaces import TEXT_VECTOR


class Gated(HashingEncoder):
    """Says what it computes, and goes on when it is let go."""

    def __init__(self) -> None:
        super().__init__(16)
        self.began, self.go = [], threading.Semaphore(0)

    def encode_queries(self, texts):
        self._wait("query", texts)
        return super().encode_queries(texts)

    def encode_passages(self, texts):
        self._wait(str(urgency.get()), texts)
        return super().encode_passages(texts)

    def _wait(self, kind, texts):
        self.began.append((kind, len(texts)))
        assert self.go.acquire(timeout=10)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - threads that set no event
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("sparse", [None, HashingSparseEncoder()])
def test_the_vectors_are_those_of_the_encoder_alone(sparse):
    plain = HashingEncoder(32, sparse=sparse)
    shared = SharedEncoder(plain, InferenceShares(EncoderShares(), at_once=2))
    texts = [f"tornillo {number}" for number in range(21)]
    assert shared.revision == plain.revision
    assert np.array_equal(shared.encode_passages(texts), plain.encode_passages(texts))
    assert np.array_equal(shared.encode_queries(texts), plain.encode_queries(texts))
    assert shared.encode_passages([]).shape == plain.encode_passages([]).shape
    assert shared.passage_lengths(texts) == plain.passage_lengths(texts)
    if sparse is not None:
        found, expected = shared.sparse.encode_passages(texts), sparse.encode_passages(texts)
        assert [one.indices.tolist() for one in found] == [one.indices.tolist() for one in expected]


async def test_a_query_and_a_change_go_before_the_rest_of_a_load():
    gated = Gated()
    shared = SharedEncoder(gated, InferenceShares(EncoderShares(), at_once=1))
    with ThreadPoolExecutor(4) as threads:
        encoder, loop = OffLoopEncoder(shared, threads), asyncio.get_running_loop()
        with on_behalf_of(Urgency.BULK):
            load = asyncio.create_task(encoder.encode(TEXT_VECTOR, [f"load {number}" for number in range(24)]))
        await until(lambda: len(gated.began) == 1)
        change = asyncio.create_task(encoder.encode(TEXT_VECTOR, ["change"]))
        query = loop.run_in_executor(threads, shared.encode_queries, ["query"])
        await until(lambda: len(shared._shares._queue._kinds[Urgency.LIVE].waiting) == 1)
        await until(lambda: len(shared._shares._queue._kinds[Urgency.QUERY].waiting) == 1)
        gated.go.release(5)
        await asyncio.gather(load, change, query)
    assert gated.began == [("bulk", 8), ("query", 1), ("live", 1), ("bulk", 8), ("bulk", 8)]


def test_an_inference_that_fails_gives_its_turn_back():
    class Failing(HashingEncoder):
        def encode_queries(self, texts):
            raise ValueError(texts)

    shared = SharedEncoder(Failing(16), InferenceShares(EncoderShares(), at_once=1))
    for _ in range(3):
        with pytest.raises(ValueError, match="x"):
            shared.encode_queries(["x"])
    assert len(shared.encode_passages(["y"])) == 1
