"""Cells to field values: what a spreadsheet or an export writes, as the item's fields hold it."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable
from typing import Any, Final

import orjson

_LIST_SEPARATORS: Final = re.compile(r"[|;\n]+")
_SENTENCE_SEPARATORS: Final = re.compile(r"[|\n]+")
_NOT_NUMBER: Final = re.compile(r"[^0-9.,+\-eE]")
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_CURRENCY: Final = re.compile(r"\b(mxn|mx|usd|us|eur|ars|cop|clp|pen)\b|[$€£]", re.IGNORECASE)
_LONGEST_NUMBER: Final = 400
"""Characters of a number, as in `schemas.normalisers`: no finite one has more before its point, none needs more behind it."""
_NOTHING: Final = frozenset({"", "-", "n/a", "na", "null", "none", "nan", "s/d"})


class CellError(ValueError):
    """A cell cannot be read as its field; the message says why, for the row's report."""


def is_nothing(value: Any) -> bool:
    """Whether a cell says nothing: null, NaN, empty, or one of the words that exports write for it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str):
        return value.strip().casefold() in _NOTHING
    return isinstance(value, list | dict) and not value


def text(value: Any) -> str:
    """One text; a list is a path (`Tools > Hand tools`), a whole float loses its `.0` (as identifiers from Excel have)."""
    if is_nothing(value):
        return ""
    if isinstance(value, list):
        return " > ".join(text(part) for part in value if not is_nothing(part))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        raise CellError("an object where a text belongs")
    return str(value).strip()


def texts(value: Any) -> list[str]:
    """Several codes or addresses: a list, a JSON list in a text cell, or a text with `|`, `;` or line ends between."""
    return _split(value, _LIST_SEPARATORS)


def sentences(value: Any) -> list[str]:
    """Several sentences: as `texts`, but a semicolon may be a part of one."""
    return _split(value, _SENTENCE_SEPARATORS)


def _split(value: Any, separators: re.Pattern[str]) -> list[str]:
    if is_nothing(value):
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        # A text that begins with a bracket and is no JSON is a text, as many a bullet point is.
        with contextlib.suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    parts: Iterable[Any] = value if isinstance(value, list) else separators.split(text(value))
    return [part for part in map(text, parts) if part]


def number(value: Any, *, decimal_comma: bool = False) -> float | None:
    """A number as people write it: `1,234.50`, `$ 12.5`, `1.234,50`. None where the cell says nothing.

    With both signs the last one is the decimal; a lone comma separates thousands where exactly three digits follow
    (`1,234`), else it is the decimal. `decimal_comma` reads `1.234` and `1,234` the European way.

    Raises:
        CellError: it is no finite number.
    """
    if is_nothing(value):
        return None
    if isinstance(value, bool):
        raise CellError(f"{value!r} is not a number")
    if isinstance(value, int | float):
        return _finite(float(value), value)
    raw = _CURRENCY.sub("", text(value)).replace(" ", "").replace("\N{NO-BREAK SPACE}", "")
    if not raw or len(raw) > _LONGEST_NUMBER or _NOT_NUMBER.search(raw):
        raise CellError(f"{str(value)[:40]!r} is not a number")
    if decimal_comma:
        raw = raw.replace(".", "").replace(",", ".")
    elif "," in raw and "." in raw:
        thousands, decimal = (",", ".") if raw.rindex(".") > raw.rindex(",") else (".", ",")
        raw = raw.replace(thousands, "").replace(decimal, ".")
    elif _GROUPED.fullmatch(raw):
        raw = raw.replace(",", "")
    else:
        raw = raw.replace(",", ".")
    try:
        return _finite(float(raw), value)
    except ValueError as error:
        raise CellError(f"{str(value)[:40]!r} is not a number") from error


def attributes(value: Any) -> dict[str, Any]:
    """Attributes from an object, or from a text cell that holds a JSON object.

    Raises:
        CellError: it is something else.
    """
    if is_nothing(value):
        return {}
    if isinstance(value, str):
        value = _json(value)
    if not isinstance(value, dict):
        raise CellError('attributes must be an object, such as {"color": "red"}')
    return {str(name): attribute(inner) for name, inner in value.items() if not is_nothing(inner)}


def attribute(value: Any) -> str | float | bool:
    """One attribute's value: text, number or truth; a list becomes a text with commas."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list):
        return ", ".join(text(part) for part in value if not is_nothing(part))
    try:
        return orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError as error:
        raise CellError(f"an attribute cannot be written out: {error}") from error


def _finite(value: float, raw: Any) -> float:
    if not math.isfinite(value):
        raise CellError(f"{raw!r} is not a finite number")
    return value


def _json(raw: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CellError(f"{raw[:40]!r} is not valid JSON") from error
