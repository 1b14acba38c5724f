"""`ferroflux eval`: search quality on judged queries, with intervals, beside baselines and other settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ferroflux.cli.evaluation.options import EvaluationRequest
from ferroflux.cli.options import with_options
from ferroflux.cli.output import page_console
from ferroflux.evaluation.evaluation import Evaluation, EvaluationPlan
from runtime.observability.logs import configure_quiet_logging
from training.experiments.experiment import Experiment, summarise
from training.experiments.run import save_run
from training.metrics import MRR, NDCG_10, RECALL_100, TOP_1, TOP_5
from training.reports import report_of, to_html, to_markdown
from training.systems.baselines import BaselineKind
from training.systems.settings import EvaluationSettings, setting_values

app = typer.Typer(rich_markup_mode="markdown")

_COLUMNS: Final = (TOP_1, TOP_5, NDCG_10, MRR, RECALL_100)

_SETTINGS: Final = "\n".join(f"    {name} = {value}\n" for name, value in setting_values(EvaluationSettings()))
_HELP: Final = f"""Measure search quality on judged queries; the last line of the output is one JSON object.

The catalogue goes through the real pipeline into an index made for the occasion. Vectors and indexes are kept by what
they are made of: the first run over a catalogue takes minutes, later ones seconds.

**Examples**

    ferroflux eval --catalogue products.jsonl.gz --judged judged.jsonl --baseline bm25 --baseline rrf

    ferroflux eval --catalogue products.jsonl.gz --queries queries.tsv --qrels qrels.tsv --fields title,brand

    ferroflux eval --catalogue products.jsonl.gz --judged judged.jsonl --set search.rrf_k=30
        --compare search.rrf_k=60 --ablate --latency --report report/

**Settings that --set and --compare reach, with their defaults**

{_SETTINGS}
"""


@app.command("eval", help=_HELP)
@with_options
def evaluate(
    request: EvaluationRequest,
    *,
    baselines: Annotated[
        list[BaselineKind] | None,
        typer.Option(
            "--baseline", help="Run a baseline beside it, on the same fields. May be repeated.", show_default=False
        ),
    ] = None,
    compare_with: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            help="Settings to compare with ('key=value key=value', on top of --set), or the run.json of an earlier report. May be repeated.",
            show_default=False,
        ),
    ] = None,
    ablate: Annotated[bool, typer.Option("--ablate", help="Switch each stage off in turn.")] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Measure the time of a sample, encoding included.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for report.md, report.html and run.json.", show_default=False, file_okay=False),
    ] = None,
) -> None:
    """Measure search quality on judged queries."""
    configure_quiet_logging()
    plan = EvaluationPlan(
        source=request.source(),
        judged=request.judged_set(),
        overrides=request.overrides(),
        cache_dir=request.cache(),
        baselines=tuple(baselines or ()),
        compare_with=tuple(compare_with or ()),
        ablate=ablate,
        latency=latency or report is not None,
    )
    experiment = Evaluation(plan, request.steps(Console(stderr=True))).carry_out()
    _show(page_console(), experiment)
    if report is not None:
        _write(experiment, report)
    print(orjson.dumps(experiment.as_json()).decode())


def _write(experiment: Experiment, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    report = report_of(experiment)
    (folder / "report.md").write_text(to_markdown(report), encoding="utf-8")
    (folder / "report.html").write_text(to_html(report), encoding="utf-8")
    save_run(experiment.run, folder / "run.json")


def _show(console: Console, experiment: Experiment) -> None:
    """By type, over all, and what it was compared with: p of the difference in brackets."""
    summary = summarise(experiment.run)
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("", "queries", *_COLUMNS):
        table.add_column(heading, justify="right" if heading else "left")
    for name, group in summary.by_type.items():
        table.add_row(name, str(group.queries), *(f"{group.means[metric]:.3f}" for metric in _COLUMNS))
    total = summary.overall
    table.add_row("[bold]all[/]", str(total.queries), *(f"[bold]{total.means[metric]:.3f}[/]" for metric in _COLUMNS))
    for comparison in experiment.compared:
        _add(
            table,
            comparison.before.system,
            summarise(comparison.before).overall.means,
            {metric: found.p_value for metric, found in comparison.differences.items()},
        )
    for comparison in experiment.ablated:
        _add(
            table,
            comparison.after.system,
            summarise(comparison.after).overall.means,
            {metric: found.p_value for metric, found in comparison.differences.items()},
        )
    console.print(table)


def _add(table: Table, name: str, means: Mapping[str, float], p_values: Mapping[str, float]) -> None:
    table.add_row(name, "", *(f"{means[metric]:.3f} [dim]({p_values[metric]:.3f})[/]" for metric in _COLUMNS))
