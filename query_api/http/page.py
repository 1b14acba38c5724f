"""The search page at `/`; its panel of filters and its table of a product's properties follow the table of catalogue fields."""

import json
from pathlib import Path
from typing import Final

from runtime.http.routes import static_page
from schemas.catalogue import FIELDS

_FIELDS: Final = [
    {"name": one.name, "key": one.key, "filter": one.filter, "facets": one.facets, "parameters": one.parameters,
     "plain": one.plain, "lowest": one.bounds[0], "labels": dict(zip(("es", "en"), one.labels, strict=True))}
    for one in FIELDS
    if one.labels
]  # fmt: skip

router = static_page(
    Path(__file__).resolve().parents[1] / "page",
    path="/",
    assets="/assets",
    made={"fields.js": f"export const FIELDS = {json.dumps(_FIELDS)};\n"},
)
