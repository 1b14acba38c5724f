"""Many schedules in several processes. (A module of its own: a spawned process cannot import from a `__main__`.)"""

import logging
import multiprocessing
import time
from collections.abc import Sequence
from functools import partial

import structlog

from tests.sim.guards import Guards
from tests.sim.outcome import Outcome
from tests.sim.schedule import run_schedule


def run_many(seeds: Sequence[int], guards: Guards, jobs: int) -> list[Outcome]:
    """Run schedules in `jobs` processes, telling failures and progress as they come; returns the failed ones, in order."""
    failed: list[Outcome] = []
    started = said = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=be_quiet) as pool:
        for done, outcome in enumerate(pool.imap(partial(_run_one, guards=guards), seeds, chunksize=20), start=1):
            if outcome.failures:
                failed.append(outcome)
                print(f"seed {outcome.seed}: {'; '.join(outcome.failures)}", flush=True)
            if time.monotonic() - said > 10:
                said = time.monotonic()
                print(f"{done} of {len(seeds)} in {said - started:.0f} s, {len(failed)} failures", flush=True)
    return failed


def _run_one(seed: int, guards: Guards) -> Outcome:
    outcome = run_schedule(seed, guards)
    return outcome if outcome.failures else Outcome(seed, ())


def be_quiet() -> None:
    """The trace tells what happened; the production classes' own log lines would drown it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
