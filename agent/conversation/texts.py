"""Texts of the catalogue as a conversation keeps them: of bounded length, and nothing in them that a store refuses."""

from __future__ import annotations

import re
from typing import Final

LONGEST_SKU: Final = 256
LONGEST_TITLE: Final = 300
LONGEST_BRAND: Final = 120
LONGEST_UNIT: Final = 64
LONGEST_PACK: Final = 128
LONGEST_CURRENCY: Final = 8
LONGEST_IMAGE: Final = 2_048
"""Characters, as wide as the columns of the orders' tables where there is one. A title is there to be recognised by: of one
that is a whole description its beginning is enough, for the SKU says which product it is."""

_UNSTORABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def bounded(text: str, longest: int) -> str:
    """The text in one line, and no longer than that: what was cut off is an ellipsis."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return _UNSTORABLE.sub(" ", text)
