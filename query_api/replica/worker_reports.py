"""What search workers tell the replica beside them: which generation they answer from, and what keeps them from others.

Each worker has a small file in a folder that it shares with the replica, and renews it every second; the replica passes them on
to whoever decides on a promotion. One that is not renewed any more is of a worker that ended.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from runtime.files import atomic_write
from schemas.records.generations import WorkerReport

REPORT_EVERY_S: Final = 1.0
GONE_AFTER_US: Final = 10_000_000


class WorkerReports:
    """The files in the folder that a replica and its workers share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"{os.getpid()}-{secrets.token_hex(3)}"
        """This process's own: processes of several containers may share a folder and a number."""

    def write(self, report: WorkerReport) -> None:
        """Replace our file, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self._folder / f"{self.name}.json", report.model_dump_json().encode(), durable=False)

    def withdraw(self) -> None:
        """The worker ends."""
        (self._folder / f"{self.name}.json").unlink(missing_ok=True)

    def read(self, now_us: int) -> tuple[WorkerReport, ...]:
        """The reports of workers that live; files of those that ended are removed."""
        found = []
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            try:
                report = WorkerReport.model_validate_json(path.read_bytes())
            except (FileNotFoundError, ValidationError):
                continue
            if now_us - report.written_us > GONE_AFTER_US:
                path.unlink(missing_ok=True)
            else:
                found.append(report)
        return tuple(found)
