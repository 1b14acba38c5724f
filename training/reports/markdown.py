"""A report as Markdown."""

from __future__ import annotations

from training.reports.layout import Paragraph, Report, Table


def to_markdown(report: Report) -> str:
    """The whole report; readable as text too."""
    parts = [f"# {report.title}"]
    for section in report.sections:
        parts.append(f"## {section.title}")
        parts += [_escape(block.text) if isinstance(block, Paragraph) else _table(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
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
