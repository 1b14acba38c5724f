"""`ferroflux generation build|status|compare|promote|rollback|drop`: another index beside the live one, and going over to it."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ferroflux.cli.operate.installation import Installation
from ferroflux.cli.options import JsonOption, shown, with_options
from ferroflux.cli.output import FractionProgress
from ferroflux.http_client import api_key
from ferroflux.operations.generations.judged import ApiUnderJudgement, compare_generations, figures_of
from ferroflux.operations.port import BuildBody, Json, JudgedBody
from runtime.observability.logs import configure_quiet_logging
from schemas.errors import ConfigurationError
from schemas.records.generations import Origin
from training.experiments.comparison import Comparison
from training.judgments import load_judged
from training.metrics import METRICS, NDCG_10, mean

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

_LOST_SHOWN: Final = 5

_NameArgument = Annotated[
    str, typer.Argument(help="The generation: lower-case letters, digits and dashes.", show_default=False)
]
_JudgedOption = Annotated[
    Path | None,
    typer.Option("--judged", help="Judged queries as JSON lines, as for `ferroflux eval`.", show_default=False),
]
_TenantOption = Annotated[str, typer.Option(help="The tenant of judged queries that name none.", show_default=False)]


@app.callback()
def group() -> None:
    """Build another index beside the live one (another model, another version of the text analysis) and go over to it.

    Nothing is restarted and no query fails: indexers, replicas and search workers follow one pointer. The generation
    before is kept up to date, so that a rollback takes a second, until it is dropped. With --kafka these commands work on
    a production system, with the FERROFLUX_… settings of its indexers; without, on a running `ferroflux up`.

    **Example**

        ferroflux generation build minilm --model all-MiniLM-L6-v2 --kafka kafka:9092

        ferroflux generation promote minilm --judged judged.jsonl --url http://api:8000 --kafka kafka:9092

        ferroflux generation rollback --kafka kafka:9092
    """


@app.command()
@with_options
def build(
    name: _NameArgument,
    *,
    model: Annotated[
        str, typer.Option(help="The text encoder's model; default: that of the settings.", show_default=False)
    ] = "",
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Another setting of the encoder or the collection, as NAME=VALUE: query_prompt, layers, sparse.model, vectors.quantisation. May be repeated.",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        Origin | None,
        typer.Option(
            "--from",
            help="Where to begin; default: the change log, or the documents where it no longer reaches back.",
            show_default=False,
        ),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over/--encode-all", help="Take vectors over whose text and model are the same.")
    ] = True,
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Build a generation until it follows live changes. Interrupted, the same command goes on where it stopped."""
    configure_quiet_logging()
    with FractionProgress(Console(stderr=True), f"building {name}") as bar:
        asked = BuildBody.of(
            name=name, model=model, assignments=tuple(assignments or ()), origin=origin, take_over=take_over
        )
        built = installation.run(lambda ops: ops.build(asked, lambda told: _show(bar, told)))
    if as_json:
        _print_json(built)
        return
    print(
        f"{name} is prepared after {built['seconds']:.1f} s, from {built['origin']}: {built['products']:,} products, "
        f"{built['taken_over']:,} vectors taken over, {built['embedded']:,} texts encoded"
    )
    if built["set_apart"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(built["set_apart"].items()))
        print(f"set apart: {reasons}; `ferroflux dlq list` and the log name them, and the gate counts them")
    if built["without_state"]:
        print(f"{built['without_state']:,} documents had no point: look with `ferroflux reconcile --source log`")
    print(f"it follows live changes; compare it, then: ferroflux generation promote {name} --judged FILE")


