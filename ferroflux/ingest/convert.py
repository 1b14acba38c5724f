"""A row into change events: the product's item facet, and its price and stock as facets of their own.

Price and stock are facets of their own so that a later change of either, from any source, need not know the rest. An
empty price or stock cell says nothing and changes nothing; every other cell is a part of the full row of the item.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from ferroflux.ingest import values
from ferroflux.ingest.columns import ColumnMapping, ResolvedColumns
from ferroflux.ingest.rows import Row, UnreadableRow
from runtime.clock import SYSTEM_CLOCK
from runtime.isolation import Batch, Isolation
from schemas.catalogue import PLAIN, Kind
from schemas.errors import FerrofluxError
from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.product.fields import normalise_fields
from schemas.version import SourceVersion

T = TypeVar("T")

PRICE_FACET: Final = FacetKey("price")
STOCK_FACET: Final = FacetKey("stock")

_ISOLATED_ROWS: Final = 1_000
"""Of which one per cent may show a defect of ours; see `runtime.isolation`."""

_MOST_DIGITS: Final = 40
"""Of a version's number, which has at most 20 and may begin with zeros."""

_READERS: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.TEXT: values.text,
    Kind.TEXTS: values.texts,
    Kind.SENTENCES: values.sentences,
}
_ITEM_CELLS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    field.alias or field.name: (field.name, _READERS[field.kind]) for field in PLAIN if field.kind in _READERS
}
"""Field of a row to field of the item facet, and how its cell is read."""
_NUMBERS: Final = tuple(field.name for field in PLAIN if field.kind is Kind.NUMBER)


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """A change event as it travels: the record key and the canonical JSON; beside it the event, where it is one of a facet."""

    key: bytes
    value: bytes
    event: ChangeEvent | None = None

    @classmethod
    def of(cls, event: ChangeEvent, source: str | None = None) -> EncodedEvent:
        """Encode one event of a source; of none by name, of the default one."""
        return cls(event.key.kafka_key, encode_event(event, source), event)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that became no events: its line, what the file says there, and why."""

    line: int
    raw: str
    reason: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A row's events, its tenant, and the row itself, which a target may refuse."""

    row: Row
    tenant: str
    changes: tuple[EncodedEvent, ...]

    def rejected(self, reason: str) -> Rejected:
        """The row as one that the target does not take."""
        return Rejected(self.row.line, _as_it_stands(self.row), reason)


