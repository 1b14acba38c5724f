"""`ferroflux status`: how a running system is."""

from typing import Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ferroflux.cli.options import JsonOption, Server, with_options

app = typer.Typer()

EXIT_NOT_READY: Final = 1

_STAGES: Final = ("log", "index", "commit", "visible")

_HELP: Final = """Show counts by tenant, embedding coverage, replica lag and measured freshness of a running system.

Exits with 1 where the system is not ready, so a script can wait for it.

**Examples**

    ferroflux status

    ferroflux status --url https://search.example.com --json
"""


@app.command(help=_HELP)
@with_options
def status(
    *,
    server: Server,
    as_json: JsonOption = False,
) -> None:
    """Show how a running system is."""
    with server.client() as client:
        answer = client.get("/v1/status")
    if as_json:
        print(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(Console(), client.url, answer)
    if not answer["ready"]:
        raise typer.Exit(EXIT_NOT_READY)


def _show(console: Console, base: str, answer: dict[str, Any]) -> None:
    console.print(
        f"[bold]{base}[/]  {'[green]ready[/]' if answer['ready'] else '[yellow]not ready[/]'}", highlight=False
    )
    for part, reason in answer["waiting_for"].items():
        console.print(f"  waiting for {part}: {reason}", highlight=False, markup=False)
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in rows(answer):
        table.add_row(name, value)
    console.print(table)


def rows(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of the readable report."""
    lines: list[tuple[str, str]] = []
    if catalogue := answer.get("catalogue"):
        lines.append(("products", f"{catalogue['documents']:,} ({catalogue['deleted']:,} deleted)"))
        lines += [(f"  {name}", f"{count:,}") for name, count in sorted(catalogue["by_tenant"].items())]
        lines.append(("with vector", _coverage(catalogue["embedding"])))
        lines.append(("with picture", _coverage(catalogue["images"])))
    if replica := answer.get("replica"):
        heartbeat = ", the tailer does not report" if replica["stale"] else ""
        lines.append(("replica lag", f"{replica['lag']:,} records{heartbeat}"))
    if encoder := answer.get("encoder"):
        lines.append(
            ("model", f"{encoder['model']} ({encoder['dimension']} dimensions, revision {encoder['revision']})")
        )
    freshness = answer["freshness"]
    for name, label in (("changed_to_visible_ms", "change → visible"), ("logged_to_visible_ms", "log → visible")):
        if measured := freshness.get(name):
            quantiles = ", ".join(f"{name} {measured[name]:.0f} ms" for name in ("p50", "p95", "p99"))
            lines.append((label, f"{quantiles} ({measured['samples']} changes in {freshness['window_s']:.0f} s)"))
    stages = freshness.get("stages", {})
    medians = [f"{name} {stages[f'{name}_ms']['p50']:.0f}" for name in _STAGES if stages.get(f"{name}_ms")]
    if medians:
        lines.append(("  by stage, p50", f"{', '.join(medians)} ms"))
    return lines


def _coverage(coverage: dict[str, Any]) -> str:
    return f"{coverage['products']:,} ({coverage['share']:.0%})".replace("%", " %")
