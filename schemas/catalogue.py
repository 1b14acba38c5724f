"""The table of catalogue fields: what a product's row may hold, and what each field is good for.

Everything that treats fields alike derives from it: the columns that files and warehouses are recognised by, the rows of
a facet, the document, the text index, the payload of a point, filters, facets and the models of the API. A field that is
added here is found in all of them; the models of pydantic write the fields that code reads by name, for the type checker,
and take the others from here (`completed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from pydantic import BaseModel, create_model
from pydantic import Field as ModelField

from schemas import normalisers as n
from schemas.normalisers import Normaliser

M = TypeVar("M", bound=BaseModel)


class Kind(StrEnum):
    """What a value is, once it is normalised."""

    TEXT = "text"
    TEXTS = "texts"
    """Codes or addresses, each of them whole."""
    SENTENCES = "sentences"
    """Texts that may hold a semicolon."""
    NUMBER = "number"
    ATTRIBUTES = "attributes"
    """Further properties by name."""


class Role(StrEnum):
    """Where search by words looks for a text, and what the encoder reads of it."""

    TITLE = "title"
    LABEL = "label"
    """A name beside the title, a brand say: searched with it, and embedded where the title lacks it."""
    CODE = "code"
    """Looked up whole, in any spelling."""
    BODY = "body"
    """Searched with the least weight."""


class Filter(StrEnum):
    """How a search may be narrowed by a field."""

    ANY_OF = "any_of"
    """A text is one of several, compared without case and blanks."""
    RANGE = "range"
    """A number lies between two bounds, both inclusive; a product without one meets no bound."""
    FLAG = "flag"
    """A yes or no of the document, `Field.flag`, is yes."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a product.

    `rows` are the facets whose rows may hold it; only a field of the item's rows alone reaches the document by itself.
    `facets` are the names of its counts in an answer: of a `FLAG` two, the products that have it and those that do not. `sort`
    keeps a number beside the text index's columns, to order by. `headings` are what the header of a file calls it, `columns`
    what a warehouse's table does, in English, Spanish and Portuguese, the surest first; case, accents and, in a heading,
    signs do not count. `alias` is another name that events and `ferroflux ingest --map` take for it. `labels` are what the page
    calls it in Spanish and English, of a `FLAG` what its switch says; a field without them is shown nowhere by itself. `bounds`
    are those of a number, of which a `RANGE` takes no others.
    """

    name: str
    kind: Kind
    normaliser: Normaliser
    role: Role | None = None
    filter: Filter | None = None
    facets: tuple[str, ...] = ()
    sort: bool = False
    flag: str = ""
    rows: frozenset[str] = frozenset({"item"})
    headings: str = ""
    columns: str = ""
    alias: str = ""
    labels: tuple[str, str] | None = None
    bounds: tuple[float, float] = (-n.MAX_AMOUNT, n.MAX_AMOUNT)
    description: str = ""

    @property
    def key(self) -> str:
        """What filters, payloads and the text index call it."""
        return self.flag or self.name

    @property
    def parameters(self) -> tuple[str, ...]:
        """What a request calls its conditions."""
        return (f"{self.key}_min", f"{self.key}_max") if self.filter is Filter.RANGE else (self.key,)

    @property
    def plain(self) -> bool:
        """Whether the document holds the item's own value; price and stock are overlaid by rows of their facets."""
        return self.rows == {"item"}


