"""`ferroflux doctor`: the findings, and an exit code that says whether `ferroflux up` would work; `ferroflux version`, for a bug report."""

import asyncio
import json
import platform
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from ferroflux.cli.check import findings
from ferroflux.cli.check.findings import Finding, Health
from ferroflux.cli.options import DataDirOption, JsonOption
from ferroflux.data_directory import DataDirectory
from runtime.observability.logs import configure_quiet_logging
from runtime.observability.redaction import redacted

app = typer.Typer()

EXIT_PROBLEMS: Final = 1
_MARKS: Final = {Health.GOOD: "[green]✓[/]", Health.OPTIONAL: "[dim]·[/]", Health.BAD: "[red]✗[/]"}

_HELP: Final = """Say what this machine has, what it lacks, and how to get it.

Looks at Python, disk, port, data directory and models; at Kafka and Qdrant where the environment names them; and at
what only tests and training need. Exits with 1 where something is wrong; what is merely optional counts as well.

**Example**

    ferroflux doctor --port 9000
"""


@app.command(help=_HELP)
def doctor(
    *,
    data_dir: DataDirOption = None,
    host: Annotated[
        str, typer.Option(envvar="FERROFLUX_HTTP__HOST", help="Address that `up` would listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="FERROFLUX_HTTP__PORT", min=0, max=65535, help="Port that `up` would listen on.")
    ] = 8000,
    as_json: JsonOption = False,
) -> None:
    """Say what is missing, and how to get it."""
    configure_quiet_logging()
    found = examine(DataDirectory.resolve(data_dir), host, port)
    if as_json:
        print(orjson.dumps([{**asdict(finding), "health": finding.health.value} for finding in found]).decode())
    else:
        _show(Console(highlight=False), found)
    if any(finding.health is Health.BAD for finding in found):
        raise typer.Exit(EXIT_PROBLEMS)


def examine(directory: DataDirectory, host: str, port: int) -> list[Finding]:
    """All findings, in the order in which a newcomer needs them."""
    found = [
        findings.python(),
        findings.disk(directory),
        findings.data_directory(directory),
        findings.port(host, port, directory),
        *findings.models(),
        *asyncio.run(findings.configured_services()),
        *findings.tools(),
    ]
    # What is configured may hold passwords, and what is found is pasted into tickets.
    return [replace(one, detail=redacted(one.detail), remedy=redacted(one.remedy)) for one in found]


def _show(console: Console, found: list[Finding]) -> None:
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        subject, detail = escape(f"{finding.subject:<{width}}"), escape(finding.detail)
        console.print(f"{_MARKS[finding.health]} {subject}  {detail}", soft_wrap=True)
        if finding.remedy:
            console.print(f"  {'':<{width}}  [yellow]→ {escape(finding.remedy)}[/]", soft_wrap=True)
    bad = sum(finding.health is Health.BAD for finding in found)
    console.print(f"\n{f'{bad} to mend' if bad else 'Nothing to mend: `ferroflux up` will work here.'}")


_ENGINES: Final = (
    "aiokafka",
    "faststream",
    "fastapi",
    "onnxruntime",
    "polars",
    "qdrant-client",
    "qdrant-edge-py",
    "tantivy",
)


@app.command("version")
def show(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Print the version of ferroflux, of Python and of the engines."""
    versions = {
        "ferroflux": _version("ferroflux"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    versions |= {engine: _version(engine) for engine in _ENGINES}
    if as_json:
        print(json.dumps(versions))
        return
    for name, number in versions.items():
        print(f"{name:<16}{number}")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
