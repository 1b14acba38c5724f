import asyncio

import pytest
from structlog.testing import capture_logs

from runtime.isolation import UNEXPECTED, Batch, DefectError, DefectLimits, Isolation, Reason, SetApart, concerns_one
from schemas.errors import (
    ConfigurationError,
    InvalidEventError,
    NotFoundError,
    PoisonError,
    StoreUnavailableError,
)


def run(isolation, things, step):
    batch: Batch = isolation.batch(len(things))
    done = []
    for thing in things:
        with batch.one(thing, name=str(thing)):
            done.append(step(thing))
    return done, batch.set_apart


def failing_on(*bad, error=ValueError):
    def step(thing):
        if thing in bad:
            raise error(f"no {thing}")
        return thing

    return step


def test_one_bad_thing_is_set_apart_and_the_rest_goes_on():
    done, apart = run(Isolation("parse"), [1, 2, 3], failing_on(2))
    assert done == [1, 3]
    assert apart == [SetApart(2, Reason(UNEXPECTED, "ValueError('no 2')"))]


def test_a_stated_rule_keeps_its_own_code_and_sentence():
    _, apart = run(Isolation("parse"), [1], failing_on(1, error=InvalidEventError))
    assert apart == [SetApart(1, Reason("invalid_event", "no 1"))]


@pytest.mark.parametrize("error", [StoreUnavailableError, ConfigurationError, NotFoundError, OSError, MemoryError])
def test_what_is_not_the_things_own_passes(error):
    with pytest.raises(error):
        run(Isolation("parse"), [1], failing_on(1, error=error))
    assert not concerns_one(error("x"))


def test_a_cancellation_passes():
    with pytest.raises(asyncio.CancelledError):
        run(Isolation("parse"), [1], failing_on(1, error=asyncio.CancelledError))


def test_an_exhausted_stack_is_the_things_own():
    assert concerns_one(RecursionError("too deep"))


def test_any_number_of_stated_faults_is_the_senders_matter():
    things = list(range(500))
    done, apart = run(Isolation("parse"), things, failing_on(*things, error=PoisonError))
    assert (done, len(apart)) == ([], 500)


def test_defects_in_a_row_are_ours_even_across_batches():
    isolation = Isolation("analyse", DefectLimits(in_a_row=5))
    for thing in range(4):
        run(isolation, [thing], failing_on(thing))
    with pytest.raises(DefectError, match=r"analyse failed on 5 in a row, the last with ValueError\('no 4'\)"):
        run(isolation, [4], failing_on(4))


def test_a_good_thing_ends_the_row():
    isolation = Isolation("analyse", DefectLimits(in_a_row=3))
    for _ in range(10):
        run(isolation, [1, 2, 3], failing_on(1, 2))


@pytest.mark.parametrize(
    ("size", "bad", "stops"),
    [(20, 10, False), (20, 11, True), (2000, 20, False), (2000, 21, True), (1, 1, False)],
)
def test_more_than_a_share_of_a_batch_is_ours(size, bad, stops):
    # Spread, so that they are not in a row.
    things = list(range(size))
    wrong = things[:: max(1, size // bad)][:bad] if bad < size // 2 else things[1 : 2 * bad : 2]
    step = failing_on(*(wrong if len(wrong) == bad else things[:bad]))
    if stops:
        with pytest.raises(DefectError, match=f"{bad} of {size}"):
            run(Isolation("analyse"), things, step)
    else:
        assert len(run(Isolation("analyse"), things, step)[1]) == bad


def test_the_message_of_a_defect_says_the_remedy():
    with pytest.raises(DefectError, match="install a version with the fix"):
        run(Isolation("analyse", DefectLimits(in_a_row=1)), [1], failing_on(1))


def test_a_detail_is_bounded():
    assert len(Reason.of(ValueError("x" * 100_000)).detail) == 1000


def test_what_is_set_apart_is_logged_by_name_and_without_what_it_holds():
    with capture_logs() as lines:
        batch: Batch = Isolation("parse").batch(1)
        with batch.one({"secret": "s3cret"}, name="topic/0@7"):
            raise InvalidEventError("no sku")
    assert lines == [
        {
            "event": "set apart", "stage": "parse", "thing": "topic/0@7", "reason": "invalid_event",
            "detail": "no sku", "log_level": "warning",
        }
    ]  # fmt: skip


async def test_steps_that_wait_are_isolated_alike():
    batch: Batch = Isolation("prune").batch(1)
    with batch.one("t1", name="t1"):
        await asyncio.sleep(0)
        raise KeyError("t1")
    assert [one.thing for one in batch.set_apart] == ["t1"]
