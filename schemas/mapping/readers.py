"""Reading a row by the mapping: the parts of its identity, and its fields, each resolved once at load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import InvalidEventError, InvalidMappingError, MissingKeyError
from schemas.mapping import model
from schemas.mapping.columns import Convert, converter, identity_text
from schemas.mapping.connect_types import Decoder, UnavailableValue
from schemas.normalisers import FieldValue, Normaliser
from schemas.product.fields import LIST_FIELDS, canonical_field_name, field_rule

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeyPart:
    """A part of the identity. `optional` parts are unnamed where no candidate column exists."""

    what: str
    columns: tuple[str, ...]
    template: str | None
    constant: str | None
    names: Mapping[str, str]
    any_of: bool

    @property
    def from_row(self) -> bool:
        """Whether the part is read from the row, not the same for all."""
        return self.constant is None

    def read(self, row: Row, decoders: Mapping[str, Decoder], unavailable: UnavailableValue) -> str | None:
        """The part's text; None where no candidate column exists in the row.

        Raises:
            MissingKeyError: the column is there but empty or unavailable, or a column that is named is not there.
        """
        if self.constant is not None:
            return self.constant
        if self.any_of:
            column = next((name for name in self.columns if name in row), None)
            return None if column is None else self._named(self._value(row, column, decoders, unavailable))
        values = {name: self._value(row, name, decoders, unavailable) for name in self.columns}
        if self.template is not None:
            return self._named(self.template.format_map(values))
        return self._named(values[self.columns[0]])

    def _named(self, text: str) -> str:
        return self.names.get(text, text) if self.names else text

    def _value(self, row: Row, column: str, decoders: Mapping[str, Decoder], unavailable: UnavailableValue) -> str:
        value = row.get(column)
        text = None
        if value is not None and not unavailable.matches(value):
            try:
                decoder = decoders.get(column)
                text = identity_text(value if decoder is None else decoder(value))
            except ValueError as error:
                msg = f"column {column!r} ({self.what}) {error}"
                raise InvalidEventError(msg) from error
        if text is None:
            state = "is empty" if column in row else "is not in the row"
            msg = (
                f"column {column!r}, which holds the {self.what}, {state}: publish with a record key that has it, "
                "or set REPLICA IDENTITY FULL"
            )
            raise MissingKeyError(msg)
        return text


@dataclass(frozen=True, slots=True)
class FieldReader:
    """One field of an entry: where its value comes from and how it is brought to its form."""

    name: str
    columns: tuple[str, ...]
    template: str | None
    constant: FieldValue
    convert: Convert
    rule: Normaliser
    required: bool
    gathers: bool

    def read(self, row: Row, decoders: Mapping[str, Decoder], unavailable: UnavailableValue) -> tuple[FieldValue, bool]:
        """The field's value (None: the row has none), and whether the source could not give it.

        Raises:
            InvalidEventError: a required column is missing, or a value breaks its rule.
        """
        if not self.columns:
            return self.constant, False
        gathered: list[Any] = []
        for column in self.columns:
            value = row.get(column)
            if value is None:
                if self.required and column not in row:
                    msg = f"the row has no column {column!r}, which the mapping names for field {self.name!r}"
                    raise InvalidEventError(msg)
                continue
            if unavailable.matches(value):
                return None, True
            normal = self._normal(column, value, decoders)
            if normal is None:
                continue
            if self.gathers:
                gathered.extend(normal)
            elif self.template is None:
                return normal, False
        if self.gathers:
            return list(dict.fromkeys(gathered)) or None, False
        return (self._rendered(row, decoders), False) if self.template is not None else (None, False)

    def _normal(self, column: str, value: Any, decoders: Mapping[str, Decoder]) -> FieldValue:
        try:
            decoder = decoders.get(column)
            decoded = value if decoder is None else decoder(value)
            if decoded is None or self.template is not None:
                return None
            converted = self.convert(decoded)
            return None if converted is None else self.rule(converted)
        except ValueError as error:
            msg = f"column {column!r} (field {self.name!r}) {error}"
            raise InvalidEventError(msg) from error

    def _rendered(self, row: Row, decoders: Mapping[str, Decoder]) -> FieldValue:
        values = {}
        for column in self.columns:
            value = row.get(column)
            decoder = decoders.get(column)
            shown = value if decoder is None or value is None else decoder(value)
            values[column] = "" if shown is None else str(shown)
        try:
            return self.rule(" ".join(str(self.template).format_map(values).split()))
        except ValueError as error:
            msg = f"field {self.name!r} {error}"
            raise InvalidEventError(msg) from error


def compile_key_part(source: model.KeySource, what: str) -> KeyPart:
    """Make a part of the identity ready for rows; `what` names it in messages."""
    return KeyPart(
        what=what,
        columns=source_columns(source),
        template=source.template,
        constant=None if source.constant is None else str(source.constant),
        names=source.names,
        any_of=source.first_of is not None,
    )


def compile_field(name: str, source: model.FieldSource, facet: str, where: str) -> FieldReader:
    """Make a mapped field ready for rows; `where` is the entry, for messages.

    Raises:
        InvalidMappingError: the facet has no such field, or a constant breaks its rule.
    """
    try:
        rule = field_rule(facet, name)
        constant = None if source.constant is None else rule(source.constant)
    except (InvalidEventError, ValueError) as error:
        msg = f"{where}: fields.{name}: {error}"
        raise InvalidMappingError(msg) from error
    return FieldReader(
        name=canonical_field_name(name),
        columns=source_columns(source),
        template=source.template,
        constant=constant,
        convert=converter(source),
        rule=rule,
        required=source.first_of is None and source.constant is None,
        gathers=canonical_field_name(name) in LIST_FIELDS and source.template is None,
    )


def source_columns(source: model.ColumnSource) -> tuple[str, ...]:
    """The columns that a value is read from; none where it is constant."""
    if source.column is not None:
        return (source.column,)
    if source.template is not None:
        return model.template_columns(source.template)
    return source.first_of or ()
