"""Somebody at the installation's machine, who types commands."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.data import ROOT


class Operator:
    """Types commands on the installation's machine; what they print and their exit status."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}

    async def types(self, line: str, *, status: int = 0) -> str:
        """Run one command to its end, as a process of its own."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.stack.process", "cli", *line.split()),
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        said = printed.decode()
        assert process.returncode == status, f"ferroflux {line}: {process.returncode}\n{said}"
        return said
