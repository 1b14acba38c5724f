"""The queue of texts that wait for the encoder: batches that form while it is busy, shared work, abandoned work."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval.search.retrievers.encoding_queue import EncodingQueue
from schemas.errors import OverloadedError
from tests.support.clock import ClockOf


class SlowEncoder:
    """Encodes a text as its length; each call waits until it is let go."""

    def __init__(self):
        self.calls = []
        self.fails = None
        self._gate = threading.Semaphore(0)

    def let_go(self, calls=1):
        self._gate.release(calls)

    def __call__(self, texts):
        self.calls.append(list(texts))
        assert self._gate.acquire(timeout=10)
        if self.fails:
            raise self.fails
        return np.array([[len(text)] for text in texts], np.float32)


@pytest.fixture
def encoder():
    return SlowEncoder()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4) as threads:
        yield threads


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the encoder runs on a thread that sets no event
            await asyncio.sleep(0.001)


async def ask(queue, encoder, text, *, calls):
    """Ask for one text and wait until the encoder has been called so often."""
    task = asyncio.create_task(queue.vectors([text]))
    await until(lambda: len(encoder.calls) == calls)
    return task


async def test_a_text_is_encoded_at_once_and_those_that_come_meanwhile_together(encoder, executor):
    queue = EncodingQueue(encoder, executor)
    first = await ask(queue, encoder, "a", calls=1)
    others = [asyncio.create_task(queue.vectors([text])) for text in ("bb", "ccc", "dddd")]
    await asyncio.sleep(0.01)
    encoder.let_go(2)
    vectors = [(await task)[0] for task in (first, *others)]
    assert [float(vector[0]) for vector in vectors] == [1, 2, 3, 4]
    assert encoder.calls == [["a"], ["bb", "ccc", "dddd"]]


async def test_a_batch_holds_no_more_than_its_bound(encoder, executor):
    queue = EncodingQueue(encoder, executor, batch=2)
    encoder.let_go(9)
    await queue.vectors(["a", "bb", "ccc", "dddd", "eeeee"])
    assert [len(call) for call in encoder.calls] == [2, 2, 1]


async def test_as_many_calls_as_allowed_run_side_by_side(encoder, executor):
    queue = EncodingQueue(encoder, executor, at_once=2)
    tasks = [await ask(queue, encoder, "a", calls=1), await ask(queue, encoder, "bb", calls=2)]
    third = asyncio.create_task(queue.vectors(["ccc"]))
    await asyncio.sleep(0.01)
    assert len(encoder.calls) == 2
    encoder.let_go(3)
    await asyncio.gather(*tasks, third)
    assert encoder.calls == [["a"], ["bb"], ["ccc"]]


async def test_a_text_that_several_wait_for_is_encoded_once(encoder, executor):
    queue = EncodingQueue(encoder, executor)
    first = await ask(queue, encoder, "a", calls=1)
    second = asyncio.create_task(queue.vectors(["a"]))
    await asyncio.sleep(0.01)
    encoder.let_go()
    assert (await first)[0] is (await second)[0]
    assert encoder.calls == [["a"]]


async def test_one_that_gives_up_leaves_the_vector_to_the_other(encoder, executor):
    queue = EncodingQueue(encoder, executor)
    first = await ask(queue, encoder, "a", calls=1)
    second = asyncio.create_task(queue.vectors(["a"]))
    await asyncio.sleep(0.01)
    first.cancel()
    encoder.let_go()
    assert (await second)[0][0] == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_nobody_waits_for_any_more_is_not_encoded(encoder, executor):
    queue = EncodingQueue(encoder, executor)
    first = await ask(queue, encoder, "a", calls=1)
    left, stayed = asyncio.create_task(queue.vectors(["bb"])), asyncio.create_task(queue.vectors(["ccc"]))
    await asyncio.sleep(0.01)
    left.cancel()
    await asyncio.sleep(0)
    encoder.let_go(2)
    await asyncio.gather(first, stayed)
    assert encoder.calls == [["a"], ["ccc"]]


async def test_a_failure_reaches_all_who_wait_and_the_next_text_is_tried_anew(encoder, executor):
    queue = EncodingQueue(encoder, executor)
    encoder.fails = RuntimeError("no more memory")
    encoder.let_go()
    with pytest.raises(RuntimeError, match="no more memory"):
        await queue.vectors(["a", "bb"])
    encoder.fails = None
    encoder.let_go()
    assert (await queue.vectors(["a"]))[0][0] == 1


async def test_a_text_that_comes_as_the_queue_runs_empty_is_encoded(encoder, executor):
    """The moment between the last batch and the end of its task must lose nothing."""
    queue = EncodingQueue(encoder, executor)
    encoder.let_go(200)
    for number in range(100):
        await asyncio.wait_for(asyncio.gather(queue.vectors([f"a{number}"]), queue.vectors([f"b{number}"])), 5)


async def test_vectors_are_read_only_copies(encoder, executor):
    queue = EncodingQueue(encoder, executor)
    encoder.let_go()
    (vector,) = await queue.vectors(["a"])
    assert not vector.flags.writeable
    assert vector.base is None


class Clock:
    """Each look at it is so much later than the one before."""

    def __init__(self, step_s):
        self.now, self.step_s = 0.0, step_s

    def __call__(self):
        self.now += self.step_s
        return self.now


async def test_a_text_that_would_wait_too_long_is_refused_at_once(encoder, executor):
    queue = EncodingQueue(encoder, executor, batch=1, within_s=60.0, clock=ClockOf(Clock(25.0)))
    encoder.let_go()
    await queue.vectors(["a"])  # a text takes 25 seconds
    waiting = [await ask(queue, encoder, "bb", calls=2)]
    for text in ("c", "d", "e"):
        waiting.append(asyncio.create_task(queue.vectors([text])))
        await asyncio.sleep(0)
    assert queue.expected_s == 75.0
    with pytest.raises(OverloadedError):
        await queue.vectors(["f"])
    encoder.let_go(4)
    await asyncio.gather(*waiting)
    assert queue.expected_s == 0.0
    encoder.let_go()
    await queue.vectors(["f"])


async def test_a_text_whose_time_runs_out_in_the_queue_is_refused_and_not_encoded(encoder, executor):
    queue = EncodingQueue(encoder, executor, batch=1, within_s=0.05)
    first = await ask(queue, encoder, "a", calls=1)
    with pytest.raises(OverloadedError):
        await queue.vectors(["bb"])
    with pytest.raises(OverloadedError):
        await first
    encoder.let_go(2)
    await queue.vectors(["ccc"])
    assert ["bb"] not in encoder.calls
