"""One computation for all who ask within a moment."""

import asyncio

import pytest

from runtime.shared_answer import SharedAnswers
from tests.support.clock import ClockOf


class Counting:
    def __init__(self) -> None:
        self.now, self.asked, self.takes_s = 0.0, [], 0.0
        self.fails: Exception | None = None
        self.answers = SharedAnswers(self._compute, most=3, clock=ClockOf(lambda: self.now))

    async def _compute(self, key: str) -> str:
        self.asked.append(key)
        await asyncio.sleep(0)
        self.now += self.takes_s
        if self.fails:
            raise self.fails
        return f"{key}-{len(self.asked)}"


async def test_all_who_ask_while_it_runs_and_within_a_second_get_one_answer():
    counting = Counting()
    assert await asyncio.gather(*(counting.answers.get("a") for _ in range(50))) == ["a-1"] * 50
    counting.now = 0.9
    assert await counting.answers.get("a") == "a-1"
    counting.now = 1.0
    assert await counting.answers.get("a") == "a-2"


async def test_keys_never_share():
    counting = Counting()
    assert await asyncio.gather(counting.answers.get("a"), counting.answers.get("b")) == ["a-2", "b-2"]


async def test_what_is_dear_is_kept_for_longer():
    counting = Counting()
    counting.takes_s = 2.0
    assert await counting.answers.get("a") == "a-1"
    counting.now = 39.9
    assert await counting.answers.get("a") == "a-1"
    counting.now = 40.1
    assert await counting.answers.get("a") == "a-2"


async def test_a_failure_is_told_and_not_kept():
    counting = Counting()
    counting.fails = ValueError("away")
    with pytest.raises(ValueError, match="away"):
        await counting.answers.get("a")
    counting.fails = None
    assert await counting.answers.get("a") == "a-2"


async def test_one_who_goes_away_takes_the_answer_from_nobody():
    counting = Counting()
    first, second = (asyncio.create_task(counting.answers.get("a")) for _ in "ab")
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "a-1"


async def test_only_the_newest_keys_are_kept():
    counting = Counting()
    for key in "abcdabcd":
        await counting.answers.get(key)
    assert counting.asked == list("abcdabcd")
