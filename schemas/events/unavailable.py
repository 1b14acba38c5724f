"""The value that Debezium puts where PostgreSQL did not send an unchanged, out-of-line (TOASTed) column.

The placeholder keeps the column's type, so it comes in several dresses: plain text; the text's bytes in base64, URL-safe
base64 or hex (`binary.handling.mode`); an array of one of these, or of the bytes as integers, or of a UUID made of
them; a map from the placeholder to itself (hstore), as an object or as JSON text. Indexing one of them as if it were a
value would overwrite a description with nonsense.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from hashlib import md5
from typing import Any, Final
from uuid import UUID

import orjson

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
