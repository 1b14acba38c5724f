"""The one form that each kind of value is brought to.

Normalising at the edge is what lets everything behind it trust a value: equal rows get equal bytes (a price is a float
whether its source sent 12, 12.0 or "12.00"), a document is built without validating again, and no input is longer than
its limit. A value that says nothing (null, blank text, an empty list) is no field at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

FieldValue = Any
"""A JSON value: null, bool, number, text, list or object."""

MAX_TITLE: Final = 2_000
MAX_DESCRIPTION: Final = 100_000
MAX_NAME: Final = 500
"""Characters of a brand, a category, a part number."""
MAX_UNIT: Final = 64
MAX_CURRENCY: Final = 8
MAX_BULLETS: Final = 100
MAX_BULLET: Final = 2_000
MAX_EANS: Final = 50
MAX_EAN: Final = 64
MAX_IMAGES: Final = 50
MAX_IMAGE: Final = 2_048
MAX_ATTRIBUTES: Final = 300
MAX_ATTRIBUTE_NAME: Final = 128
MAX_ATTRIBUTE_VALUE: Final = 2_000
MAX_AMOUNT: Final = 1e12
"""Largest price, and largest stock on either side of zero (a negative stock is a back-order)."""

_EXACT_INTEGERS: Final = 2**53
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNWANTED_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")

Normaliser = Callable[[Any], FieldValue]
"""Brings a value to its form, None where it says nothing; raises ValueError with the reason, a sentence's end."""


def text_rule(limit: int, *, lines: bool = False) -> Callable[[Any], str | None]:
    """Text of at most `limit` characters, stripped; a number is written out. Control characters become blanks."""
    unwanted = _UNWANTED_IN_LINES if lines else _UNWANTED

    def normalise(value: Any) -> str | None:
        text: str = value if type(value) is str else _written_out(value)
        if not text.isprintable():
            _require_unicode(text)
            text = unwanted.sub(" ", text)
        text = text.strip()
        if len(text) > limit:
            msg = f"has {len(text)} characters, more than {limit}"
            raise ValueError(msg)
        return text or None

    return normalise


def texts_rule(count: int, limit: int) -> Normaliser:
    """A list of at most `count` texts without blanks and repetitions; a single text is a list of one."""
    one = text_rule(limit)

    def normalise(value: Any) -> list[str] | None:
        members = value if isinstance(value, list | tuple) else (value,)
        if len(members) > count:
            msg = f"has {len(members)} members, more than {count}"
            raise ValueError(msg)
        texts = {text: None for text in map(one, (member for member in members if member is not None)) if text}
        return list(texts) or None

    return normalise


def number_rule(minimum: float, maximum: float) -> Normaliser:
    """A finite number within bounds, as a float; decimal text such as "12.50" counts as one.

    A float holds every decimal of up to 15 significant digits exactly, in the sense that `Decimal(repr(price))` gives
    it back.
    """

    def normalise(value: Any) -> float | None:
        if type(value) is str:
            if not value.strip():
                return None
            value = decimal_text(value)
        elif type(value) is not float and type(value) is not int:
            msg = f"is not a number but {shown(value)}"
            raise ValueError(msg)
        if not minimum <= value <= maximum:
            msg = f"is {shown(value)}, not between {minimum:g} and {maximum:g}"
            raise ValueError(msg)
        return float(value) + 0.0  # adding zero turns -0.0 into 0.0, which has other bytes

    return normalise


def decimal_text(text: str) -> float:
    """Read decimal text with a point: `12.50`, `-3`, `1e3`.

    Raises:
        ValueError: it is something else; thousands separators and decimal commas are ambiguous and not guessed.
    """
    stripped = text.strip()
    if len(stripped) > 400 or not _DECIMAL.fullmatch(stripped):
        msg = f"is not a decimal number with a point: {shown(text)}"
        raise ValueError(msg)
    number = float(stripped)
    if math.isinf(number):
        msg = f"is beyond every number: {shown(text)}"
        raise ValueError(msg)
    return number


_category_text = text_rule(MAX_NAME)


def category(value: Any) -> str | None:
    """A category, or its path from the root as a list; members that say nothing are left out."""
    if not isinstance(value, list):
        return _category_text(value)
    return _category_text(" > ".join(filter(None, map(_category_text, filter(None, value)))))


_currency_text = text_rule(MAX_CURRENCY)


def currency(value: Any) -> str | None:
    """A currency's code, in capitals."""
    text = _currency_text(value)
    return text.upper() if text else None


_attribute_text = text_rule(MAX_ATTRIBUTE_VALUE)


def attribute_value(value: Any) -> str | float | bool | None:
    """An attribute's value: text, number or yes/no; a list of them is joined to one text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return float(value) if -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS else _attribute_text(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = "is not a finite number"
            raise ValueError(msg)
        return value + 0.0
    if isinstance(value, list):
        members = (_attribute_text(member) for member in value if member is not None)
        return _attribute_text(", ".join(filter(None, members)))
    return _attribute_text(value)


def attribute_name(name: str) -> str:
    """An attribute's name: 1 to 128 printable characters.

    Raises:
        ValueError: it is another.
    """
    if not name or len(name) > MAX_ATTRIBUTE_NAME or not name.isprintable():
        msg = f"has an attribute name that is not 1-{MAX_ATTRIBUTE_NAME} printable characters: {name[:80]!r}"
        raise ValueError(msg)
    return name


def attributes(value: Any) -> dict[str, str | float | bool] | None:
    """Attributes by name; those that say nothing are left out."""
    if not isinstance(value, dict):
        msg = f"is not an object but {shown(value)}"
        raise ValueError(msg)  # noqa: TRY004  # every rule reports by ValueError; the caller names the field
    if len(value) > MAX_ATTRIBUTES:
        msg = f"has {len(value)} members, more than {MAX_ATTRIBUTES}"
        raise ValueError(msg)
    attributes = {}
    for name, raw in value.items():
        try:
            normal = attribute_value(raw)
        except ValueError as error:
            msg = f"has a member {name[:80]!r} that {error}"
            raise ValueError(msg) from error
        if normal is not None:
            attributes[attribute_name(name)] = normal
    return attributes or None


def _written_out(value: Any) -> str:
    """A number where text is expected (a part number, an EAN) is written out; anything else is an error."""
    if type(value) is int:
        return str(value)
    if type(value) is float and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT_INTEGERS else repr(value)
    msg = f"is not text but {shown(value)}"
    raise ValueError(msg)


def _require_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        msg = "is not valid Unicode"
        raise ValueError(msg) from error


def shown(value: Any) -> str:
    """A value for a message, with its JSON type and at most 60 characters of it."""
    names = {dict: "an object", list: "a list", bool: "a boolean", type(None): "null"}
    name = names.get(type(value))
    return name if name is not None else repr(value if not isinstance(value, str) else value[:60])[:62]
