"""`ferroflux eval`: search quality on judged queries, with intervals, beside baselines and other settings."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from deploy.cli.lab.options import (
    CacheOption,
    CatalogueOption,
    FieldsOption,
    GainOption,
    JudgedOption,
    LabRequest,
    QrelsOption,
    QueriesOption,
    RelevantOption,
    SetOption,
    SettingsFileOption,
)
from training.experiments.run import run_system
from training.judgments.gains import GainKind
from training.measures.metrics import Judge
from training.measures.summary import RunSummary, summarise
from training.systems.hybrid import HybridSystem

app = typer.Typer()


@app.command()
def evaluate(
    catalogue: CatalogueOption,
    *,
    judged: JudgedOption = None,
    queries: QueriesOption = None,
    qrels: QrelsOption = None,
    assignments: SetOption = None,
    settings_file: SettingsFileOption = None,
    fields: FieldsOption = "",
    gain: GainOption = GainKind.AUTO,
    relevant_from: RelevantOption = None,
    cache_dir: CacheOption = None,
) -> None:
    """Measure search quality on judged queries. The last line is one JSON object."""
    request = LabRequest(
        catalogue, judged, queries, qrels, assignments or (), settings_file, fields, gain, relevant_from, cache_dir
    )
    console = Console(stderr=True)
    judged_set = request.judged_set()
    settings = request.settings()
    bench = request.bench(settings, console)
    system = HybridSystem.over(bench, settings)
    try:
        run = asyncio.run(run_system(system, bench, Judge(judged_set)))
    finally:
        system.close()
        bench.encoder.flush()
    summary = summarise(run)
    show(Console(), summary)
    print(orjson.dumps(summary.as_json()).decode())


def show(console: Console, summary: RunSummary) -> None:
    """The figures by type as a table."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("", "queries", "top1", "top5", "ndcg@10", "mrr", "recall@100"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows: list[tuple[str, Any]] = [*summary.by_type.items(), ("all", summary.overall)]
    for name, group in rows:
        table.add_row(
            name,
            str(group.queries),
            *(f"{group.means[metric]:.3f}" for metric in ("top1", "top5", "ndcg@10", "mrr", "recall@100")),
        )
    console.print(table)
