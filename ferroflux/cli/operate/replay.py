"""`ferroflux replay`: a stretch of the change log, taken in again."""

from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console

from ferroflux.cli.operate.installation import GenerationOption, Installation
from ferroflux.cli.options import JsonOption, moment_us, shown, with_options
from ferroflux.cli.output import FractionProgress
from ferroflux.operations.port import Replay
from indexer.replay.replayer import digest_of
from runtime.observability.logs import configure_quiet_logging

app = typer.Typer()

_HELP: Final = """Take a stretch of the change log in again, through the same guard as live changes.

It cannot go backwards: an event that is older than what is stored is counted as stale and changes nothing. It reads with
a consumer of its own and touches no group's offsets. Without `--yes` it only counts, and compares with what is stored.
An interrupted replay goes on where it stopped when the same command is given again.

**Examples**

    ferroflux replay --since 2h

    ferroflux replay --tenant my-shop --facet price --since 2026-11-20 --until 2026-11-21 --yes

    ferroflux replay --kafka kafka:9092 --offsets 3:1042-2000 --rate 500 --yes
"""


@app.command(help=_HELP)
@with_options
def replay(
    *,
    since: Annotated[str, typer.Option(help="Logged since: 2h (ago), or 2026-11-20T10:00.", show_default=False)] = "",
    until: Annotated[str, typer.Option(help="Logged before.", show_default=False)] = "",
    offsets: Annotated[
        list[str] | None, typer.Option(help="[topic/]partition:first[-last]. May be repeated; with --kafka.")
    ] = None,
    partition: Annotated[list[int] | None, typer.Option(help="Only this partition. May be repeated.")] = None,
    tenant: Annotated[str, typer.Option(help="Only this tenant.", show_default=False)] = "",
    sku: Annotated[list[str] | None, typer.Option(help="Only this product. May be repeated.")] = None,
    facet: Annotated[list[str] | None, typer.Option(help="Only this facet: item, price, stock:branch-2.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only count.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Most records a second.", show_default=False)] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an interrupted run of the same command.")] = False,
    generation: GenerationOption = "",
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Take a stretch of the change log in again."""
    configure_quiet_logging()
    raw: dict[str, Any] = {
        "since_ms": moment_us(since) // 1000 if since else 0,
        "until_ms": moment_us(until) // 1000 if until else 0,
        "offsets": offsets or [],
        "partitions": partition or [],
        "tenant": tenant,
        "skus": sku or [],
        "facets": facet or [],
    }
    # In the words in which it was asked: "the last two hours" is another stretch of the log whenever it is said.
    words = digest_of({**raw, "since_ms": since, "until_ms": until})
    asked = Replay.of(**raw, asked=words, restart=restart, apply=yes, records_per_s=rate)
    with FractionProgress(Console(stderr=True), "replaying" if yes else "counting") as bar:
        counts = installation.run(
            lambda ops: ops.replay(
                asked, lambda told: bar.update(told.get("fraction", 0.0), f"{told.get('read', 0):,} records")
            ),
            generation=generation,
        )
    if as_json:
        print(orjson.dumps(counts, option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(counts, applied=yes)


def _tell(counts: dict[str, Any], *, applied: bool) -> None:
    if counts.get("interrupted_us"):
        stopped = shown(counts["interrupted_us"])
        print(
            f"went on where the same command stopped at {stopped} UTC, with what it meant then; --restart begins anew"
        )
    print(f"{counts['read']:,} records read, {counts['selected']:,} selected, {counts['poison']:,} of them poison")
    print(f"{counts['events']:,} events of {counts['products']:,} products")
    for what in ("by_tenant", "by_facet"):
        for name, count in sorted(counts[what].items(), key=lambda pair: -pair[1])[:20]:
            print(f"  {name:<30} {count:>10,}")
    verb = "" if applied else "would be "
    print(
        f"{counts['applied']:,} {verb}applied, {counts['duplicates']:,} {verb}found merged already, "
        f"{counts['stale']:,} {verb}dropped as older than what is stored"
    )
    if not applied:
        print("nothing was changed; add --yes to do it")
