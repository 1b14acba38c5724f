"""The seeded generator of the sample catalogue: same seed, same products, on every machine.

Two shops share the families: a Spanish one that holds most of them, with descriptions that name the product in English
too, and an English one. Prices follow a family's first size and its step; stock is skewed, with some sizes sold out and
some that the shop does not count. Codes are those of in-store use (EAN prefix 20), so they belong to nobody.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product
from typing import Any, Final

import yaml

DEFAULT_COUNT: Final = 2_600
DEFAULT_SEED: Final = 20_809
SPANISH_TENANT: Final = "ferreteria-sol"
ENGLISH_TENANT: Final = "harbor-hardware"

_ENGLISH_SHARE: Final = 0.25
_PESOS_PER_DOLLAR: Final = 17.0


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of product: bilingual title templates over axes of values, a price rule, and the brands that make it."""

    code: str
    category: str
    unit: str
    price: float
    step: float
    brands: tuple[str, ...]
    es: str
    en: str
    axes: dict[str, tuple[str, ...]]

    def combinations(self) -> list[dict[str, str]]:
        """Every combination of axis values, in the order of the file."""
        return [dict(zip(self.axes, values, strict=True)) for values in product(*self.axes.values())]


@cache
def families() -> tuple[Family, ...]:
    """The families of the shipped file."""
    raw = yaml.safe_load(resources.files("ferroflux.sample").joinpath("families.yaml").read_text(encoding="utf-8"))
    return tuple(
        Family(
            **{
                **entry,
                "brands": tuple(entry["brands"]),
                "axes": {k: tuple(map(str, v)) for k, v in entry["axes"].items()},
            }
        )
        for entry in raw
    )


def capacity() -> int:
    """How many distinct products the families can make."""
    return sum(len(family.combinations()) * len(family.brands) for family in families())


def generate(count: int = DEFAULT_COUNT, seed: int = DEFAULT_SEED) -> Iterator[dict[str, Any]]:
    """Yield `count` products as flat rows: tenant, sku, title and the other item fields.

    Raises:
        ValueError: `count` is not between 1 and `capacity()`.
    """
    if not 1 <= count <= capacity():
        msg = f"the sample can make 1 to {capacity()} products, not {count}"
        raise ValueError(msg)
    rng = random.Random(seed)  # noqa: S311 - a reproducible catalogue, not a secret
    candidates = [
        (family, values, brand) for family in families() for values in family.combinations() for brand in family.brands
    ]
    chosen = sorted(rng.sample(range(len(candidates)), count))
    for serial, index in enumerate(chosen, start=1):
        family, values, brand = candidates[index]
        english = rng.random() < _ENGLISH_SHARE
        yield _row(family, values, brand, serial, rng, english=english)


def _row(
    family: Family, values: dict[str, str], brand: str, serial: int, rng: random.Random, *, english: bool
) -> dict[str, Any]:
    spanish_title, english_title = (_render(family, values, language) for language in (0, 1))
    title, other_title = (english_title, spanish_title) if english else (spanish_title, english_title)
    language = int(english)
    sku = f"{family.code}-{serial:05d}"
    row: dict[str, Any] = {
        "tenant": ENGLISH_TENANT if english else SPANISH_TENANT,
        "sku": sku,
        "title": f"{title} {brand}",
        "description": (f"{title} by {brand}." if english else f"{title}, marca {brand}. En inglés: {other_title}."),
        "brand": brand,
        "category": _in_language(family.category, language),
        "unit": _in_language(family.unit, language),
        "part_number": f"{brand[:2].upper()}{family.code}{serial % 9973:04d}",
        "ean": _ean13(serial),
        "price": _price(family, values, rng, english=english),
        "currency": "USD" if english else "MXN",
        "attributes": {name: _in_language(value, language) for name, value in values.items()},
    }
    if rng.random() < 0.9:  # the rest is sold without being counted
        row["stock"] = 0 if rng.random() < 0.08 else int(rng.lognormvariate(3.2, 1.1)) + 1
    return row


def _render(family: Family, values: dict[str, str], language: int) -> str:
    template = family.en if language else family.es
    title = template.format(**{name: _in_language(value, language) for name, value in values.items()})
    return title[0].upper() + title[1:]


def _in_language(value: str, language: int) -> str:
    spanish, bar, english = value.partition(" | ")
    return english if language and bar else spanish


def _price(family: Family, values: dict[str, str], rng: random.Random, *, english: bool) -> float:
    position = family.axes["size"].index(values["size"])
    pesos = family.price * family.step**position * rng.uniform(0.85, 1.25)
    return round(pesos / _PESOS_PER_DOLLAR, 2) if english else round(pesos, 1)


def _ean13(serial: int) -> str:
    """An in-store EAN-13 with its check digit (GS1 General Specifications, modulo 10 with weights 1 and 3)."""
    digits = f"20{serial:010d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"
