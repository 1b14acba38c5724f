"""Analyses are remembered by their bytes: a long description counts for what it takes."""

from retrieval.text.tantivy_index.schema import _analysed, to_tantivy
from schemas.documents import SearchDocument

WORDS = ("tornillo", "hexagonal", "galvanizado", "1/2", "para", "madera", "acero", "m8x40")


def document(number: int, letters: int) -> SearchDocument:
    text = " ".join(WORDS)
    return SearchDocument(
        tenant="acme", sku=f"S{number}", rev=1, state="0" * 16, title=f"Producto {number}",
        description=(text * (letters // len(text) + 1))[:letters],
    )  # fmt: skip


def test_a_description_of_twenty_thousand_letters_weighs_what_its_tokens_take():
    cache = _analysed.cache
    cache.clear()
    to_tantivy(document(1, 200))
    short = cache.bytes
    to_tantivy(document(2, 20_000))
    assert len(cache) == 2
    assert short < 20_000
    assert 200_000 < cache.bytes - short < 800_000


def test_a_price_costs_no_analysis():
    cache = _analysed.cache
    cache.clear()
    hits = cache.hits
    to_tantivy(document(1, 200))
    to_tantivy(document(1, 200).model_copy(update={"price": 2.0, "rev": 2}))
    assert (len(cache), cache.hits - hits) == (1, 1)