@dataclass(slots=True)
class RowConverter:
    """Converts rows. `first_sequence` plus the row's number is its version, unless a column gives one.

    A row further down is thereby newer, so that of two rows of one SKU the last stands, as in any import.
    """

    mapping: ColumnMapping
    first_sequence: int
    tenant: str = ""
    currency: str = ""
    decimal_comma: bool = False
    epoch: int = 0
    source: str | None = None
    _resolved: dict[tuple[str, ...], ResolvedColumns] = field(default_factory=dict)
    _isolation: Isolation = field(default_factory=lambda: Isolation("the conversion of rows"))
    _isolated: Batch[Row] = field(init=False)
    _rows: int = 0

    def convert(self, row: Row | UnreadableRow, number: int) -> Converted | Rejected:
        """Convert the row with this number (0 is the first).

        Raises:
            DefectError: of many rows each showed a defect of ours.
        """
        if isinstance(row, UnreadableRow):
            return Rejected(row.line, row.raw, row.reason)
        if self._rows % _ISOLATED_ROWS == 0:
            self._isolated = self._isolation.batch(_ISOLATED_ROWS)
        self._rows += 1
        with self._isolated.one(row, name=f"line {row.line}"):
            try:
                return self._convert(row, number)
            except (FerrofluxError, values.CellError) as error:
                return Rejected(row.line, _as_it_stands(row), str(error))
            except RecursionError:
                return Rejected(
                    row.line, _as_it_stands(row), "a cell holds lists within lists, deeper than any is read"
                )
        reason = self._isolated.set_apart[-1].reason
        return Rejected(row.line, _as_it_stands(row), f"{reason.code}: {reason.detail}")

    def columns(self, names: tuple[str, ...]) -> ResolvedColumns:
        """How rows with these columns are read."""
        resolved = self._resolved.get(names)
        if resolved is None:
            # Rows of a JSON file may each have other columns; there are few different sets, but none must grow for ever.
            if len(self._resolved) >= 1_000:
                self._resolved.clear()
            resolved = self._resolved[names] = self.mapping.resolve(names)
        return resolved

    def _convert(self, row: Row, number: int) -> Converted:
        cells = row.cells
        resolved = self.columns(tuple(cells))
        given = {name: cells.get(column) for name, column in resolved.columns.items()}
        key = self._key(given)
        version = self._version(given.get("sequence"), number)
        events = [self._event(key, ITEM_FACET, version, self._item(given, cells, resolved))]
        price = _cell("price", lambda: values.number(given.get("price"), decimal_comma=self.decimal_comma))
        if price is not None:
            currency = values.text(given.get("currency")) or self.currency
            events.append(self._event(key, PRICE_FACET, version, {"price": price, "currency": currency}))
        stock = _cell("stock", lambda: values.number(given.get("stock"), decimal_comma=self.decimal_comma))
        if stock is not None:
            events.append(self._event(key, STOCK_FACET, version, {"stock": stock}))
        return Converted(row, key.tenant, tuple(EncodedEvent.of(event, self.source) for event in events))

    def _key(self, given: Mapping[str, Any]) -> SkuKey:
        sku = values.text(given.get("sku"))
        if not sku:
            raise values.CellError("no SKU: name its column with --map sku=COLUMN")
        tenant = values.text(given.get("tenant")) or self.tenant
        if not tenant:
            raise values.CellError("no tenant: give --tenant NAME, or name its column with --map tenant=COLUMN")
        return SkuKey.of(tenant, sku)

    def _version(self, cell: Any, number: int) -> SourceVersion:
        if values.is_nothing(cell):
            return SourceVersion.of(self.first_sequence + number, self.epoch)
        given = values.text(cell)
        if not given.isdecimal() or len(given) > _MOST_DIGITS:
            raise values.CellError(f"sequence {given[:40]!r} is not a whole number")
        return SourceVersion.of(int(given), self.epoch)

    def _item(self, given: Mapping[str, Any], cells: Mapping[str, Any], resolved: ResolvedColumns) -> dict[str, Any]:
        fields = {
            target: read
            for name, (target, reader) in _ITEM_CELLS.items()
            if name in given and (read := _cell(name, lambda: reader(given[name])))  # noqa: B023 - called at once
        }
        for name in _NUMBERS:
            read = _cell(name, lambda: values.number(given.get(name), decimal_comma=self.decimal_comma))  # noqa: B023 - called at once
            if read is not None:
                fields[name] = read
        attributes = {
            column: values.attribute(cells[column]) for column in resolved.extra if not values.is_nothing(cells[column])
        }
        attributes |= _cell("attributes", lambda: values.attributes(given.get("attributes")))
        if attributes:
            fields["attributes"] = attributes
        if "title" not in fields:
            raise values.CellError("no title: name its column with --map title=COLUMN")
        return fields

    @staticmethod
    def _event(key: SkuKey, facet: FacetKey, version: SourceVersion, fields: Mapping[str, Any]) -> ChangeEvent:
        return ChangeEvent(key, facet, version, normalise_fields(facet, fields), changed_at_us=SYSTEM_CLOCK.now_us())


def _as_it_stands(row: Row) -> str:
    try:
        return orjson.dumps(row.cells, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # nested too deep, or a number that JSON does not have
        return reprlib.repr(row.cells)


def _cell(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except values.CellError as error:
        raise values.CellError(f"{name}: {error}") from error
