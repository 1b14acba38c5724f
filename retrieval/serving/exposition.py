"""Metrics for one worker or for several behind one port.

Several workers share a port, and a scrape reaches any of them. Then `PROMETHEUS_MULTIPROC_DIR` names a folder in which
each worker keeps its values in files, and whichever is scraped adds them all up (who starts the workers sets it).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

MULTIPROCESS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


def exposition(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus scrapes: this worker's, or all workers' added up."""
    folder = os.environ.get(MULTIPROCESS_FOLDER)
    if not folder:
        return generate_latest(registry)
    _forget_dead_workers(Path(folder))
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody, path=folder)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    return generate_latest(everybody)


def _forget_dead_workers(folder: Path) -> None:
    """Drop the live gauges of workers that are gone; their counters stay, so that no count goes back."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]  # as above
