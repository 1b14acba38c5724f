"""A report as plain values, before it is Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
class Report:
    """A title and sections."""

    title: str
    sections: Sequence[Section]
