"""What the figures were measured on: processor, memory, versions, and how busy the machine was with other things."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from retrieval.encoders.settings import available_cpus
from tests.support.data import ROOT

_LIBRARIES = (
    "aiokafka",
    "faststream",
    "qdrant-client",
    "qdrant-edge-py",
    "tantivy",
    "onnxruntime",
    "numpy",
    "rank-bm25",
)


def machine() -> dict[str, Any]:
    """The machine and the software, as plain JSON."""
    return {
        "processor": _processor(),
        "cores": available_cpus(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "commit": _commit(),
    }


def load_average() -> float:
    """Runnable processes over the last minute: above the number of cores, a result is disturbed by others."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
