"""The time budget: best first, as far as it goes, never late, and a failure that takes nothing away."""

import asyncio
import threading
import time

import numpy as np

from retrieval.rerank.port import RerankerRevision, RerankSettings
from retrieval.rerank.timed import TimedReranker
from tests.support.clock import ClockOf


class Clock:
    """A clock that the reranker moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class CostlyReranker:
    """Takes so many seconds a passage on the clock, and gives each the score that it ends with."""

    revision = RerankerRevision("costly", "none", 0, "test")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.batches: list[int] = []

    def score(self, _query, passages):
        self.batches.append(len(passages))
        self.clock.now += self.seconds * len(passages)
        return np.array([float(passage.rsplit(maxsplit=1)[-1]) for passage in passages], np.float32)


PASSAGES = [f"passage {number:02}" for number in range(20)]


def timed(clock, seconds, **settings):
    reranker = CostlyReranker(clock, seconds)
    return TimedReranker(reranker, RerankSettings(**settings), clock=ClockOf(clock)), reranker


async def test_everything_is_scored_in_batches_where_there_is_time():
    clock = Clock()
    stage, reranker = timed(clock, 0.001, batch_size=8, budget_ms=1000)
    scored = await stage.score("q", PASSAGES)
    assert scored.scores == tuple(map(float, range(20)))
    assert reranker.batches == [8, 8, 4]
    assert (scored.failed, round(scored.milliseconds)) == (False, 20)
    stage.close()


async def test_what_will_not_be_done_in_time_is_not_begun():
    clock = Clock()
    stage, reranker = timed(clock, 0.010, batch_size=4, budget_ms=100)
    scored = await stage.score("q", PASSAGES)
    assert scored.scores == tuple(map(float, range(len(scored.scores))))
    assert 8 <= len(scored.scores) <= 10
    assert clock.now <= 0.1 + 1e-9
    # The cost is known now: the next search begins with what fits, and is not late either.
    before = clock.now
    again = await stage.score("q", PASSAGES)
    assert 8 <= len(again.scores) <= 10
    assert clock.now - before <= 0.1 + 1e-9
    assert reranker.batches[0] == 4
    stage.close()


async def test_a_budget_below_one_passage_scores_nothing_once_the_cost_is_known():
    clock = Clock()
    stage, reranker = timed(clock, 1.0, batch_size=1, budget_ms=100)
    assert len((await stage.score("q", PASSAGES)).scores) == 1
    assert (await stage.score("q", PASSAGES)).scores == ()
    assert reranker.batches == [1]
    stage.close()


async def test_a_batch_that_hangs_is_left_behind():
    going = threading.Event()

    class Hanging(CostlyReranker):
        def score(self, query, passages):
            if self.batches:
                going.wait(10)
            return super().score(query, passages)

    stage = TimedReranker(Hanging(Clock(), 0.0), RerankSettings(batch_size=4, budget_ms=50))
    began = time.monotonic()
    scored = await stage.score("q", PASSAGES)
    assert scored.scores == (0.0, 1.0, 2.0, 3.0)
    assert time.monotonic() - began < 5
    going.set()
    stage.close()


async def test_waiting_for_the_thread_counts():
    going = threading.Event()

    class Hanging(CostlyReranker):
        def score(self, query, passages):
            going.wait(10)
            return super().score(query, passages)

    stage = TimedReranker(Hanging(Clock(), 0.0), RerankSettings(budget_ms=60, at_once=1))
    first, second = await asyncio.gather(stage.score("a", PASSAGES), stage.score("b", PASSAGES))
    assert (first.scores, second.scores) == ((), ())
    assert not first.failed
    going.set()
    stage.close()


async def test_a_reranker_that_fails_is_reported_and_what_it_gave_stays():
    class Failing(CostlyReranker):
        def score(self, query, passages):
            if self.batches:
                raise ValueError("defect")
            return super().score(query, passages)

    stage = TimedReranker(Failing(Clock(), 0.0), RerankSettings(batch_size=4, budget_ms=5000))
    scored = await stage.score("q", PASSAGES)
    assert (scored.failed, len(scored.scores)) == (True, 4)
    stage.close()
