"""A mapping made fast: patterns, columns and conversions resolved once at load, one lookup a record afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Any, Final

from schemas.building import DocumentPolicy
from schemas.changes import FacetKey, FieldValue, facet_key
from schemas.errors import InvalidEventError, InvalidMappingError, MissingKeyError
from schemas.events.connect_types import Decoder
from schemas.events.positions import SourceRule
from schemas.events.unavailable import UnavailableValue
from schemas.fields import (
    ATTRIBUTE_PREFIX,
    LIST_FIELDS,
    MAX_ATTRIBUTE_NAME,
    MAX_ATTRIBUTES,
    Normaliser,
    attribute_value,
    canonical_field_name,
    field_rule,
)
from schemas.identity import SkuKey, TenantId, sku_id, tenant_id
from schemas.mapping import model
from schemas.mapping.columns import Convert, comparable, converter, identity_text

Row = Mapping[str, Any]

_MAX_KNOWN_TABLES: Final = 10_000
"""Resolved tables that are remembered; a flood of invented names must not fill the memory."""


@dataclass(frozen=True, slots=True)
class TableName:
    """Where a row is from, as its source names it; empty where the connector has no such level."""

    connector: str
    server: str
    database: str
    schema: str
    table: str

    def __str__(self) -> str:
        return ".".join(filter(None, (self.schema or self.database, self.table))) or "(no table)"


@dataclass(frozen=True, slots=True)
class RowIdentity:
    """Which register a row belongs to."""

    key: SkuKey
    facet: FacetKey


@dataclass(frozen=True, slots=True)
class _KeyPart:
    """A part of the identity. `optional` parts are unnamed where no candidate column exists."""

    what: str
    columns: tuple[str, ...]
    template: str | None
    constant: str | None
    names: Mapping[str, str]
    any_of: bool

    @property
    def from_row(self) -> bool:
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
class _Field:
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


@dataclass(frozen=True, slots=True)
class CompiledTable:
    """One entry of the mapping, ready for rows."""

    name: str
    facet: str
    tenant: _KeyPart
    sku: _KeyPart
    instance: _KeyPart | None
    fields: tuple[_Field, ...]
    mapped_columns: frozenset[str]
    keeps_rest: bool
    deleted: Callable[[Row], bool] | None
    default_tenant: TenantId
    unavailable: UnavailableValue

    def identity(self, row: Row, decoders: Mapping[str, Decoder]) -> RowIdentity:
        """Which register the row belongs to.

        Raises:
            MissingKeyError: a column of the identity is missing or empty.
            InvalidEventError: a part of the identity is not allowed.
        """
        sku = self.sku.read(row, decoders, self.unavailable)
        if sku is None:
            msg = f"none of the columns that may hold the sku is in the row: {', '.join(self.sku.columns)}"
            raise MissingKeyError(msg)
        tenant = self.tenant.read(row, decoders, self.unavailable)
        facet = self.facet
        if self.instance is not None:
            instance = self.instance.read(row, decoders, self.unavailable)
            facet = facet if instance is None else f"{facet}:{instance}"
        key = SkuKey(self.default_tenant if tenant is None else tenant_id(tenant), sku_id(sku))
        return RowIdentity(key, facet_key(facet))

    def values(self, row: Row, decoders: Mapping[str, Decoder]) -> tuple[dict[str, FieldValue], frozenset[str]]:
        """The row's fields in their form, and the names of those that the source could not give.

        Raises:
            InvalidEventError: a column breaks a rule; the message names it.
        """
        values: dict[str, FieldValue] = {}
        missing: list[str] = []
        for mapped in self.fields:
            value, not_given = mapped.read(row, decoders, self.unavailable)
            if not_given:
                missing.append(mapped.name)
            elif value is not None:
                values[mapped.name] = value
        if self.keeps_rest:
            self._add_rest(row, decoders, values, missing)
        return values, frozenset(missing)

    def _add_rest(
        self, row: Row, decoders: Mapping[str, Decoder], values: dict[str, FieldValue], missing: list[str]
    ) -> None:
        """Columns that no field names, as attributes; what no attribute can hold (objects, long text) is left out."""
        for column, raw in row.items():
            if column in self.mapped_columns or raw is None or len(column) > MAX_ATTRIBUTE_NAME:
                continue
            if len(values) >= MAX_ATTRIBUTES:
                return
            if self.unavailable.matches(raw):
                missing.append(ATTRIBUTE_PREFIX + column)
                continue
            decoder = decoders.get(column)
            try:
                value = attribute_value(raw if decoder is None else decoder(raw))
            except ValueError:
                continue  # not said to be a field, and of no form that an attribute can have
            if value is not None:
                values[ATTRIBUTE_PREFIX + column] = value


@dataclass(slots=True)
class CompiledMapping:
    """The whole mapping: the entry of a table, the rule of a source, the document policy."""

    default_tenant: TenantId
    policy: DocumentPolicy
    unavailable: UnavailableValue
    _tables: Sequence[tuple[Callable[[TableName], bool], CompiledTable]]
    _ignored: Sequence[Callable[[TableName], bool]]
    _sources: Sequence[tuple[Callable[[TableName], bool], SourceRule]]
    _known: dict[TableName, tuple[CompiledTable | None, SourceRule, bool]] = field(default_factory=dict)

    def resolve(self, name: TableName) -> tuple[CompiledTable | None, SourceRule, bool]:
        """The table's entry (None: there is none), its source's rule, and whether its changes are ignored."""
        known = self._known.get(name)
        if known is None:
            entry = next((entry for matches, entry in self._tables if matches(name)), None)
            rule = next((rule for matches, rule in self._sources if matches(name)), SourceRule())
            known = (entry, rule, any(matches(name) for matches in self._ignored))
            if len(self._known) >= _MAX_KNOWN_TABLES:
                self._known.clear()
            self._known[name] = known
        return known


def compile_mapping(mapping: model.Mapping, default_tenant: str = "default") -> CompiledMapping:
    """Make a mapping ready for use. `default_tenant` is the setting's, for rows and files that name none.

    Raises:
        InvalidMappingError: an entry contradicts itself; the message names it.
    """
    try:
        tenant = tenant_id(mapping.tenant if mapping.tenant is not None else default_tenant)
    except InvalidEventError as error:
        msg = f"tenant: {error}"
        raise InvalidMappingError(msg) from error
    unavailable = UnavailableValue(mapping.unavailable_value)
    stock_from = mapping.documents.stock_from
    return CompiledMapping(
        default_tenant=tenant,
        policy=DocumentPolicy(mapping.documents.price_list, frozenset(stock_from) if stock_from else None),
        unavailable=unavailable,
        _tables=[
            (_matcher(table.match), _compile_table(table, f"tables[{index}]", tenant, unavailable))
            for index, table in enumerate(mapping.tables)
        ],
        _ignored=[_matcher(match) for match in mapping.ignore],
        _sources=[(_matcher(source.match), SourceRule(source.epoch, source.version)) for source in mapping.sources],
    )


def _compile_table(
    table: model.Table, place: str, default_tenant: TenantId, unavailable: UnavailableValue
) -> CompiledTable:
    where = f"{place} {table.name!r}" if table.name else place
    tenant = _key_part(table.tenant or model.KeySource(constant=default_tenant), "tenant")
    if tenant.constant is not None:
        try:
            tenant_id(tenant.constant)
        except InvalidEventError as error:
            msg = f"{where}: {error}"
            raise InvalidMappingError(msg) from error
    sku = _key_part(table.sku, "sku")
    if not sku.from_row:
        msg = f"{where}: sku is the same for every row; name the column that holds it"
        raise InvalidMappingError(msg)
    instance = None if table.instance is None else _key_part(table.instance, f"instance of {table.facet}")
    fields = tuple(_compile_field(name, source, table.facet, where) for name, source in table.fields.items())
    parts = (tenant, sku) if instance is None else (tenant, sku, instance)
    used = {column for part in parts for column in part.columns} | {name for one in fields for name in one.columns}
    if table.deleted_when is not None:
        used.add(table.deleted_when.column)
    return CompiledTable(
        name=table.name or place,
        facet=table.facet,
        tenant=tenant,
        sku=sku,
        instance=instance,
        fields=fields,
        mapped_columns=frozenset(used),
        keeps_rest=table.rest == "attributes",
        deleted=None if table.deleted_when is None else _deletion(table.deleted_when),
        default_tenant=default_tenant,
        unavailable=unavailable,
    )


def _key_part(source: model.KeySource, what: str) -> _KeyPart:
    return _KeyPart(
        what=what,
        columns=_columns(source),
        template=source.template,
        constant=None if source.constant is None else str(source.constant),
        names=source.names,
        any_of=source.first_of is not None,
    )


def _columns(source: model.ColumnSource) -> tuple[str, ...]:
    if source.column is not None:
        return (source.column,)
    if source.template is not None:
        return model.template_columns(source.template)
    return source.first_of or ()


def _compile_field(name: str, source: model.FieldSource, facet: str, where: str) -> _Field:
    try:
        rule = field_rule(facet, name)
        constant = None if source.constant is None else rule(source.constant)
    except (InvalidEventError, ValueError) as error:
        msg = f"{where}: fields.{name}: {error}"
        raise InvalidMappingError(msg) from error
    return _Field(
        name=canonical_field_name(name),
        columns=_columns(source),
        template=source.template,
        constant=constant,
        convert=converter(source),
        rule=rule,
        required=source.first_of is None and source.constant is None,
        gathers=canonical_field_name(name) in LIST_FIELDS and source.template is None,
    )


def _deletion(rule: model.DeletedWhen) -> Callable[[Row], bool]:
    column = rule.column
    if rule.is_set is not None:
        wanted = rule.is_set
        return lambda row: (row.get(column) not in {None, ""}) is wanted
    equals = rule.equals if isinstance(rule.equals, tuple) else (rule.equals,)
    deleted = frozenset(map(comparable, equals))
    return lambda row: row.get(column) is not None and comparable(row[column]) in deleted


def _matcher(match: model.Match) -> Callable[[TableName], bool]:
    tables = (match.table,) if isinstance(match.table, str) else match.table
    patterns = [
        _pattern([match.connector]),
        _pattern([match.server]),
        _pattern([match.database]),
        _pattern([match.schema_]),
        _pattern(tables),
    ]

    def matches(name: TableName) -> bool:
        parts = (name.connector, name.server, name.database, name.schema, name.table)
        return all(pattern is None or pattern.fullmatch(part) for pattern, part in zip(patterns, parts, strict=True))

    return matches


def _pattern(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """One expression for several wildcard patterns; None where every name matches."""
    if "*" in patterns:
        return None
    return re.compile("|".join(translate(pattern) for pattern in patterns), re.IGNORECASE)
