"""What a report says of an experiment: figures, comparisons, ablation, time, failures and the queries that changed.

The report is made of plain values first, then written as Markdown or as one HTML page without scripts or outside files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from training.experiments.comparison import Comparison, QueryChange
from training.experiments.experiment import Experiment, GroupSummary, RunSummary, summarise
from training.metrics import (
    MRR,
    NDCG_10,
    RECALL_100,
    TOP_1,
    TOP_5,
    Cause,
    Failure,
    QueryScore,
    causes_by_type,
    failures,
)

_SHOWN: Final = (TOP_1, TOP_5, NDCG_10, MRR, RECALL_100)
_MOST_CHANGES: Final = 15
"""Of the changed queries, at each end."""
_MOST_FAILURES: Final = 60
_TITLE_CHARACTERS: Final = 70


def report_of(experiment: Experiment) -> EvaluationReport:
    """The whole report."""
    summary = summarise(experiment.run)
    sections = [_figures(experiment, summary)]
    sections += [_groups("By type", summary.by_type)] if summary.by_type else []
    sections += [_groups("By tenant", summary.by_tenant)] if len(summary.by_tenant) > 1 else []
    sections += [_comparison(experiment, comparison) for comparison in experiment.compared]
    sections += [_ablation(experiment.ablated)] if experiment.ablated else []
    sections += [_latency(experiment)] if experiment.latency is not None else []
    sections.append(_failures(experiment))
    return EvaluationReport(f"Search quality: {experiment.run.judged.name}", sections)


def _figures(experiment: Experiment, summary: RunSummary) -> Section:
    judged = experiment.run.judged
    about = (
        f"{summary.overall.queries:,} answerable queries over {len(experiment.catalogue.documents):,} products of "
        f"{experiment.catalogue.name}; a hit is a grade of {judged.relevant_from:g} or more, the gain is {judged.gain.kind}. "
        f"System: {summary.system}."
    )
    rows = [
        [metric, _share(summary.overall.means[metric]), f"{_share(each.low)} to {_share(each.high)}"]
        for metric in _SHOWN
        for each in (summary.intervals[metric],)
    ]
    rows.append(["without any result", _share(summary.zero_results), ""])
    if summary.no_result_accuracy is not None:
        doubts = f"{summary.no_result_queries} unanswerable queries"
        rows.append(["no-result accuracy", _share(summary.no_result_accuracy), doubts])
    rows.append(["doubted although right", _share(summary.false_doubts), ""])
    blocks: list[Paragraph | Table] = [Paragraph(about)]
    if experiment.overrides:
        changed = ", ".join(f"{name} = {value}" for name, value in experiment.overrides.items())
        blocks.append(Paragraph(f"Settings that differ from the defaults: {changed}."))
    blocks.append(Table(("metric", "mean", "95 % interval"), rows))
    return Section("Figures", blocks)


def _groups(title: str, groups: Mapping[str, GroupSummary]) -> Section:
    rows = [
        [name, str(group.queries), *(_share(group.means[metric]) for metric in _SHOWN)]
        for name, group in groups.items()
    ]
    return Section(title, [Table(("", "queries", *_SHOWN), rows)])


def _comparison(experiment: Experiment, comparison: Comparison) -> Section:
    before, after = comparison.before.system, comparison.after.system
    rows = []
    means = (summarise(comparison.before).overall.means, summarise(comparison.after).overall.means)
    for metric in _SHOWN:
        found = comparison.differences[metric]
        rows.append(
            [
                metric,
                _share(means[0][metric]),
                _share(means[1][metric]),
                f"{found.difference:+.3f}",
                f"{found.interval.low:+.3f} to {found.interval.high:+.3f}",
                f"{found.p_value:.4f}",
                f"{found.better} / {found.worse}",
            ]
        )
    columns = ("metric", before, after, "difference", "95 % interval", "p", "better / worse")
    blocks: list[Paragraph | Table] = [
        Paragraph("Paired by query; p is of the two-sided randomisation test."),
        Table(columns, rows),
    ]
    lost = [change for change in comparison.changes if change.difference < 0][:_MOST_CHANGES]
    won = [change for change in reversed(comparison.changes) if change.difference > 0][:_MOST_CHANGES]
    for what, changes in (("gained", won), ("lost", lost)):
        if changes:
            blocks.append(Paragraph(f"Queries that {what} most against {before}:"))
            blocks.append(_changes(experiment, changes))
    return Section(f"Against {before}", blocks)


def _changes(experiment: Experiment, changes: Sequence[QueryChange]) -> Table:
    rows = [
        [
            change.after.query.text,
            change.after.query.type,
            _first(experiment, change.before),
            _first(experiment, change.after),
            f"{change.difference:+.2f}",
        ]
        for change in changes
    ]
    return Table(("query", "type", "first before", "first after", NDCG_10), rows, labels=4)


def _ablation(ablated: Sequence[Comparison]) -> Section:
    full = summarise(ablated[0].before).overall.means
    rows = [["everything", *(_share(full[metric]) for metric in _SHOWN), ""]]
    for comparison in ablated:
        means = summarise(comparison.after).overall.means
        rows.append(
            [
                comparison.after.system,
                *(f"{_share(means[metric])} ({comparison.differences[metric].difference:+.3f})" for metric in _SHOWN),
                f"{comparison.differences[NDCG_10].p_value:.3f}",
            ]
        )
    return Section("Each stage switched off", [Table(("", *_SHOWN, f"p of {NDCG_10}"), rows)])


def _latency(experiment: Experiment) -> Section:
    latency = experiment.latency
    assert latency is not None
    rows = [
        [stage, *(f"{found[name]:.1f}" for name in ("p50", "p95", "p99"))] for stage, found in latency.stages.items()
    ]
    about = (
        f"{latency.queries} queries, one after the other, each encoded anew; exact comparison of vectors in memory in the "
        "place of the vector store. Milliseconds; retrievers run side by side."
    )
    return Section("Time", [Paragraph(about), Table(("stage", "p50", "p95", "p99"), rows)])


def _failures(experiment: Experiment) -> Section:
    found = failures(experiment.run.scores, experiment.run.judged)
    if not found:
        return Section("Failures", [Paragraph("Every query has a hit among its first five.")])
    counted = causes_by_type(found)
    grouped = [
        [name, *(str(counts[cause] or "") for cause in Cause), str(counts.total())]
        for name, counts in sorted(counted.items())
    ]
    listed = [
        [
            failure.score.query.text,
            failure.score.query.type,
            str(failure.cause),
            _best(experiment, failure),
            _first(experiment, failure.score),
        ]
        for failure in found[:_MOST_FAILURES]
    ]
    blocks: list[Paragraph | Table] = [
        Paragraph(f"{len(found)} queries have no hit among their first five."),
        Table(("type", *map(str, Cause), "all"), grouped),
        Table(("query", "type", "cause", "best hit", "stood first"), listed, labels=5),
    ]
    if len(found) > _MOST_FAILURES:
        blocks.append(Paragraph(f"{len(found) - _MOST_FAILURES} more are left out."))
    return Section("Failures", blocks)


def _best(experiment: Experiment, failure: Failure) -> str:
    """The best hit with its ranks, or one that was missed."""
    score = failure.score
    if failure.best_sku is None:
        missed = max(score.query.grades, key=lambda sku: (score.query.grades[sku], sku))
        return f"missed: {_title(experiment, score, missed)}"
    ranks = ", ".join(f"{name} #{rank}" for name, rank in score.answer.found_by.get(failure.best_sku, {}).items())
    return f"#{failure.best_rank} ({ranks}): {_title(experiment, score, failure.best_sku)}"


def _first(experiment: Experiment, score: QueryScore) -> str:
    if not score.answer.skus:
        return "nothing"
    sku = score.answer.skus[0]
    grade = score.query.grades.get(sku)
    judged = "not judged" if grade is None else f"grade {grade:g}"
    return f"{_title(experiment, score, sku)} ({judged})"


def _title(experiment: Experiment, score: QueryScore, sku: str) -> str:
    document = experiment.document(score.query, sku)
    if document is None:
        return f"{sku} (not in the catalogue)"
    title = document.title
    return title if len(title) <= _TITLE_CHARACTERS else f"{title[: _TITLE_CHARACTERS - 1]}…"


def _share(value: float) -> str:
    return f"{value:.3f}"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of text; the first `labels` columns are text, the others figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Paragraph | Table]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """A title and sections."""

    title: str
    sections: Sequence[Section]


def to_markdown(report: EvaluationReport) -> str:
    """The whole report; readable as text too."""
    parts = [f"# {report.title}"]
    for section in report.sections:
        parts.append(f"## {section.title}")
        parts += [
            _escape(block.text) if isinstance(block, Paragraph) else _markdown_table(block) for block in section.blocks
        ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    alignment = ["---" if place < table.labels else "---:" for place in range(len(table.columns))]
    rows = [table.columns, alignment, *table.rows]
    return "\n".join(
        "| " + " | ".join(cell if row is alignment else _escape(cell) for cell in row) + " |" for row in rows
    )


def _escape(text: str) -> str:
    """Text of catalogues and buyers as text: no cell ends early, no link or emphasis begins in it."""
    flat = " ".join(text.split())
    for sign in ("\\", "|", "*", "_", "`", "[", "<"):
        flat = flat.replace(sign, f"\\{sign}")
    return flat


_STYLE: Final = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th.label, td.label { text-align: left; white-space: normal; }
thead th { font-weight: 600; border-bottom-width: 2px; }
"""


def to_html(report: EvaluationReport) -> str:
    """The whole page."""
    body = [f"<h1>{escape(report.title)}</h1>"]
    for section in report.sections:
        body.append(f"<h2>{escape(section.title)}</h2>")
        body += [
            f"<p>{escape(block.text)}</p>" if isinstance(block, Paragraph) else _html_table(block)
            for block in section.blocks
        ]
    title = escape(report.title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        "<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def _html_table(table: Table) -> str:
    head = _row(table.columns, "th", table.labels)
    rows = "\n".join(_row(cells, "td", table.labels) for cells in table.rows)
    return f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'


def _row(cells: Sequence[str], tag: str, labels: int) -> str:
    label = f'<{tag} class="label">'
    marked = [f"{label if place < labels else f'<{tag}>'}{escape(cell)}</{tag}>" for place, cell in enumerate(cells)]
    return "<tr>" + "".join(marked) + "</tr>"
