"""A mapping made fast: patterns, columns and conversions resolved once at load, one lookup a record afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.errors import InvalidEventError, InvalidMappingError, MissingKeyError
from schemas.identity import SkuKey, TenantId, sku_id, tenant_id
from schemas.mapping import model
from schemas.mapping.columns import comparable
from schemas.mapping.connect_types import Decoder, UnavailableValue
from schemas.mapping.matching import TableName, matcher
from schemas.mapping.positions import SourceRule
from schemas.mapping.readers import FieldReader, KeyPart, Row, compile_field, compile_key_part
from schemas.mapping.spelling import ColumnSpelling
from schemas.normalisers import MAX_ATTRIBUTE_NAME, MAX_ATTRIBUTES, FieldValue, attribute_value
from schemas.product.building import DocumentPolicy
from schemas.product.changes import FacetKey, facet_key
from schemas.product.fields import ATTRIBUTE_PREFIX
from schemas.product.sources import Declared

_MAX_KNOWN_TABLES: Final = 10_000
"""Resolved tables that are remembered; a flood of invented names must not fill the memory."""


@dataclass(frozen=True, slots=True)
class RowIdentity:
    """Which register a row belongs to."""

    key: SkuKey
    facet: FacetKey


@dataclass(frozen=True, slots=True)
class CompiledTable:
    """One entry of the mapping, ready for rows."""

    name: str
    facet: str
    tenant: KeyPart
    sku: KeyPart
    instance: KeyPart | None
    fields: tuple[FieldReader, ...]
    mapped_columns: frozenset[str]
    keeps_rest: bool
    deleted: Callable[[Row], bool] | None
    default_tenant: TenantId
    unavailable: UnavailableValue
    spelling: ColumnSpelling
    """Rows and decoders go through it before the methods read them."""

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
    declared: Declared = field(default_factory=Declared)
    """The facets of which the file says who feeds them."""
    _counting: frozenset[str] = frozenset()
    _known: dict[TableName, tuple[CompiledTable | None, SourceRule, bool]] = field(default_factory=dict)

    def counts(self, source: str) -> bool:
        """Whether the versions of canonical events of this source are said to be a count, never a clock."""
        return source in self._counting

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
            (matcher(table.match), _compile_table(table, f"tables[{index}]", tenant, unavailable))
            for index, table in enumerate(mapping.tables)
        ],
        _ignored=[matcher(match) for match in mapping.ignore],
        _sources=[
            (matcher(source.match), SourceRule(source.epoch, source.version, source.name)) for source in mapping.sources
        ],
        declared=_declared(mapping),
        _counting=frozenset(source.name for source in mapping.sources if source.name and source.version == "position"),
    )


def _declared(mapping: model.Mapping) -> Declared:
    epochs = {source.name: source.epoch for source in reversed(mapping.sources) if source.name}
    declared: dict[tuple[str, str], dict[str, int]] = {}
    for index, facet in enumerate(mapping.facets):
        place = (facet.tenant or "", facet.facet)
        if place in declared:
            whose = f"of tenant {facet.tenant}" if facet.tenant else "of every tenant"
            msg = (
                f"facets[{index}]: facet {facet.facet} {whose} is declared twice; name all of its sources in one entry"
            )
            raise InvalidMappingError(msg)
        declared[place] = {name: epochs.get(name, 0) for name in facet.fed_by}
    return Declared(declared)


def _compile_table(
    table: model.Table, place: str, default_tenant: TenantId, unavailable: UnavailableValue
) -> CompiledTable:
    where = f"{place} {table.name!r}" if table.name else place
    tenant = compile_key_part(table.tenant or model.KeySource(constant=default_tenant), "tenant")
    if tenant.constant is not None:
        try:
            tenant_id(tenant.constant)
        except InvalidEventError as error:
            msg = f"{where}: {error}"
            raise InvalidMappingError(msg) from error
    sku = compile_key_part(table.sku, "sku")
    if not sku.from_row:
        msg = f"{where}: sku is the same for every row; name the column that holds it"
        raise InvalidMappingError(msg)
    instance = None if table.instance is None else compile_key_part(table.instance, f"instance of {table.facet}")
    fields = tuple(compile_field(name, source, table.facet, where) for name, source in table.fields.items())
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
        spelling=ColumnSpelling(used),
    )


def _deletion(rule: model.DeletedWhen) -> Callable[[Row], bool]:
    column = rule.column
    if rule.is_set is not None:
        wanted = rule.is_set
        return lambda row: (row.get(column) not in (None, "")) is wanted
    equals = rule.equals if isinstance(rule.equals, tuple) else (rule.equals,)
    deleted = frozenset(map(comparable, equals))
    return lambda row: row.get(column) is not None and comparable(row[column]) in deleted