@app.command()
@with_options
def status(
    *,
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Show every generation, which is live, how far each is, and which replicas and workers are ready for it."""
    configure_quiet_logging()
    found = installation.run(lambda ops: ops.generations())
    if as_json:
        _print_json(found)
        return
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("", "generation", "stage", "products", "vectors", "behind", "model", "from"):
        table.add_column(heading)
    for one in found["generations"]:
        encoder = one.get("encoder") or {"model": "of the settings"}
        table.add_row(
            "●" if one["live"] else "○" if one["name"] == found["previous"] else "",
            one["name"],
            one["stage"],
            *(f"{one[name]:,}" if name in one else "" for name in ("products", "vectors", "lag")),
            encoder["model"],
            one.get("origin", ""),
        )
    console = Console()
    console.print(table)
    if found["moved_us"]:
        why = f", against the gate: {found['forced']}" if found["forced"] else ""
        console.print(f"{found['live']} is live since {shown(found['moved_us'])} UTC (epoch {found['epoch']}{why})")
    for replica in found["replicas"]:
        console.print(f"replica {replica['replica']}: {_readiness(replica['ready'])}")
        for worker in replica["workers"]:
            console.print(
                f"  worker {worker['worker']} answers from {worker['serving']}: {_readiness(worker['ready'])}"
            )


@app.command()
@with_options
def compare(
    name: _NameArgument,
    judged: Annotated[
        Path,
        typer.Option("--judged", help="Judged queries as JSON lines, as for `ferroflux eval`.", show_default=False),
    ],
    *,
    tenant: _TenantOption = "",
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Ask judged queries of a generation and of the live one, through the search API, and say what the gate would.

    Exit code 0: it could be promoted; 1: something speaks against it.
    """
    configure_quiet_logging()
    found = installation.run(lambda ops: ops.generations())
    comparison = _compared(name, found["live"], judged, tenant, installation)
    figures = figures_of(comparison)
    against = installation.run(lambda ops: ops.objections(name, JudgedBody.of(judged=figures.to_json())))["objections"]
    if as_json:
        _print_json({"generation": name, "live": found["live"], **figures.to_json(), "objections": against})
    else:
        _show_comparison(comparison)
        print("\n".join(f"- {objection}" for objection in against) if against else f"{name} can be promoted")
    if against:
        raise typer.Exit(1)


@app.command()
@with_options
def promote(
    name: _NameArgument,
    *,
    judged: _JudgedOption = None,
    tenant: _TenantOption = "",
    force: Annotated[
        str, typer.Option(help="Promote against the gate, for this reason, which is recorded.", show_default=False)
    ] = "",
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Make a prepared generation the live one, where the gate lets it through."""
    configure_quiet_logging()
    figures: dict[str, Any] | None = None
    if judged is not None:
        found = installation.run(lambda ops: ops.generations())
        figures = figures_of(_compared(name, found["live"], judged, tenant, installation)).to_json()
    moved = installation.run(lambda ops: ops.promote(name, JudgedBody.of(judged=figures, force=force)))
    _tell_moved(moved, as_json=as_json)


@app.command()
@with_options
def rollback(
    *,
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Make the generation before the live one again. No gate stands before it."""
    configure_quiet_logging()
    moved = installation.run(lambda ops: ops.roll_back())
    _tell_moved(moved, as_json=as_json)


@app.command()
@with_options
def drop(
    name: _NameArgument,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it: its collection, topic and text indexes are removed.")
    ] = False,
    force: Annotated[
        str,
        typer.Option(
            help="Drop it although a worker answers from it or it is behind, for this reason.", show_default=False
        ),
    ] = "",
    installation: Installation,
) -> None:
    """Remove a generation that is not live, for good. Until then it is kept up to date."""
    configure_quiet_logging()
    if not yes:
        raise ConfigurationError(f"{name} would be removed for good; add --yes to do it")
    installation.run(lambda ops: ops.drop(name, JudgedBody.of(force=force)))
    print(f"{name} is dropped")


def _compared(name: str, live: str, judged: Path, tenant: str, installation: Installation) -> Comparison:
    api = ApiUnderJudgement(installation.url_of(), api_key(installation.key), tenant)
    with FractionProgress(Console(stderr=True), "asking both generations") as bar:
        return asyncio.run(
            compare_generations(api, load_judged(judged), live=live, candidate=name, on_progress=bar.update)
        )


def _show(bar: FractionProgress, told: Json) -> None:
    if "fraction" in told:
        bar.update(told["fraction"], f"{told['what']}: {told['text']}")


def _show_comparison(comparison: Comparison) -> None:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("", comparison.before.system, comparison.after.system, "difference", "p"):
        table.add_column(heading, justify="right" if heading else "left")
    for metric in METRICS:
        difference = comparison.differences[metric]
        table.add_row(
            metric,
            f"{mean(comparison.before.scores, metric):.4f}",
            f"{mean(comparison.after.scores, metric):.4f}",
            f"{difference.difference:+.4f}",
            f"{difference.p_value:.3f}",
        )
    console = Console()
    console.print(table)
    for change in comparison.changes[:_LOST_SHOWN]:
        if change.difference < 0:
            console.print(
                f"lost: {change.before.query.text!r} {change.before.values[NDCG_10]:.3f} → {change.after.values[NDCG_10]:.3f}",
                highlight=False,
            )


def _tell_moved(moved: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_json(moved)
        return
    print(f"{moved['live']} is live")
    if moved["serving"] < moved["workers"]:
        print(
            f"{moved['serving']} of {moved['workers']} workers answer from it so far; the others go on with the one before "
            "until they have loaded it (`ferroflux generation status`)"
        )
    elif moved["workers"]:
        print(f"all {moved['workers']} workers answer from it")


def _readiness(ready: dict[str, str]) -> str:
    return "; ".join(f"{name} {'ready' if not reason else f'not ready ({reason})'}" for name, reason in ready.items())


def _print_json(content: Any) -> None:
    print(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
