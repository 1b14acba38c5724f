"""`python -m tests.benchmarks [name …] [--quick] [--json]`: run benchmarks, print them, keep their results as JSON."""

import argparse
import logging
import sys
import time
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from tests.benchmarks.cases.context import Context
from tests.benchmarks.registry import BENCHMARKS
from tests.benchmarks.report.machine import load_average, machine
from tests.benchmarks.systems.prepared import prepare

_RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Exit status 0 where every goal was met, 2 where something that a benchmark needs is not here, else 1."""
    names = ", ".join(BENCHMARKS)
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of: {names}; none: all")
    parser.add_argument("--quick", action="store_true", help="a part of the catalogue and short runs: to see it work")
    parser.add_argument("--json", action="store_true", help="print the results as JSON, progress to standard error")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {names}")
    # Our own processes' logs are kept in their folders; what runs in this one tells its figures, no more.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        results, missing = run(options.names or list(BENCHMARKS), quick=options.quick)
    if options.json:
        print(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode())
    for sentence in missing:
        print(sentence, file=sys.stderr)
    return 2 if missing else int(any(not goal["met"] for result in results for goal in result["goals"]))


def run(names: list[str], *, quick: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Run them one after the other; each result is kept as soon as it is there. With what is missing for some of them."""
    context = Context(prepare(quick=quick), quick)
    here = machine()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB; {context.prepared.catalogue.name}")
    results: list[dict[str, Any]] = []
    missing: dict[str, list[str]] = {}
    for name in names:
        busy, started = load_average(), time.perf_counter()
        print(f"\n{name}", flush=True)
        try:
            outcome = BENCHMARKS[name](context)
        except (pytest.skip.Exception, pytest.fail.Exception) as error:  # how the tests' servers say what they lack
            missing.setdefault(str(error), []).append(name)
            print(f"  not run: {error}", flush=True)
            continue
        seconds = round(time.perf_counter() - started, 1)
        result = {
            **outcome.as_json(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": seconds,
            "quick": quick,
            "catalogue": context.prepared.catalogue.name,
            "load_average_before": busy,
            "machine": here,
        }
        _keep(result)
        results.append(result)
        print(f"  ({seconds} s; load average before: {busy})", flush=True)
    return results, [f"{', '.join(names)} not run: {sentence}" for sentence, names in missing.items()]


def _keep(result: dict[str, Any]) -> None:
    _RESULTS.mkdir(parents=True, exist_ok=True)
    quick = "-quick" if result["quick"] else ""
    stamp = result["at"].replace(":", "").split("+")[0]
    (_RESULTS / f"{result['name']}{quick}-{stamp}.json").write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    sys.exit(main())
