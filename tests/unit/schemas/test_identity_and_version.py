"""Identities and versions: what is allowed, what is unambiguous, what is ordered how."""

import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidEventError
from schemas.identity import SkuId, SkuKey, TenantId
from schemas.product.changes import facet_instance, facet_key, facet_name
from schemas.version import SourceVersion, Stamp, canonical_digest

pytestmark = pytest.mark.slow

tenants = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
skus = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)


@given(tenants, skus)
def test_a_key_survives_its_text_whatever_the_sku_holds(tenant, sku):
    key = SkuKey.of(tenant, sku)
    assert SkuKey.parse(str(key)) == key
    assert SkuKey.parse(key.kafka_key.decode()) == key
    assert uuid.UUID(key.point_id).version == 5


@given(tenants, skus, tenants, skus)
def test_point_ids_are_equal_exactly_where_keys_are(tenant, sku, other_tenant, other_sku):
    one, two = SkuKey.of(tenant, sku), SkuKey.of(other_tenant, other_sku)
    assert (one.point_id == two.point_id) == (one == two)


def test_point_ids_never_change_between_releases():
    assert SkuKey.of("ferre", "A-1/2").point_id == "1b853b8a-f9cd-5c1e-abdb-e4eed557fe86"


@pytest.mark.parametrize("tenant", ["", "-a", "a/b", "a b", "ñ", "x" * 65, "a\n"])
def test_a_tenant_of_other_characters_is_refused(tenant):
    with pytest.raises(InvalidEventError, match="tenant"):
        SkuKey.of(tenant, "A")


@pytest.mark.parametrize("sku", ["", "  ", "a\x00b", "a\nb", "x" * 257, "\ud800"])
def test_a_sku_that_cannot_be_a_key_is_refused(sku):
    with pytest.raises(InvalidEventError, match="sku"):
        SkuKey.of("t", sku)


def test_blanks_around_a_sku_are_no_part_of_it():
    assert SkuKey.of("t", "  A 1 ").sku == "A 1"


@pytest.mark.parametrize(
    "spelling",
    [
        "TUERCA-N\u0303-6", "TUERCA-\u00d1-6", "\ufeffTUERCA-\u00d1-6", "TUERCA\u200b-\u00d1-6", "TUERCA-N\u200d\u0303-6",
        "\u200e TUERCA-\u00d1-6 \u202c", "TUER\u00adCA-\u00d1\ufe0f-6", "TUERCA-\u00d1-6\u2060",
    ],
)  # fmt: skip
def test_spellings_that_nobody_can_tell_apart_are_one_product(spelling):
    assert SkuKey.of("t", spelling) == SkuKey.of("t", "TUERCA-\u00d1-6")
    stored = SkuKey(TenantId("t"), SkuId(spelling.strip()))
    assert SkuKey.parse(str(stored)) == stored
    assert stored.canonical == SkuKey.of("t", "TUERCA-\u00d1-6")


@pytest.mark.parametrize("sku", ["TUERCA-N-6", "tuerca-\u00d1-6", "TUERCA\u2013\u00d1-6", "TUERCA-\u00d1-\uff16"])
def test_spellings_that_differ_to_the_eye_stay_products_of_their_own(sku):
    assert SkuKey.of("t", sku) != SkuKey.of("t", "TUERCA-\u00d1-6")


@pytest.mark.parametrize("sku", ["\u200b", "\ufeff \u200d", "\u00ad" * 300, "a\u0301" * 257, "\u0323\u0301" * 50_000])
def test_a_sku_without_visible_characters_or_with_too_many_is_refused(sku):
    with pytest.raises(InvalidEventError, match="sku"):
        SkuKey.of("t", sku)


def test_marks_that_nobody_sees_do_not_count_for_the_length():
    assert SkuKey.of("t", "\u200b" * 1000 + "e\u0301" * 256).sku == "\u00e9" * 256


@given(tenants, st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60))
def test_the_one_spelling_is_its_own(tenant, sku):
    try:
        key = SkuKey.of(tenant, sku)
    except InvalidEventError:
        return
    assert SkuKey.of(tenant, key.sku) == key
    assert key.is_canonical
    assert SkuKey.of(tenant, unicodedata.normalize("NFD", sku)) == key


@pytest.mark.parametrize(
    ("facet", "name", "instance"),
    [("item", "item", ""), ("stock:branch-2", "stock", "branch-2"), ("price:a:b", "price", "a:b")],
)
def test_a_facet_is_a_name_and_an_instance(facet, name, instance):
    key = facet_key(facet)
    assert (facet_name(key), facet_instance(key)) == (name, instance)


@pytest.mark.parametrize("facet", ["", "Item", "item:x", "stock:", "stock:\n", "1a", "stock:" + "x" * 129])
def test_other_facets_are_refused(facet):
    with pytest.raises(InvalidEventError, match="facet"):
        facet_key(facet)


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**64 - 1)), max_size=6))
def test_versions_are_ordered_as_pairs(pairs):
    assert [(v.epoch, v.sequence) for v in sorted(SourceVersion(*pair) for pair in pairs)] == sorted(pairs)


@pytest.mark.parametrize(("sequence", "epoch"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**31)])
def test_versions_out_of_range_are_refused(sequence, epoch):
    with pytest.raises(InvalidEventError, match="out of range"):
        SourceVersion.of(sequence, epoch)


def test_a_stamp_survives_its_json():
    stamp = Stamp(SourceVersion(3, 2**64 - 1), canonical_digest({"a": 1}))
    assert Stamp.from_json(stamp.to_json()) == stamp


@given(st.dictionaries(st.text(max_size=4), st.integers(-3, 3), max_size=5), st.randoms(use_true_random=False))
def test_a_digest_does_not_know_the_order_of_members(members, random):
    items = list(members.items())
    random.shuffle(items)
    assert canonical_digest(dict(items)) == canonical_digest(members)
