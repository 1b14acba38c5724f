"""Starts the load generator as a process, without letting it import what only the systems need."""

import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks.workload.generator import Load
from tests.support.data import ROOT


def send_load(load: Load) -> dict[str, Any]:
    """Run one load to its end; what `Observed` holds, as JSON.

    Raises:
        CalledProcessError: the generator failed; its reason is on standard error.
    """
    with tempfile.TemporaryDirectory(prefix="ferroflux-load-") as folder:
        result = Path(folder) / "observed.json"
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.workload.generator", str(result)],
            input=orjson.dumps(asdict(load)),
            check=True,
            cwd=ROOT,
            timeout=load.seconds + 120,
        )
        observed: dict[str, Any] = orjson.loads(result.read_bytes())
        return observed
