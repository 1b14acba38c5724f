"""The text of a product that is embedded, and its digest: the reason why a price change costs no inference."""

from __future__ import annotations

from typing import Final

from retrieval.analysis.folding import normal_form
from schemas.catalogue import SEARCHED, Role
from schemas.documents import SearchDocument
from schemas.normalisers import MAX_NAME, MAX_TITLE
from schemas.version import canonical_digest

_LABELS: Final = tuple(field.name for field in SEARCHED[Role.LABEL])

TEMPLATE: Final = "|".join(("title", *_LABELS, "description:300"))
"""Name of the template; a part of the digest, so that another template means another vector."""

_DESCRIPTION_CHARACTERS: Final = 300


def passage_text(document: SearchDocument) -> str:
    """The text to embed: title, then brand and category (the labels of the table) where the title lacks them, then the description's beginning.

    NFKC-normalised with blanks collapsed, so that a change of mere spelling of blanks costs no inference.
    """
    title = _normalise(document.title, MAX_TITLE) or str(document.sku)
    seen = title.casefold()
    labels = [_normalise(getattr(document, name), MAX_NAME) for name in _LABELS]
    parts = [title, *(label for label in labels if label and label.casefold() not in seen)]
    description = _normalise(document.description, _DESCRIPTION_CHARACTERS)
    if description and description.casefold() not in seen:
        parts.append(description)
    return ". ".join(parts)


def text_hash(text: str) -> str:
    """Digest of a passage under the template, 16 hex digits; equal digests need no new vector."""
    return canonical_digest([TEMPLATE, text])


def _normalise(text: str, longest: int) -> str:
    """The beginning of the normalised text: one character may come apart into eighteen."""
    return " ".join(normal_form("NFKC", text).split())[:longest]
