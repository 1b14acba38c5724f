"""A document fits its topic whatever its product holds; what a buyer decides on stays, and what is cut is named."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.documents import SearchDocument
from schemas.product.shortening import shortened
from schemas.topics import SMALLEST_RECORD_BYTES

KEPT = ("tenant", "sku", "rev", "state", "title", "brand", "category", "part_number", "price", "currency", "stock")


def document(**parts: object) -> SearchDocument:
    return SearchDocument.model_validate(
        {
            "tenant": "acme", "sku": "A1", "rev": 3, "state": "00", "title": "Pinza " * 300, "brand": "b", "price": 2.5,
            "currency": "MXN", "stock": 7.0, **parts,
        }
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    places=st.integers(0, 2_000),
    description=st.integers(0, 50_000),
    texts=st.integers(0, 100),
    character=st.sampled_from(["a", "\\", '"', "\n", "\U0001f527"]),
    most=st.integers(20_000, 500_000),
)
def test_a_document_fits_and_keeps_what_a_buyer_decides_on(places, description, texts, character, most):
    whole = document(
        stocks={f"{place:05}{character * 50}": 1.0 for place in range(places)},
        description=character * description,
        bullets=[f"{n}{character * 500}" for n in range(texts)],
        attributes={f"a{n}": character * 500 for n in range(texts)},
    )
    short = shortened(whole, most)
    assert len(short.to_bytes()) <= most
    if len(whole.to_bytes()) <= most:
        assert short is whole
    else:
        assert short.omitted
    assert shortened(whole, most) == short
    assert all(getattr(short, name) == getattr(whole, name) for name in KEPT)


def test_the_maps_by_place_and_list_go_first_and_the_rest_stays():
    whole = document(stocks={f"place {n}": 1.0 for n in range(5_000)}, description="De punta")
    short = shortened(whole, 60_000)
    assert (short.omitted, short.stocks, short.description, short.stock) == (("stocks",), {}, "De punta", 7.0)


def test_even_the_longest_names_fit_the_smallest_topic():
    wide = "\U0001f527"
    whole = document(title=wide * 90_000, brand=wide * 90_000, category=wide * 90_000, description=wide * 90_000)
    short = shortened(whole, SMALLEST_RECORD_BYTES // 4)
    assert len(short.to_bytes()) <= SMALLEST_RECORD_BYTES // 4
    assert short.omitted == ("description", "names")
