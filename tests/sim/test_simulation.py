"""A few hundred schedules in every test run; `make test-sim N=10000` runs as many as you like."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.sim.guards import Guards
from tests.sim.schedule import of_embedded, run_schedule

SCHEDULES = 320
CHUNKS = 8


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_fails_store_topic_and_replicas_end_as_the_merge_of_all_events(chunk: int) -> None:
    for seed in range(chunk, SCHEDULES, CHUNKS):
        outcome = run_schedule(seed)
        assert not outcome.failures, f"make test-sim SEED={seed}\n{outcome.report()}"


@pytest.mark.parametrize("seed", [11, 13])
def test_a_seed_is_one_run(seed: int) -> None:
    assert run_schedule(seed).trace == run_schedule(seed).trace


@pytest.mark.parametrize(
    ("removed", "within", "seen"),
    [
        (["item_awaited"], 100, 0),
        (["compare_and_set"], 100, 25),
        (["token"], 100, 14),
        (["tombstone"], 100, 0),
        (["version"], 100, 0),
        (["publish_lock"], 100, 4),
        (["checkpoint"], 1200, 98),
        (["replica_revision"], 300, 1),
        (["replica_isolated"], 50, 0),
        (["ledger"], 400, 0),
        (["letters_again"], 200, 52),
        (["verifier"], 400, 46),
        (["fence", "verifier"], 400, 9),
        (["give_back"], 400, 22),
        (["lane_epoch"], 200, 37),
        (["diverted_first"], 400, 98),
        (["isolated"], 100, 0),
        (["refusals_named"], 100, 0),
        (["shortened"], 200, 10),
        (["collect_guard"], 800, 98),
        (["replay_window"], 100, 8),
        (["restarted"], 100, 0),
        (["max_ahead"], 100, 29),
        (["log_time"], 100, 21),
        (["source_epochs"], 100, 21),
        (["since"], 100, 21),
        (["sources_known"], 400, 98),
        (["collection_compared"], 400, 41),
        (["topic_compared"], 600, 98),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_the_harness_finds_what_a_removed_guard_lets_through(removed: list[str], within: int, seen: int) -> None:
    assert_found(removed, [seen, *(seed for seed in range(within) if not of_embedded(seed))])


@pytest.mark.parametrize(
    ("removed", "within", "seen"),
    [
        ("item_awaited", 100, 11),
        ("journal", 100, 19),
        ("watermark_last", 800, 675),
        ("void_watermarks", 100, 3),
        ("voided_durably", 200, 19),
        ("noted_until_void", 3200, 1419),
        ("compare", 400, 23),
        ("analysed_again", 400, 51),
        ("raised", 800, 231),
        ("drained", 7200, 6271),
        ("restarted", 100, 7),
        ("collection_compared", 100, 3),
    ],
)
def test_the_harness_finds_what_the_embedded_system_lacks_without_a_guard(removed: str, within: int, seen: int) -> None:
    assert_found([removed], [seen, *(seed for seed in range(within) if of_embedded(seed))])


def assert_found(removed: list[str], seeds: list[int]) -> None:
    """The first seed is one that failed when it was last looked for; where the simulation has changed since, the others are tried."""
    guards = Guards().without(*removed)
    found = next((seed for seed in seeds if run_schedule(seed, guards).failures), None)
    assert found is not None, (
        f"{len(seeds)} schedules without {removed} and not one failure: the harness is blind to it"
    )
