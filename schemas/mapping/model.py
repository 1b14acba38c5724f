"""The mapping file as it is written: which table feeds which facet, which column which field.

These models are the file's contract (exported as `schemas/json/mapping.json`); `schemas.mapping.compiled` turns them
into lookup tables and closures.
"""

import string
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.errors import InvalidEventError
from schemas.identity import tenant_id
from schemas.mapping.connect_types import DEFAULT_PLACEHOLDER
from schemas.product.changes import facet_key
from schemas.product.sources import MAX_SOURCE_LENGTH, source_name
from schemas.version import MAX_EPOCH

ColumnName = Annotated[str, Field(min_length=1, max_length=256)]
Pattern = Annotated[str, Field(min_length=1, max_length=256)]
Scalar = bool | int | float | str


def template_columns(template: str) -> tuple[str, ...]:
    """The columns of a template such as `{company}-{code}`, in order.

    Raises:
        ValueError: it names no column, or uses more of Python's format language than plain names.
    """
    columns = []
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if not name or spec or conversion or any(sign in name for sign in ".[]"):
            msg = f"template {template!r} may only hold plain column names in braces"
            raise ValueError(msg)
        columns.append(name)
    if not columns:
        msg = f"template {template!r} names no column"
        raise ValueError(msg)
    return tuple(columns)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnSource(_Strict):
    """Where a value comes from; exactly one of the four."""

    column: ColumnName | None = Field(None, description="One column; every row must have it.")
    first_of: tuple[ColumnName, ...] | None = Field(
        None, min_length=1, max_length=64, description="The first of these columns that the row has a value in."
    )
    template: str | None = Field(
        None, min_length=1, max_length=512, description="Several columns as one text: `{company}-{code}`."
    )
    constant: Scalar | None = Field(None, description="The same value for every row.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in ColumnSource.model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            msg = f"needs exactly one of {', '.join(ColumnSource.model_fields)}, has {', '.join(given) or 'none'}"
            raise ValueError(msg)
        if self.template is not None:
            template_columns(self.template)
        return self


class KeySource(ColumnSource):
    """Where a part of the identity comes from; `names` translates its values (a company's number to a tenant's name)."""

    names: dict[str, str] = Field(default_factory=dict, description="Value in the column to the name to use.")


class FieldSource(ColumnSource):
    """Where a field comes from, and how its column is encoded."""

    type: Literal["auto", "text", "decimal", "integer", "boolean", "list", "json", "date", "timestamp"] = Field(
        "auto", description="What the column holds, where the schema envelope does not say."
    )
    scale: int | None = Field(
        None, ge=0, le=100, description="Decimals: digits after the point, to round to or (with base64) to divide by."
    )
    encoding: Literal["text", "base64"] = Field(
        "text", description="Decimals: base64 where the connector runs with decimal.handling.mode=precise, no envelope."
    )
    separator: str = Field(",", min_length=1, max_length=8, description="Lists: what stands between the members.")
    unit: Literal["ms", "us", "ns"] = Field("us", description="Timestamps: what the count since 1970 counts.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.encoding == "base64" and (self.type != "decimal" or self.scale is None):
            msg = "encoding base64 needs type decimal and a scale"
            raise ValueError(msg)
        if self.scale is not None and self.type != "decimal":
            msg = "scale needs type decimal"
            raise ValueError(msg)
        return self


def _column(raw: Any) -> Any:
    """A bare name is a column; a bare list is the first of them."""
    if isinstance(raw, str):
        return {"column": raw}
    return {"first_of": raw} if isinstance(raw, list | tuple) else raw


def _tenant(raw: Any) -> Any:
    """A bare name is the tenant itself."""
    return {"constant": raw} if isinstance(raw, str) else raw


class _Shorthand:
    """Adds to the JSON Schema of a value the short forms that its validator accepts."""

    def __init__(self, *short: dict[str, Any]) -> None:
        self.short = short

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [*self.short, handler(core_schema)]}


_NAME = {"type": "string", "minLength": 1}
_NAMES = {"type": "array", "items": _NAME, "minItems": 1}

Key = Annotated[KeySource, BeforeValidator(_column), _Shorthand(_NAME, _NAMES)]
Tenant = Annotated[KeySource, BeforeValidator(_tenant), _Shorthand(_NAME)]
FieldFrom = Annotated[FieldSource, BeforeValidator(_column), _Shorthand(_NAME, _NAMES)]


class Match(_Strict):
    """Which tables an entry speaks of; every pattern may use `*` and `?`, and upper or lower case is the same."""

    connector: Pattern = Field("*", description="Debezium's connector: postgresql, mysql, mariadb, sqlserver, …")
    server: Pattern = Field("*", description="The connector's topic.prefix (`source.name`).")
    database: Pattern = Field("*", description="`source.db`.")
    schema_: Pattern = Field("*", alias="schema", description="`source.schema`; MySQL has none.")
    table: Pattern | tuple[Pattern, ...] = Field("*", description="`source.table`, one pattern or several.")


class Source(_Strict):
    """What the operator says of a database, or of the canonical events that carry its name: its epoch, and what orders its changes."""

    name: str = Field(
        "",
        max_length=MAX_SOURCE_LENGTH,
        description="Its name in `facets`, and in the `source` of canonical events; absent: the connector's topic.prefix.",
    )
    match: Match = Field(default_factory=Match)
    epoch: int = Field(
        0,
        ge=0,
        le=MAX_EPOCH,
        description="Raise it by one when the database starts its count again (restore, failover).",
    )
    version: Literal["auto", "position", "clock"] = Field(
        "auto",
        description="auto: LSN or binlog position where there is one, else the commit clock. Of canonical events, `position` says that their versions are a count, never a clock.",
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.name:
            _require_source(self.name)
        return self


class FacetSources(_Strict):
    """Who feeds a facet: events of any other source are refused. What is not declared here takes events of every source."""

    tenant: str | None = Field(None, description="Whose facet; absent: every tenant's.")
    facet: str = Field(
        max_length=256, description="`item`, `price` or `stock`, or one instance of it, such as `stock:branch-2`."
    )
    fed_by: tuple[str, ...] = Field(
        min_length=1,
        max_length=100,
        description="Names of sources: of `sources`, of connectors (topic.prefix), or of canonical events (`producer` where they name none).",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and isinstance(raw.get("fed_by"), str):
            return {**raw, "fed_by": [raw["fed_by"]]}
        return raw

    @model_validator(mode="after")
    def _valid(self) -> Self:
        try:
            facet_key(self.facet)
            if self.tenant is not None:
                tenant_id(self.tenant)
        except InvalidEventError as error:
            raise ValueError(str(error)) from error
        for name in self.fed_by:
            _require_source(name)
        return self


def _require_source(name: str) -> None:
    try:
        source_name(name)
    except InvalidEventError as error:
        raise ValueError(str(error)) from error


class DeletedWhen(_Strict):
    """A row that stays in its table but counts as deleted; one of `equals` and `is_set`."""

    column: ColumnName
    equals: Scalar | tuple[Scalar, ...] | None = Field(None, description="Deleted where the column holds one of these.")
    is_set: bool | None = Field(
        None, description="true: deleted where the column has a value; false: where it has none."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.equals is None) == (self.is_set is None):
            msg = "needs either equals or is_set"
            raise ValueError(msg)
        return self


class Table(_Strict):
    """One entry: the tables it matches, and how their rows become rows of a facet."""

    name: str = Field("", max_length=128, description="Used in messages.")
    match: Match = Field(default_factory=Match)
    facet: Literal["item", "price", "stock"] = "item"
    instance: Key | None = Field(
        None, description="What tells several rows of one SKU apart: the branch of a stock, the list of a price."
    )
    tenant: Tenant | None = Field(None, description="A name, or where it comes from; absent: the file's tenant.")
    sku: Key = Field(description="The column with the SKU.")
    fields: dict[str, FieldFrom] = Field(
        default_factory=dict, max_length=300, description="Field to column; `attributes.<name>` is one attribute."
    )
    rest: Literal["ignore", "attributes"] = Field(
        "ignore", description="What becomes of columns that no field names (item facet only)."
    )
    deleted_when: DeletedWhen | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.facet == "item" and self.instance is not None:
            msg = "the item facet has no instances"
            raise ValueError(msg)
        if self.facet != "item" and self.rest != "ignore":
            msg = "only the item facet keeps the rest as attributes"
            raise ValueError(msg)
        return self


class Documents(_Strict):
    """How several rows of a facet become one value of the document."""

    price_list: str = Field(
        "",
        max_length=128,
        description="The list in force; a price without a list goes before it, the first name after it.",
    )
    stock_from: tuple[str, ...] = Field(
        (),
        max_length=1_000,
        description="The places whose stock counts; none: all of them. An empty name is the unnamed place.",
    )


class Mapping(_Strict):
    """The whole file."""

    tenant: str | None = Field(None, description="Tenant of rows whose entry names none; absent: the setting's.")
    unavailable_value: str = Field(
        DEFAULT_PLACEHOLDER, min_length=1, max_length=256, description="The connector's unavailable.value.placeholder."
    )
    sources: tuple[Source, ...] = Field((), max_length=1_000, description="The first that matches counts.")
    facets: tuple[FacetSources, ...] = Field(
        (), max_length=10_000, description="Which sources feed which facet: the beginning of each facet's history."
    )
    ignore: tuple[Match, ...] = Field((), max_length=1_000, description="Tables whose changes are no concern of ours.")
    tables: tuple[Table, ...] = Field((), max_length=1_000, description="The first that matches counts.")
    documents: Documents = Field(default_factory=Documents)
