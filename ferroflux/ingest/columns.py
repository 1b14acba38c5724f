"""Which column of a file holds which field: the names that files use, in English, Spanish and Portuguese, and the user's own word.

Names are compared folded (case, accents, blanks and signs do not count). A column that is no field becomes an attribute
of the product under its own name, so nothing of a row is dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from retrieval.analysis.folding import unmarked
from schemas import catalogue
from schemas.errors import InvalidMappingError

_OF_ROW: Final[Mapping[str, str]] = {
    "sku": "sku codigo clave codigo_producto codigo_articulo item_code product_id id_producto cod code referencia ref articulo id "
    "codigo_produto id_produto",
    "tenant": "tenant tienda shop store sucursal_empresa",
    **{field.alias or field.name: field.headings for field in catalogue.FIELDS},
    "sequence": "version_sequence source_sequence lsn",
}

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(heading.replace("_", " ") for heading in headings.split()) for name, headings in _OF_ROW.items()
}
"""Every field that a row can give, with the names it is recognised by, the surest first."""

_SIGNS: Final = re.compile(r"[^a-z0-9]+")


def fold_name(name: str) -> str:
    """The form in which column names are compared: `Código_de Barras` and `codigo de barras` are the same."""
    return _SIGNS.sub(" ", unmarked(name.casefold())).strip()


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """What the user said about columns: field to column. An empty column name means: leave the field out."""

    chosen: Mapping[str, str]

    @classmethod
    def of(cls, pairs: Iterable[str] = (), file: Path | None = None) -> ColumnMapping:
        """From `field=column` pairs and from a YAML or JSON file of the same; a pair wins over the file.

        Raises:
            InvalidMappingError: a field that there is not, or a file that is no mapping.
        """
        chosen: dict[str, str] = {}
        if file is not None:
            try:
                loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                msg = f"the mapping file {file} cannot be read: {error}"
                raise InvalidMappingError(msg) from error
            if not isinstance(loaded, dict) or not all(isinstance(v, str) for v in loaded.values()):
                msg = f"the mapping file {file} must be lines of `field: column`, such as `title: NOMBRE`"
                raise InvalidMappingError(msg)
            chosen |= {str(name): column for name, column in loaded.items()}
        for pair in pairs:
            name, equals, column = pair.partition("=")
            if not equals:
                msg = f"--map {pair!r} is not of the form field=column, such as --map title=NOMBRE"
                raise InvalidMappingError(msg)
            chosen[name.strip()] = column.strip()
        unknown = sorted(set(chosen) - set(FIELDS))
        if unknown:
            msg = f"there is no field {unknown[0]!r}; the fields are {', '.join(FIELDS)}"
            raise InvalidMappingError(msg)
        return cls(chosen)

    def resolve(self, columns: Iterable[str]) -> ResolvedColumns:
        """Find each field's column among these; every other column becomes an attribute.

        Where several columns could be a field, the one with the surest name is; the others become attributes.
        """
        present = list(dict.fromkeys(columns))
        folded: dict[str, str] = {}
        for column in present:
            folded.setdefault(fold_name(column), column)
        found: dict[str, str] = {}
        for name, synonyms in FIELDS.items():
            if name in self.chosen:
                if self.chosen[name]:
                    found[name] = self.chosen[name]
                continue
            recognised = next((folded[synonym] for synonym in synonyms if synonym in folded), None)
            if recognised is not None and recognised not in self.chosen.values():
                found[name] = recognised
        left_out = set(found.values())
        return ResolvedColumns(found, tuple(column for column in present if column not in left_out))


@dataclass(frozen=True, slots=True)
class ResolvedColumns:
    """Field to column for one set of columns, and the columns that became attributes."""

    columns: Mapping[str, str]
    extra: tuple[str, ...]
