"""How commands print: counts with their noun, and pages as wide as what is read later needs."""

from __future__ import annotations

import sys
from typing import Any, Final

from rich.console import Console

_PAGE: Final = 110
"""Columns of what goes into a file or a pipe, where nobody has a window."""


def counted(count: int, one: str, many: str = "") -> str:
    """`1 row`, `2,600 rows`; `many` where the plural is not the noun with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def page_console(**options: Any) -> Console:
    """Standard output, as wide as its terminal, else a page."""
    return Console(width=None if sys.stdout.isatty() else _PAGE, **options)
