"""`make test-sim N=10000`: run schedules and count failures; `make test-sim SEED=7`: replay one with its trace.

`--without compare_and_set` takes a guard away (`tests/sim/guards.py` lists them), to see what it is good for.
"""

import argparse
import os
import sys

from tests.sim.guards import Guards
from tests.sim.many import be_quiet, run_many
from tests.sim.schedule import run_schedule

_SHOWN_TRACES = 3


def main() -> int:
    arguments = _parse()
    be_quiet()
    guards = Guards().without(*arguments.without)
    if arguments.seed is not None:
        outcome = run_schedule(arguments.seed, guards)
        print(outcome.report())
        print(f"seed {outcome.seed}: {'failed' if outcome.failures else 'passed'}")
        return bool(outcome.failures)
    failed = run_many(range(arguments.first, arguments.first + arguments.schedules), guards, arguments.jobs)
    for outcome in failed[:_SHOWN_TRACES]:
        print(f"\n--- seed {outcome.seed}: make test-sim SEED={outcome.seed}\n{outcome.report()}")
    if failed:
        print(f"\nfailing seeds: {' '.join(str(outcome.seed) for outcome in failed[:50])}")
    print(f"{arguments.schedules} schedules, {len(failed)} failures")
    return bool(failed)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("-n", "--schedules", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay one schedule and print its trace")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without", nargs="*", default=[], choices=Guards.__dataclass_fields__, metavar="GUARD")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
