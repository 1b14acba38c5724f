"""From the written queries to graded products, by rule over what the generator knows of each product: family and axes.

A product that meets every condition of `wanted` is graded 3, one that meets `acceptable` 2, one of the wanted families
that meets neither 1. Titles are not looked at, so the judgments favour no way of matching them. The judged file is
committed, since it is what other tools read; a test holds that it is what the rules give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from ferroflux.sample.generator import ENGLISH_TENANT, SPANISH_TENANT, families, generate

JUDGED_FILE: Final = "judged.jsonl"
_QUERIES_FILE: Final = "queries.yaml"
_SHOPS: Final[Mapping[str, str]] = {"sol": SPANISH_TENANT, "harbor": ENGLISH_TENANT}

_WANTED: Final = 3
_ACCEPTABLE: Final = 2
_RELATED: Final = 1

Conditions = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Product:
    """A product of the sample and the properties that conditions name, each in the spelling of both languages."""

    row: Mapping[str, Any]
    properties: Mapping[str, str]


def judged_lines() -> list[dict[str, Any]]:
    """The judged queries, one object each, as the committed file has them.

    Raises:
        ValueError: a query that should have an answer has none in its shop, or names an unknown property.
    """
    shelves = _shelves()
    entries = yaml.safe_load(_resource(_QUERIES_FILE).read_text(encoding="utf-8"))
    return [_line(number, entry, shelves) for number, entry in enumerate(entries, start=1)]


def judged_bytes() -> bytes:
    """The whole file."""
    return b"".join(orjson.dumps(line) + b"\n" for line in judged_lines())


def judged_path() -> Path:
    """Where the committed file lies."""
    return Path(str(_resource(JUDGED_FILE)))


def _line(number: int, entry: Sequence[Any], shelves: Mapping[str, Sequence[_Product]]) -> dict[str, Any]:
    kind, shop, text, wanted, *rest = entry
    shelf = shelves[_SHOPS[shop]]
    if "place" in wanted:
        row = shelf[wanted["place"]].row
        text = str(text).format(sku=row["sku"], part_number=row["part_number"], ean=row["ean"])
        grades = {str(row["sku"]): _WANTED}
    else:
        grades = _grades(shelf, wanted, rest[0] if rest else None)
    if bool(wanted) != (_WANTED in grades.values()):
        msg = f"query {number} ({text!r}) wants {wanted}, of which the shop has {len(grades)} products"
        raise ValueError(msg)
    return {
        "id": f"sample-{number:03d}",
        "tenant": _SHOPS[shop],
        "type": kind,
        "query": str(text),
        "judgments": grades,
    }


def _grades(shelf: Sequence[_Product], wanted: Conditions, acceptable: Conditions | None) -> dict[str, int]:
    grades: dict[str, int] = {}
    for product in shelf if wanted else ():
        if _meets(product, wanted):
            grade = _WANTED
        elif acceptable is not None and _meets(product, acceptable):
            grade = _ACCEPTABLE
        elif _meets(product, {"family": wanted["family"]}):
            grade = _RELATED
        else:
            continue
        grades[str(product.row["sku"])] = grade
    return grades


def _meets(product: _Product, conditions: Conditions) -> bool:
    return all(
        any(
            _matches(product.properties.get(name, ""), str(value))
            for value in (values if isinstance(values, list) else [values])
        )
        for name, values in conditions.items()
    )


def _matches(found: str, condition: str) -> bool:
    spellings = found.split(" | ")
    if condition.startswith("~"):
        return any(condition[1:].casefold() in spelling.casefold() for spelling in spellings)
    if condition.startswith("!"):
        return bool(found) and condition[1:] not in spellings
    return condition in spellings


def _shelves() -> dict[str, list[_Product]]:
    by_code = {family.code: family for family in families()}
    shelves: dict[str, list[_Product]] = {tenant: [] for tenant in _SHOPS.values()}
    for row in generate():
        family = by_code[str(row["sku"]).partition("-")[0]]
        properties = {"family": family.code, "brand": str(row["brand"])}
        for axis, values in family.axes.items():
            # The row has the value in its shop's language; the conditions may be written in either.
            properties[axis] = next(value for value in values if row["attributes"][axis] in value.split(" | "))
        shelves[row["tenant"]].append(_Product(row, properties))
    return shelves


def _resource(name: str) -> Any:
    return resources.files("ferroflux.sample").joinpath(name)
