"""A report as one HTML page without scripts or outside files."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from training.reports.layout import Paragraph, Report, Table

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


def to_html(report: Report) -> str:
    """The whole page."""
    body = [f"<h1>{escape(report.title)}</h1>"]
    for section in report.sections:
        body.append(f"<h2>{escape(section.title)}</h2>")
        body += [
            f"<p>{escape(block.text)}</p>" if isinstance(block, Paragraph) else _table(block)
            for block in section.blocks
        ]
    title = escape(report.title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        "<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def _table(table: Table) -> str:
    head = _row(table.columns, "th", table.labels)
    rows = "\n".join(_row(cells, "td", table.labels) for cells in table.rows)
    return f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'


def _row(cells: Sequence[str], tag: str, labels: int) -> str:
    label = f'<{tag} class="label">'
    marked = [f"{label if place < labels else f'<{tag}>'}{escape(cell)}</{tag}>" for place, cell in enumerate(cells)]
    return "<tr>" + "".join(marked) + "</tr>"
