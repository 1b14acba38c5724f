"""`ferroflux tune`: better fusion settings by cross-validation on judged queries."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ferroflux.cli.evaluation.options import (
    EvaluationRequest,
    FoldsOption,
    OutOption,
    dealt_out,
    hand_over,
)
from ferroflux.cli.options import with_options
from runtime.observability.logs import configure_quiet_logging
from schemas.errors import ConfigurationError
from training.metrics import METRICS, Judge
from training.tuning.space import configurations, default_space, parse_space, settings_snippet
from training.tuning.tune import TuningResult, tune

app = typer.Typer(rich_markup_mode="markdown")

_HELP: Final = """Choose fusion settings on judged queries, and say what the choice is worth on queries it did not see.

Every configuration is asked every query once; retrievers' answers are remembered, so hundreds of configurations take a
minute or two. The figures to believe are the held-out ones: each query under a configuration that was chosen without it.
Of those that are within one standard error of the best, the one that changes the fewest settings is taken.

**Examples**

    ferroflux tune --catalogue products.jsonl.gz --judged judged.jsonl --out tuned.yaml

    ferroflux tune --catalogue products.jsonl.gz --judged judged.jsonl
        --space search.rrf_k=5,10,20 --space text.weights.body=0.1,0.3,0.5

    ferroflux eval --catalogue products.jsonl.gz --judged judged.jsonl --settings tuned.yaml
"""
_OBJECTIVE: Final = "top1,top5,ndcg@10"
_SEED: Final = 7


@app.command("tune", help=_HELP)
@with_options
def command(
    request: EvaluationRequest,
    *,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="Values to try, as key=value,value. Default: fusion constant and weights.", show_default=False
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=2, help="Configurations to try at most.")] = 150,
    folds: FoldsOption = 5,
    objective: Annotated[str, typer.Option(help="Metrics whose mean is maximised.")] = _OBJECTIVE,
    out: OutOption = None,
) -> None:
    """Choose fusion settings on judged queries."""
    configure_quiet_logging()
    metrics = [name.strip() for name in objective.split(",")]
    if unknown := [name for name in metrics if name not in METRICS]:
        raise ConfigurationError(f"--objective: there is no metric {unknown[0]!r}; there are {', '.join(METRICS)}")
    judged_set, settings = request.judged_set(), request.settings()
    answerable = len(judged_set.answerable)
    dealt_out(answerable, folds)
    tried = configurations(parse_space(space) if space else default_space(settings), trials, _SEED)
    show_step = request.steps(Console(stderr=True))
    catalogue = request.indexed(settings, show_step)
    with show_step("tuning") as progress:
        result = asyncio.run(
            tune(
                catalogue,
                Judge(judged_set),
                settings,
                tried,
                objective=metrics,
                folds=folds,
                on_progress=progress.update,
            )
        )
    catalogue.encoder.flush()
    _show(Console(), result)
    snippet = settings_snippet(result.chosen, settings, _why(result, judged_set.name, answerable, folds))
    hand_over(snippet, out)
    print(orjson.dumps(_as_json(result)).decode())


def _why(result: TuningResult, name: str, queries: int, folds: int) -> str:
    return (
        f"chosen by `ferroflux tune` on {queries} queries of {name}, {len(result.configurations)} configurations, "
        f"{folds} folds\nheld out: {_figures(result.held_out)}\nas it was: {_figures(result.shipped)}\n"
        f"difference of {'+'.join(result.objective)} held out {result.gain.difference:+.4f}, p {result.gain.p_value:.3f}"
    )


def _figures(means: Mapping[str, float]) -> str:
    return ", ".join(f"{metric} {means[metric]:.4f}" for metric in METRICS)


def _show(console: Console, result: TuningResult) -> None:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("", *METRICS):
        table.add_column(heading, justify="right" if heading else "left")
    for name, means in (
        ("as it was", result.shipped),
        ("held out", result.held_out),
        ("chosen, fitted", result.fitted),
    ):
        table.add_row(name, *(f"{means[metric]:.4f}" for metric in METRICS))
    console.print(table)
    console.print(f"held out {result.gain.difference:+.4f}, p {result.gain.p_value:.3f}; leaders:", highlight=False)
    for overrides, value in result.leaders:
        console.print(f"  {value:.4f}  {_settings(overrides)}", highlight=False, soft_wrap=True)
    console.print(f"chosen: {_settings(result.chosen)}", highlight=False, soft_wrap=True)


def _settings(overrides: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in overrides.items()) or "the settings as they are"


def _as_json(result: TuningResult) -> dict[str, object]:
    return {
        "configurations": len(result.configurations),
        "objective": list(result.objective),
        "shipped": result.shipped,
        "held_out": result.held_out,
        "fitted": result.fitted,
        "difference": result.gain.difference,
        "p": result.gain.p_value,
        "chosen": dict(result.chosen),
        "chosen_by_fold": [dict(result.configurations[row]) for row in result.validation.by_fold],
    }
