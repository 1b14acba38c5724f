"""Admission in a simulated server: demand below, above and far above what it can do, and a capacity that falls and returns.

Two cores and one queue; service times are drawn, arrivals are a Poisson process, time is simulated: seconds of load are
milliseconds of test.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from runtime.admission.bounds import Admission, Bound, Place

_CORES = 2
_SERVICE_S = 0.032
_CAPACITY = _CORES / _SERVICE_S  # 62.5 a second
_WITHIN_S = 0.2


@dataclass
class Answers:
    stays: list[tuple[float, float]] = field(default_factory=list)
    """When it was answered, and after how long."""
    asked: int = 0
    refused: int = 0
    limits: list[tuple[float, float]] = field(default_factory=list)

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= at < end for at, _ in self.stays) / (end - begin)

    def p95(self, begin: float, end: float) -> float:
        ordered = sorted(stay for at, stay in self.stays if begin <= at < end)
        return ordered[int(0.95 * len(ordered))]


def simulate(
    demand: Callable[[float], float], *, seconds: float, slower: Callable[[float], float] = lambda _: 1.0, seed: int = 1
) -> Answers:
    """`demand` is requests a second at a time, `slower` the factor on service times then."""
    draw, door, answers = random.Random(seed), Admission(Bound(most=128, within_s=_WITHIN_S)), Answers()
    waiting: deque[Place] = deque()
    busy: list[tuple[float, int, Place]] = []
    now, number = 0.0, 0
    arrival = draw.expovariate(demand(0.0))
    while now < seconds:
        if busy and busy[0][0] <= arrival:
            now, _, place = heapq.heappop(busy)
            door.leave(place, now)
            answers.stays.append((now, now - place.entered))
        else:
            now = arrival
            arrival = now + draw.expovariate(demand(now))
            answers.asked += 1
            answers.limits.append((now, door.limit))
            if isinstance(place := door.enter("norte", now), Place):
                waiting.append(place)
            else:
                answers.refused += 1
        while waiting and len(busy) < _CORES:
            number += 1
            service = draw.gammavariate(4, _SERVICE_S / 4) * slower(now)
            heapq.heappush(busy, (now + service, number, waiting.popleft()))
    return answers


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [1.2, 3.0, 20.0])
def test_above_capacity_as_many_are_answered_as_at_capacity_and_in_time(factor, seed):
    answers = simulate(lambda _: factor * _CAPACITY, seconds=12, seed=seed)
    assert answers.rate(2, 12) >= 0.93 * _CAPACITY
    assert answers.p95(2, 12) <= 0.4
    assert answers.refused >= 0.7 * (1 - 1 / factor) * answers.asked


@pytest.mark.parametrize("seed", range(4))
def test_below_capacity_hardly_anybody_is_refused(seed):
    answers = simulate(lambda _: 0.5 * _CAPACITY, seconds=30, seed=seed)
    assert answers.refused <= 0.002 * answers.asked
    assert answers.p95(0, 30) <= 0.15


@pytest.mark.parametrize("seed", range(4))
def test_a_surge_after_a_quiet_time_is_answered_in_time(seed):
    answers = simulate(lambda now: 2.0 if now < 20 else 3 * _CAPACITY, seconds=25, seed=seed)
    assert answers.p95(20, 25) <= 0.4
    assert answers.rate(21, 25) >= 0.9 * _CAPACITY


@pytest.mark.parametrize("seed", range(4))
def test_half_the_capacity_and_its_return_are_followed_within_two_seconds(seed):
    answers = simulate(
        lambda _: 2 * _CAPACITY, seconds=30, slower=lambda now: 2.0 if 10 <= now < 20 else 1.0, seed=seed
    )
    assert answers.rate(12, 20) >= 0.9 * _CAPACITY / 2
    assert answers.p95(12, 20) <= 0.4
    assert answers.rate(22, 30) >= 0.92 * _CAPACITY
    assert answers.p95(22, 30) <= 0.4


@pytest.mark.parametrize("seed", range(4))
def test_a_server_that_stood_still_answers_as_before_two_seconds_later(seed):
    answers = simulate(
        lambda _: 1.2 * _CAPACITY, seconds=20, slower=lambda now: 90.0 if 10 <= now < 10.1 else 1.0, seed=seed
    )
    assert answers.rate(15, 20) >= 0.85 * _CAPACITY
    assert answers.p95(15, 20) <= 0.4
