"""`retry`: what is worth another try gets one, after the policy's rest, and everything else comes through."""

import random

import pytest

from runtime.retry import Backoff, BackoffPolicy, retry
from schemas.errors import InvalidEventError, LogUnavailableError, NotReadyError

POLICY = BackoffPolicy(base_s=1.0, cap_s=4.0)


class Flaky:
    """Raises its errors one after the other, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls, self.rests = list(errors), 0, []

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)

    async def retried(self, **options) -> str:
        backoff = options.pop("backoff", None) or Backoff(POLICY, random.Random(1))
        return await retry(self, "it is away", backoff=backoff, sleep=self.sleep, **options)


async def test_it_is_tried_until_it_succeeds_with_rests_of_the_policy():
    work = Flaky(*[LogUnavailableError()] * 5)
    assert await work.retried() == "done"
    rng = random.Random(1)
    assert work.rests == [POLICY.delay(failures, rng) for failures in range(1, 6)]


async def test_the_last_attempts_error_comes_through_without_a_rest():
    work = Flaky(*[LogUnavailableError()] * 5)
    with pytest.raises(LogUnavailableError):
        await work.retried(attempts=3)
    assert (work.calls, len(work.rests)) == (3, 2)


@pytest.mark.parametrize("error", [InvalidEventError("poison"), NotReadyError("another kind"), ValueError("a defect")])
async def test_what_is_not_worth_another_try_comes_through_at_once(error):
    work = Flaky(error)
    with pytest.raises(type(error)):
        await work.retried()
    assert work.rests == []


async def test_the_caller_says_which_errors_are_worth_it_and_hears_of_each():
    work, heard = Flaky(NotReadyError("not yet"), NotReadyError("nor now")), []
    await work.retried(errors=NotReadyError, failed=lambda error, rest_s: heard.append((str(error), rest_s)))
    assert heard == list(zip(["not yet", "nor now"], work.rests, strict=True))


async def test_work_that_got_somewhere_begins_anew():
    backoff = Backoff(POLICY)
    backoff.failures = 7
    work = Flaky(LogUnavailableError())

    async def lives_a_while() -> str:
        backoff.reset()
        return await work()

    await retry(lives_a_while, "it is away", backoff=backoff, sleep=work.sleep)
    assert work.rests[0] <= 2.0
