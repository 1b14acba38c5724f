"""From a column's value to a field's: the conversions that a mapping entry asks for, as closures made once at load."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

import orjson

from schemas.mapping.connect_types import (
    date_of_days,
    decode_decimal,
    plain_number,
    timestamp_of,
    variable_scale_decimal,
)
from schemas.mapping.model import FieldSource
from schemas.normalisers import decimal_text

Convert = Callable[[Any], Any]
"""Converts a value that is neither null nor the unavailable placeholder; raises ValueError with a sentence's end."""

_TRUE: Final = frozenset({"true", "t", "1", "yes", "y", "si", "sí", "s", "on"})
_FALSE: Final = frozenset({"false", "f", "0", "no", "n", "off", ""})
_TICKS: Final = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def converter(source: FieldSource) -> Convert:
    """The conversion of one mapped column."""
    simple: dict[str, Convert] = {
        "auto": _auto,
        "text": _text,
        "integer": _integer,
        "boolean": _boolean,
        "json": _json,
        "date": date_of_days,
        "timestamp": timestamp_of(_TICKS[source.unit]),
    }
    if source.type == "decimal":
        return _decimal(source.scale, base64=source.encoding == "base64")
    if source.type == "list":
        return _list(source.separator)
    return simple[source.type]


def identity_text(value: Any) -> str | None:
    """A column's value as a part of an identity: text, or an integer written out; None where it is empty.

    Raises:
        ValueError: it is neither.
    """
    if type(value) is str:
        return value.strip() or None
    if type(value) is int:
        return str(value)
    if type(value) is float and value.is_integer():
        return str(int(value))
    number = variable_scale_decimal(value)
    if type(number) is int:
        return str(number)
    msg = f"is neither text nor an integer: {str(value)[:60]!r}"
    raise ValueError(msg)


def comparable(value: Any) -> str:
    """A value as one text for `deleted_when`: booleans and 0/1 are alike, upper or lower case is the same."""
    if value is True or value is False:
        return "1" if value else "0"
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    folded = text.strip().casefold()
    return {"true": "1", "t": "1", "false": "0", "f": "0"}.get(folded, folded)


def _auto(value: Any) -> Any:
    if type(value) is dict:
        number = variable_scale_decimal(value)
        return value if number is None else number
    return value


def _text(value: Any) -> Any:
    if type(value) is bool:
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


def _integer(value: Any) -> int:
    number = _auto(value)
    if type(number) is str:
        number = decimal_text(number)
    if type(number) is bool or not isinstance(number, int | float) or number != int(number):
        msg = f"is not an integer: {str(value)[:60]!r}"
        raise ValueError(msg)
    return int(number)


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    text = str(value).strip().casefold()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    msg = f"is neither yes nor no: {text[:60]!r}"
    raise ValueError(msg)


def _json(value: Any) -> Any:
    if type(value) is not str:
        return value
    if not value.strip():
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        msg = f"is not JSON: {error}"
        raise ValueError(msg) from error


def _list(separator: str) -> Convert:
    def split(value: Any) -> Any:
        return [part.strip() for part in value.split(separator)] if type(value) is str else value

    return split


def _decimal(scale: int | None, *, base64: bool) -> Convert:
    quantum = None if scale is None else Decimal(1).scaleb(-scale)

    def convert(value: Any) -> Any:
        number = _auto(value)
        if type(number) is str:
            if not number.strip():
                return None
            if base64 and scale is not None:
                return decode_decimal(number, scale)
            decimal = _decimal_of(number)
        elif type(number) is bool or not isinstance(number, int | float):
            msg = f"is not a decimal number: {str(value)[:60]!r}"
            raise ValueError(msg)
        else:
            decimal = Decimal(repr(number))
        return plain_number(decimal if quantum is None else _rounded(decimal, quantum))

    return convert


def _decimal_of(text: str) -> Decimal:
    try:
        decimal_text(text)
        return Decimal(text.strip())
    except (ValueError, InvalidOperation) as error:
        msg = (
            f"is not a decimal number with a point: {text[:60]!r} (where decimal.handling.mode is precise, "
            "set it to string, send the schema envelope, or map the column with encoding: base64 and its scale)"
        )
        raise ValueError(msg) from error


def _rounded(value: Decimal, quantum: Decimal) -> Decimal:
    try:
        return value.quantize(quantum, ROUND_HALF_EVEN)
    except InvalidOperation:
        return value  # more digits than the context holds: nothing after the point to round
