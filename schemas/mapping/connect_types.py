"""Values of Kafka Connect's and Debezium's logical types, decoded to plain JSON values.

JSON has no decimal, date or bytes, so Connect writes them as base64 and counts, and says what they are in the schema
envelope (`"name": "org.apache.kafka.connect.data.Decimal"`). With the envelope the types are read from it; without, the
mapping file gives the type of the columns that need one.

Debezium puts a placeholder where PostgreSQL did not send an unchanged, out-of-line (TOASTed) column. It keeps the column's type, so it
comes in several forms: plain text; the text's bytes in base64, URL-safe base64 or hex (`binary.handling.mode`); an array of one of
these, or of the bytes as integers, or of a UUID made of them; a map from the placeholder to itself (hstore), as an object or as JSON
text. Indexing one of them as if it were a value would overwrite a description with nonsense.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import md5
from typing import Any, Final
from uuid import UUID

import orjson

Decoder = Callable[[Any], Any]
"""Decodes one column's value; None stays out of it. Raises ValueError with a sentence's end."""

_DAY_ZERO: Final = date(1970, 1, 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_BYTES: Final = 512
_MAX_SCALE: Final = 1_000


def decode_decimal(encoded: str, scale: int) -> int | float:
    """Connect's Decimal: base64 of the big-endian two's complement unscaled number, to be divided by 10**scale.

    Raises:
        ValueError: it is no base64, or absurdly large.
    """
    try:
        raw = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"is not a decimal in base64: {encoded[:60]!r}"
        raise ValueError(msg) from error
    if not raw or len(raw) > _MAX_BYTES or abs(scale) > _MAX_SCALE:
        msg = f"is not a decimal of a sensible size: {encoded[:60]!r} with scale {scale}"
        raise ValueError(msg)
    unscaled = int.from_bytes(raw, "big", signed=True)
    return unscaled if scale == 0 else plain_number(Decimal(unscaled).scaleb(-scale))


def plain_number(value: Decimal) -> int | float:
    """A decimal as a JSON number: an integer where it is one, else the nearest float.

    Raises:
        ValueError: it is not finite, or beyond every float.
    """
    if not value.is_finite() or value.adjusted() > 300:
        msg = "is beyond every number"
        raise ValueError(msg)
    return int(value) if value == value.to_integral_value() and value.adjusted() < 18 else float(value)


def variable_scale_decimal(value: Any) -> int | float | None:
    """Debezium's VariableScaleDecimal, an object of a scale and base64; None where the value is none.

    Raises:
        ValueError: it has the form but not the content.
    """
    if type(value) is dict and value.keys() == {"scale", "value"}:
        scale, encoded = value["scale"], value["value"]
        if type(scale) is int and type(encoded) is str:
            return decode_decimal(encoded, scale)
    return None


def date_of_days(value: Any) -> Any:
    """Days since 1970 as ISO 8601 text."""
    return _counted(value, lambda days: (_DAY_ZERO + timedelta(days=days)).isoformat())


def timestamp_of(per_second: int) -> Decoder:
    """A decoder of counts since 1970 (1,000, 1,000,000 or 1,000,000,000 a second) to ISO 8601 text without a zone.

    Debezium's counts stand for the wall clock of a column without a zone, so none is claimed.
    """

    def render(count: int) -> str:
        microseconds = count * 1_000_000 // per_second
        return (_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat()

    return lambda value: _counted(value, render)


def _time_of(per_second: int) -> Decoder:
    def render(count: int) -> str:
        microseconds = count * 1_000_000 // per_second
        return (_EPOCH + timedelta(microseconds=microseconds)).time().isoformat()

    return lambda value: _counted(value, render)


def _counted(value: Any, render: Callable[[int], str]) -> Any:
    if type(value) is not int:
        return value  # already text: another precision mode of the connector, or a converter of the user's
    try:
        return render(value)
    except OverflowError as error:
        msg = f"is a time out of range: {value}"
        raise ValueError(msg) from error


def _decimal_of(parameters: Mapping[str, Any]) -> Decoder:
    try:
        scale = int(parameters.get("scale", 0))
    except (TypeError, ValueError):
        scale = _MAX_SCALE + 1  # reported by decode_decimal, with the value
    return lambda value: decode_decimal(value, scale) if type(value) is str else value


def _variable(value: Any) -> Any:
    number = variable_scale_decimal(value)
    return value if number is None else number


_BY_NAME: Final[Mapping[str, Decoder]] = {
    "io.debezium.data.VariableScaleDecimal": _variable,
    "io.debezium.time.Date": date_of_days,
    "org.apache.kafka.connect.data.Date": date_of_days,
    "io.debezium.time.Timestamp": timestamp_of(1_000),
    "io.debezium.time.MicroTimestamp": timestamp_of(1_000_000),
    "io.debezium.time.NanoTimestamp": timestamp_of(1_000_000_000),
    "org.apache.kafka.connect.data.Timestamp": timestamp_of(1_000),
    "io.debezium.time.Time": _time_of(1_000),
    "io.debezium.time.MicroTime": _time_of(1_000_000),
    "io.debezium.time.NanoTime": _time_of(1_000_000_000),
    "org.apache.kafka.connect.data.Time": _time_of(1_000),
}
"""Types that are plain already (ZonedTimestamp, Year, Enum, Json, Uuid) have no decoder."""

_DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"


def _no_text(value: Any) -> None:
    """Raw bytes (a BLOB, a bit string) say nothing to a searcher."""
    del value


def struct_decoders(schema: Any) -> dict[str, Decoder]:
    """Per column the decoder that its Connect schema asks for; columns of plain types are left out."""
    fields = schema.get("fields") if type(schema) is dict else None
    decoders: dict[str, Decoder] = {}
    for field in fields if type(fields) is list else ():
        if type(field) is not dict:
            continue
        column, name = field.get("field"), field.get("name")
        if type(column) is not str:
            continue
        if name == _DECIMAL:
            parameters = field.get("parameters")
            decoders[column] = _decimal_of(parameters if type(parameters) is dict else {})
        elif type(name) is str and name in _BY_NAME:
            decoders[column] = _BY_NAME[name]
        elif field.get("type") == "bytes":
            decoders[column] = _no_text
    return decoders


def row_decoders(envelope_schema: Any) -> dict[str, Decoder]:
    """The decoders of a change event's row, from the schema of its envelope (`after`, or `before` of older ones)."""
    fields = envelope_schema.get("fields") if type(envelope_schema) is dict else None
    blocks = {
        field["field"]: field
        for field in (fields if type(fields) is list else ())
        if type(field) is dict and field.get("field") in ("after", "before")
    }
    return struct_decoders(blocks.get("after") or blocks.get("before"))


