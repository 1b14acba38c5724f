"""`ferroflux probe`: how long a change takes to be searchable, now, on the running system."""

import asyncio
import re
import socket
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ferroflux.cli.options import DataDirOption, JsonOption, KeyOption, SendToOption, TopicOption, UrlOption
from ferroflux.cli.use.ingest import live_target
from ferroflux.http_client import api_key, locate
from ferroflux.ingest.targets import ChangeTarget, HttpTarget
from ferroflux.operations.probe import STAGES, Passage, Prober, UnseenError, summarise
from runtime.observability.logs import configure_quiet_logging
from schemas.api.status import Percentiles
from schemas.errors import ConfigurationError

app = typer.Typer()

EXIT_TOO_SLOW: Final = 1

_HELP: Final = """Measure freshness: change a synthetic product, wait until the API shows it, again and again.

The product belongs to the reserved tenant `ferroflux-probe`, which no other tenant can see or list, and is deleted at
the end. Stages: **log** (from the change to Kafka), **index** (to the vector index), **commit** (to the text replica),
**visible** (to the first answer), **total**. With `--fail-above` it exits with 1 where the total's percentile is
above, or where a change was never seen: a check for a monitor.

**Examples**

    ferroflux probe

    ferroflux probe --count 50 --fail-above 1s --quantile p99

    ferroflux probe --kafka broker:9092 --url https://search.example.com --text --json
"""

_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*(ms|s|m)?")
_MILLISECONDS: Final = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, None: 1_000.0}


@app.command(help=_HELP)
def probe(
    *,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Changes to make.")] = 20,
    interval: Annotated[float, typer.Option(min=0, help="Seconds between the end of one and the next.")] = 0.2,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until a change counts as unseen.")] = 30.0,
    fail_above: Annotated[str, typer.Option(help="Exit with 1 above this: `1s`, `600ms`.", show_default=False)] = "",
    quantile: Annotated[str, typer.Option(help="Which percentile --fail-above judges: p50, p95 or p99.")] = "p99",
    text: Annotated[
        bool, typer.Option("--text", help="Change the title, which costs inference, instead of the price.")
    ] = False,
    sku: Annotated[
        str, typer.Option(help="The synthetic product. Default: one of this machine.", show_default=False)
    ] = "",
    kafka: SendToOption = "",
    topic: TopicOption = "",
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Measure freshness on the running system."""
    configure_quiet_logging()
    limit_ms = milliseconds(fail_above) if fail_above else None
    if quantile not in Percentiles.model_fields or quantile == "samples":
        raise ConfigurationError(f"--quantile {quantile!r} is none of p50, p95, p99")
    base, access = locate(url, data_dir), api_key(key)
    target: ChangeTarget = live_target(kafka, topic) if kafka else HttpTarget(base, api_key=access)
    prober = Prober(target, base, api_key=access, sku=sku or f"probe-{socket.gethostname()}"[:200], timeout_s=timeout)
    console = Console()
    show = None if as_json else lambda number, passage: console.print(line(number, passage), highlight=False)
    passages, unseen = asyncio.run(_measure(prober, count, interval, show, text=text))
    summary = summarise(passages)
    total = getattr(summary["total"], quantile) if "total" in summary else None
    too_slow = bool(unseen) or (limit_ms is not None and (total is None or total > limit_ms))
    if as_json:
        print(orjson.dumps(_as_json(summary, unseen, limit_ms, passed=not too_slow)).decode())
    else:
        _show(console, summary, unseen)
        if limit_ms is not None and total is not None:
            verdict = "[red]above[/]" if total > limit_ms else "[green]within[/]"
            console.print(f"{quantile} {total:.0f} ms: {verdict} {limit_ms:.0f} ms", highlight=False)
    if too_slow:
        raise typer.Exit(EXIT_TOO_SLOW)


def milliseconds(duration: str) -> float:
    """`600ms`, `1s`, `0.5m`; a bare number is seconds.

    Raises:
        ConfigurationError: it is no duration.
    """
    found = _DURATION.fullmatch(duration.strip())
    if found is None:
        raise ConfigurationError(f"{duration!r} is no duration: write 600ms, 1s or 0.5m")
    return float(found[1]) * _MILLISECONDS[found[2]]


def line(number: int, passage: Passage) -> str:
    """One change for a reader: `  3  log 4 · index 21 · commit 18 · visible 9 · total 52 ms`."""
    stages = passage.stages_ms()
    return f"{number:>4}  " + " · ".join(f"{stage} {stages[stage]:.0f}" for stage in STAGES if stage in stages) + " ms"


async def _measure(prober: Prober, count: int, interval: float, show: Any, *, text: bool) -> tuple[list[Passage], int]:
    passages: list[Passage] = []
    unseen = 0
    async with prober:
        # The product must be there before its price can show, and connections open: not counted.
        await prober.change_text()
        for number in range(1, count + 1):
            await asyncio.sleep(interval)
            try:
                passage = await (prober.change_text() if text else prober.change_price())
            except UnseenError as error:
                unseen += 1
                if show:
                    print(f"{number:>4}  {error}")
                continue
            passages.append(passage)
            if show:
                show(number, passage)
    return passages, unseen


def _show(console: Console, summary: dict[str, Percentiles], unseen: int) -> None:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("stage, ms")
    for heading in ("p50", "p95", "p99"):
        table.add_column(heading, justify="right")
    for stage, measured in summary.items():
        table.add_row(stage, f"{measured.p50:.1f}", f"{measured.p95:.1f}", f"{measured.p99:.1f}")
    console.print(table)
    if unseen:
        console.print(f"[red]{unseen} changes were never seen[/]", highlight=False)


def _as_json(summary: dict[str, Percentiles], unseen: int, limit_ms: float | None, *, passed: bool) -> dict[str, Any]:
    stages = {stage: measured.model_dump() for stage, measured in summary.items()}
    return {"stages_ms": stages, "unseen": unseen, "fail_above_ms": limit_ms, "passed": passed}
