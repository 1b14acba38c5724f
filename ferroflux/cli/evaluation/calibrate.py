"""`ferroflux calibrate`: from which similarity on the vectors alone may answer, chosen on judged queries."""

import asyncio
from typing import Annotated, Any, Final

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
from training.resampling import stratified_folds
from training.tuning.calibration import Calibration, Effect, calibrate
from training.tuning.routes import DENSE_FIRST, MARGIN, SIMILARITY, CodeEffect, observe_routes
from training.tuning.space import settings_snippet

app = typer.Typer(rich_markup_mode="markdown")

_HELP: Final = """Calibrate the routes: which queries the code lookup or the vectors alone may answer.

Every query is asked by the full path, with codes first, and by the dense route, each encoded anew. The thresholds taken
save the most time while top-5 falls by no more than the allowance, held out as well as fitted; where none does, the
route stays off.

**Example**

    ferroflux calibrate --catalogue products.jsonl.gz --judged judged.jsonl --out routing.yaml
"""
_SEED: Final = 20_809
_FRONTIER_SHOWN: Final = 12


@app.command("calibrate", help=_HELP)
@with_options
def command(
    request: EvaluationRequest,
    *,
    allowance: Annotated[float, typer.Option(min=0, help="Points of top-5 that may be lost, of 100.")] = 0.3,
    folds: FoldsOption = 5,
    sample: Annotated[int, typer.Option(min=10, help="Queries to ask at most.")] = 1000,
    out: OutOption = None,
) -> None:
    """Calibrate the routes on judged queries."""
    configure_quiet_logging()
    judged_set, settings = request.judged_set(), request.settings()
    show_step = request.steps(Console(stderr=True))
    catalogue = request.indexed(settings, show_step)
    with show_step("observing the routes") as progress:
        observed = asyncio.run(
            observe_routes(catalogue, judged_set, settings, sample=sample, on_progress=progress.update)
        )
    strata = [score.query.type or score.query.tenant for score in observed.code_run.scores]
    dealt_out(len(strata), folds)
    result = calibrate(observed.dense, stratified_folds(strata, folds, _SEED), allowance / 100)
    _show(Console(), observed.code, result)
    snippet = settings_snippet(_overrides(result), settings, _why(result, judged_set.name, len(strata)))
    hand_over(snippet, out)
    print(orjson.dumps(_as_json(observed.code, result, len(strata))).decode())


def _overrides(result: Calibration) -> dict[str, Any]:
    if result.thresholds is None:
        return {DENSE_FIRST: False}
    return {DENSE_FIRST: True, SIMILARITY: result.thresholds.similarity, MARGIN: result.thresholds.margin}


def _why(result: Calibration, name: str, queries: int) -> str:
    return f"chosen by `ferroflux calibrate` on {queries} queries of {name}\nheld out: {_effect(result.held_out)}"


def _effect(effect: Effect) -> str:
    return (
        f"{effect.routed:.1%} of queries by the vectors alone, {effect.saving:.1%} of the time saved, "
        f"top-5 {effect.quality_change * 100:+.2f} points"
    )


def _show(console: Console, code: CodeEffect, result: Calibration) -> None:
    console.print(
        f"code first: {code.routed:.1%} of queries, {code.saving:.1%} of the time saved, "
        f"top-1 {code.top1_change * 100:+.2f} and top-5 {code.top5_change * 100:+.2f} points",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("similarity", "margin", "routed", "time saved", "top-5, points"):
        table.add_column(heading, justify="right")
    for pair, effect in result.frontier[-_FRONTIER_SHOWN:]:
        table.add_row(
            f"{pair.similarity:.4f}",
            f"{pair.margin:.4f}",
            f"{effect.routed:.1%}",
            f"{effect.saving:.1%}",
            f"{effect.quality_change * 100:+.2f}",
        )
    console.print(table)
    if result.thresholds is None:
        console.print(
            "embedding first stays off: no thresholds keep the quality and save time on queries that did not choose them"
        )
    else:
        chosen = f"similarity {result.thresholds.similarity}, margin {result.thresholds.margin}"
        console.print(f"embedding first from {chosen}: {_effect(result.fitted)}", highlight=False)
    console.print(f"held out: {_effect(result.held_out)}", highlight=False)


def _as_json(code: CodeEffect, result: Calibration, queries: int) -> dict[str, Any]:
    pair = result.thresholds
    return {
        "queries": queries,
        "code_first": {
            "routed": code.routed,
            "saving": code.saving,
            "top1_change": code.top1_change,
            "top5_change": code.top5_change,
        },
        "dense_first": None if pair is None else {"dense_similarity": pair.similarity, "dense_margin": pair.margin},
        "fitted": _effect_json(result.fitted),
        "held_out": _effect_json(result.held_out),
    }


def _effect_json(effect: Effect) -> dict[str, float]:
    return {"routed": effect.routed, "saving": effect.saving, "top5_change": effect.quality_change}
