"""A row of a facet, brought to its form by the table of `schemas.catalogue`: known fields only, each by its rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from schemas.catalogue import FIELDS, Kind
from schemas.errors import InvalidEventError
from schemas.normalisers import MAX_ATTRIBUTES, MAX_IMAGES, FieldValue, Normaliser, attribute_name, attribute_value

ATTRIBUTE_PREFIX: Final = "attributes."
"""One attribute as a field by itself, so that a source which could not give one still replaces the others."""

IMAGE_ALIAS: Final = "image"
"""Accepted beside `images`, for shops with one picture a product."""

FACET_FIELDS: Final[Mapping[str, Mapping[str, Normaliser]]] = {
    facet: {field.name: field.normaliser for field in FIELDS if facet in field.rows}
    for facet in ("item", "price", "stock")
}
"""Per facet (without its instance) the fields of its rows."""

ITEM_FIELDS: Final = FACET_FIELDS["item"]
"""The fields of the item facet, which may carry price and stock itself where a shop keeps all in one table."""

LIST_FIELDS: Final = frozenset(field.name for field in FIELDS if field.kind in (Kind.TEXTS, Kind.SENTENCES))


def field_rules(facet: str) -> Mapping[str, Normaliser]:
    """The fields of a facet, by its name without instance.

    Raises:
        InvalidEventError: there is no such facet.
    """
    rules = FACET_FIELDS.get(facet)
    if rules is None:
        msg = f"facet {facet[:80]!r} is none of {', '.join(FACET_FIELDS)}"
        raise InvalidEventError(msg)
    return rules


def field_rule(facet: str, name: str) -> Normaliser:
    """The rule of one field of a facet; single attributes have names like `attributes.color`.

    Raises:
        InvalidEventError: the facet has no such field; the message offers the nearest name.
    """
    rule = field_rules(facet).get(name)
    if rule is not None:
        return rule
    if facet == "item":
        if name == IMAGE_ALIAS:
            return ITEM_FIELDS["images"]
        if name.startswith(ATTRIBUTE_PREFIX):
            try:
                attribute_name(name.removeprefix(ATTRIBUTE_PREFIX))
            except ValueError as error:
                msg = f"field {name[:80]!r} {error}"
                raise InvalidEventError(msg) from error
            return attribute_value
    raise InvalidEventError(_unknown_field(facet, name))


def normalise_fields(facet: str, raw: Mapping[str, Any]) -> dict[str, FieldValue]:
    """Bring a row to its form: known fields only, each by its rule, nothing where a value says nothing.

    Raises:
        InvalidEventError: a field is not known, or a value breaks its rule; the message names it.
    """
    rules = field_rules(facet)
    fields: dict[str, FieldValue] = {}
    for name, value in raw.items():
        rule = rules.get(name) or field_rule(facet, name)
        if value is None:
            continue
        normal = apply_rule(name, rule, value)
        if normal is None:
            continue
        if name == IMAGE_ALIAS:
            fields["images"] = _joined((normal, fields.get("images", ())))
        elif name == "images" and "images" in fields:
            fields["images"] = _joined((fields["images"], normal))
        else:
            fields[name] = normal
    if len(fields) > MAX_ATTRIBUTES:
        msg = f"the row has {len(fields)} fields, more than {MAX_ATTRIBUTES}"
        raise InvalidEventError(msg)
    return fields


def apply_rule(name: str, rule: Normaliser, value: Any) -> FieldValue | None:
    """One value by its rule.

    Raises:
        InvalidEventError: the value breaks the rule; the message names the field.
    """
    try:
        return rule(value)
    except ValueError as error:
        msg = f"field {name[:80]!r} {error}"
        raise InvalidEventError(msg) from error


def canonical_field_name(name: str) -> str:
    """The name under which a field is kept: `images` for `image`, else its own."""
    return "images" if name == IMAGE_ALIAS else name


def _joined(parts: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(text for part in parts for text in part))[:MAX_IMAGES]


def _unknown_field(facet: str, name: str) -> str:
    known = [*FACET_FIELDS[facet]]
    near = get_close_matches(name[:80], known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
    extra = "; anything else belongs under 'attributes'" if facet == "item" else ""
    return f"facet {facet!r} has no field {name[:80]!r}: {hint}{extra}"