FIELDS: Final[tuple[Field, ...]] = (
    Field(
        "title", Kind.TEXT, n.text_rule(n.MAX_TITLE), Role.TITLE,
        headings="title titulo nombre name product_name product_title nombre_producto producto descripcion_corta "
        "short_description nome nome_produto produto descricao_curta",
        columns="title name nombre titulo product_name nome",
    ),
    Field(
        "description", Kind.TEXT, n.text_rule(n.MAX_DESCRIPTION, lines=True), Role.BODY,
        headings="description descripcion descripcion_larga long_description detalle detalles descricao descricao_longa",
        columns="description descripcion long_description descripcion_larga details descricao",
    ),
    Field(
        "bullets", Kind.SENTENCES, n.texts_rule(n.MAX_BULLETS, n.MAX_BULLET), Role.BODY,
        headings="bullets bullet_points bullet_point caracteristicas features puntos destaques",
        columns="bullets features caracteristicas destaques",
    ),
    Field(
        "brand", Kind.TEXT, n.text_rule(n.MAX_NAME), Role.LABEL, Filter.ANY_OF, ("brands",), labels=("Marca", "Brand"),
        headings="brand marca fabricante manufacturer vendor",
        columns="brand marca brand_name manufacturer fabricante",
    ),
    Field(
        "category", Kind.TEXT, n.category, Role.LABEL, Filter.ANY_OF, ("categories",), labels=("Categoría", "Category"),
        headings="category categoria categories categorias familia linea rubro departamento department product_type",
        columns="category categoria category_name departamento familia",
    ),
    Field(
        "attributes", Kind.ATTRIBUTES, n.attributes, Role.BODY,
        headings="attributes atributos especificaciones specifications specs especificacoes",
        columns="attributes atributos specs",
    ),
    Field(
        "part_number", Kind.TEXT, n.text_rule(n.MAX_NAME), Role.CODE, labels=("N.º de pieza", "Part number"),
        headings="part_number numero_de_parte no_parte num_parte mpn part_no modelo model codigo_fabricante numero_da_peca",
        columns="part_number mpn numero_parte modelo model",
    ),
    Field(
        "ean", Kind.TEXTS, n.texts_rule(n.MAX_EANS, n.MAX_EAN), Role.CODE, labels=("EAN", "EAN"),
        headings="ean eans gtin upc barcode codigo_de_barras codigo_barras ean13",
        columns="ean barcode codigo_barras gtin upc ean13",
    ),
    Field(
        "unit", Kind.TEXT, n.text_rule(n.MAX_UNIT), labels=("Unidad", "Unit"),
        headings="unit unidad unidad_de_medida unidad_medida uom um unidade unidade_de_medida unidade_medida",
        columns="unit unidad uom unidad_medida unidade unidade_medida",
    ),
    Field(
        "images", Kind.TEXTS, n.texts_rule(n.MAX_IMAGES, n.MAX_IMAGE), alias="image",
        headings="image images imagen imagenes image_url url_imagen foto fotos photo picture imagem imagens",
        columns="images image image_url imagen foto photo imagem",
    ),
    Field(
        "price", Kind.NUMBER, n.number_rule(0, n.MAX_AMOUNT), None, Filter.RANGE, ("prices",), sort=True,
        labels=("Precio", "Price"), bounds=(0, n.MAX_AMOUNT), rows=frozenset({"item", "price"}),
        headings="price precio precio_lista list_price pvp precio_venta unit_price precio_unitario preco preco_venda "
        "preco_unitario",
        columns="price precio unit_price precio_unitario preco preco_unitario",
    ),
    Field(
        "currency", Kind.TEXT, n.currency, rows=frozenset({"item", "price"}),
        headings="currency moneda divisa moeda", columns="currency moneda divisa moeda",
    ),
    Field(
        "stock", Kind.NUMBER, n.number_rule(-n.MAX_AMOUNT, n.MAX_AMOUNT), None, Filter.FLAG, ("in_stock", "out_of_stock"),
        flag="in_stock", labels=("Solo con existencias", "In stock only"), rows=frozenset({"item", "stock"}),
        description="Only products on hand, or of shops that do not say.",
        headings="stock existencia existencias inventario inventory quantity qty cantidad on_hand disponible estoque "
        "quantidade",
        columns="stock existencia existencias quantity qty on_hand cantidad estoque quantidade",
    ),
)  # fmt: skip
"""In the order of an item's row, which is the order of the document too."""

PLAIN: Final = tuple(field for field in FIELDS if field.plain)

FILTERABLE: Final = tuple(field for field in FIELDS if field.filter)

FILTERED: Final[Mapping[Filter, tuple[Field, ...]]] = {
    kind: tuple(field for field in FIELDS if field.filter is kind) for kind in Filter
}

SEARCHED: Final[Mapping[Role, tuple[Field, ...]]] = {
    role: tuple(field for field in FIELDS if field.role is role) for role in Role
}


def counts_of(value: Any, interval: Any) -> dict[str, tuple[Any, Any]]:
    """An answer's counts by name, as `completed` takes them: values of a text, intervals of a number, or how many a flag has."""
    counts: dict[str, tuple[Any, Any]] = {}
    for one in FILTERABLE:
        words = f"Most frequent first; products without {one.name} are not counted."
        held = {
            Filter.ANY_OF: (tuple[value, ...], ModelField((), description=words)),
            Filter.RANGE: (
                tuple[interval, ...],
                ModelField((), description=f"Rising; products without {one.name} are in none."),
            ),
            Filter.FLAG: (int, 0),
        }
        counts |= {name: held[one.filter] for name in one.facets if one.filter}
    return counts


def completed(declared: Mapping[str, tuple[Any, Any]]) -> Callable[[type[M]], type[M]]:
    """Give a model the fields that its class does not write: name to type and default. One that writes all stays itself."""

    def complete(model: type[M]) -> type[M]:
        more: dict[str, Any] = {name: one for name, one in declared.items() if name not in model.model_fields}
        if not more:
            return model
        return create_model(model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **more)

    return complete
