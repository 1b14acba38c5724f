"""Findings about what only tests and training need: Java, Maven, PostgreSQL, torch."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferroflux.cli.doctor.finding import Finding, Health


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, what it is for, and how to get it. `folders` are looked into beside PATH."""

    name: str
    program: str
    purpose: str
    remedy: str
    folders: tuple[str, ...] = ()


TOOLS: Final = (
    Tool("Java", "java", "the integration tests' Apache Kafka", "apt install openjdk-17-jre-headless, or a JDK of 17 or newer"),
    Tool("Maven", "mvn", "fetching Kafka's and Debezium's jars (`make test`)", "apt install maven"),
    Tool(
        "PostgreSQL",
        "pg_ctl",
        "the end-to-end tests with Debezium",
        "apt install postgresql",
        ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin"),
    ),
)  # fmt: skip


def tools() -> list[Finding]:
    """Each tool, found or optional."""
    return [*map(_tool, TOOLS), _torch()]


def _tool(tool: Tool) -> Finding:
    path = shutil.which(tool.program) or _in_folders(tool)
    if path:
        return Finding(tool.name, Health.GOOD, path)
    return Finding(tool.name, Health.OPTIONAL, f"not found; needed for {tool.purpose}", tool.remedy)


def _in_folders(tool: Tool) -> str:
    for pattern in tool.folders:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (program := folder / tool.program).exists():
                return str(program)
    return ""


def _torch() -> Finding:
    if importlib.util.find_spec("torch"):
        return Finding("torch", Health.GOOD, "installed; used for training only")
    return Finding(
        "torch", Health.OPTIONAL, "not installed; needed for training only", "pip install 'ferroflux[training]'"
    )
