"""A document in a form that its topic takes: whole where it fits, else without its largest parts, and saying so. Pure.

What a buyer decides on stays whatever happens: identity, title, price in force, stock in total, brand, category, part
number. So a product is never missing, and never shown as it was before, because of its size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from schemas.catalogue import FIELDS, Kind
from schemas.documents import SearchDocument
from schemas.product.fields import LIST_FIELDS

_FIRST_CHARACTERS: Final = 10_000
"""Of a description: more than any search uses of it."""
_NAME_CHARACTERS: Final = 200

_NAMES: Final = (
    *(one.name for one in FIELDS if one.kind is Kind.TEXT and one.name != "description"), "text_hash", "model"
)  # fmt: skip

_Cut = Callable[[SearchDocument], dict[str, Any]]

_CUTS: Final[tuple[tuple[str, _Cut], ...]] = (
    ("stocks", lambda _: {"stocks": {}}),
    ("prices", lambda _: {"prices": {}}),
    ("images", lambda _: {"images": ()}),
    ("description", lambda document: {"description": document.description[:_FIRST_CHARACTERS]}),
    ("bullets", lambda _: {"bullets": ()}),
    ("attributes", lambda _: {"attributes": {}}),
    ("description", lambda _: {"description": ""}),
    ("ean", lambda _: {"ean": ()}),
    *((name, lambda _, name=name: {name: ()}) for name in LIST_FIELDS - {"images", "bullets", "ean"}),
    (
        "names",
        lambda document: {name: getattr(document, name)[:_NAME_CHARACTERS] for name in _NAMES},
    ),
)
"""Parts in the order in which they are given up; what is left after the last has less than 16 KiB."""


def shortened(document: SearchDocument, most: int) -> SearchDocument:
    """The document itself where its bytes are at most `most`, else with as many parts cut as are needed.

    `omitted` names what was cut. Equal documents are cut alike, so that whoever publishes one publishes the same.
    """
    if len(document.to_bytes()) <= most:
        return document
    for part, cut in _CUTS:
        changed = {name: value for name, value in cut(document).items() if getattr(document, name) != value}
        if not changed:
            continue
        omitted = document.omitted if part in document.omitted else (*document.omitted, part)
        document = document.model_copy(update={**changed, "omitted": omitted})
        if len(document.to_bytes()) <= most:
            break
    return document