DEFAULT_PLACEHOLDER: Final = "__debezium_unavailable_value"


class UnavailableValue:
    """Recognises one placeholder in all its encodings; the connector's `unavailable.value.placeholder` sets the text."""

    __slots__ = ("_integers", "_texts", "texts")

    def __init__(self, placeholder: str = DEFAULT_PLACEHOLDER) -> None:
        raw = placeholder.encode()
        base64 = (b64encode(raw).decode(), urlsafe_b64encode(raw).decode())
        uuid = str(UUID(bytes=md5(raw, usedforsecurity=False).digest(), version=3))  # Java's UUID.nameUUIDFromBytes
        scalars = {placeholder, *base64, *(text.rstrip("=") for text in base64), raw.hex(), raw.hex().upper()}
        hstore = orjson.dumps({placeholder: placeholder}).decode()
        self.texts: Final = frozenset(
            {*scalars, hstore, hstore.replace(":", ": "), f"[{orjson.dumps(placeholder).decode()}]"}
        )
        self._texts: Final = frozenset({*scalars, uuid})
        self._integers: Final = list(raw)

    def matches(self, value: Any) -> bool:
        """Whether a column's value is the placeholder."""
        kind = type(value)
        if kind is str:
            return value in self.texts
        if kind is list and value:
            return (len(value) == 1 and self._is_text(value[0])) or value == self._integers
        if kind is dict and len(value) == 1:
            [(name, member)] = value.items()
            return name in self._texts and self._is_text(member)
        return False

    def _is_text(self, value: Any) -> bool:
        return type(value) is str and value in self._texts
