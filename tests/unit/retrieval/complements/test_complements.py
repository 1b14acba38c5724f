"""Complements: what thing a title names, which rules apply to it, and what is found for them."""

import pytest

from ferroflux.operations.aliases import imported
from retrieval.aliases.compiled import PhraseTrie, phrase_of
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.shipped import read_table, shipped_aliases
from retrieval.complements.finder import ComplementFinder
from retrieval.complements.things import things_of
from retrieval.filters import CatalogueFilter
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError
from schemas.identity import TenantId
from schemas.records.aliases import AliasKind, AliasRecord, AliasStatus

pytestmark = pytest.mark.slow

NORTE = TenantId("norte")
KNOWN = PhraseTrie[str]()
for thing in ("taladro", "broca", "martillo", "disco de corte", "amoladora", "llave de caño", "tornillo", "mango"):
    KNOWN.add(phrase_of(thing).words, thing)


@pytest.mark.parametrize(
    ("title", "thing"),
    [
        ("Taladro percutor 13 mm 750W", "taladro"),
        ('DISCO DE CORTE 4.1/2" PARA AMOLADORA', "disco de corte"),
        ("Disco corte p/amoladora 115mm", "disco de corte"),
        ("Juego de brocas 13 piezas", "broca"),
        ("Set x 6 brocas para concreto", "broca"),
        ('4 1/2" disco de corte metal', "disco de corte"),
        ("Taladro con brocas y maletin", "taladro"),
        ("Mango de martillo 16 oz", "mango"),
        ("Estuche para brocas", None),
        ("Porta martillo de cuero", None),  # one word further on belongs to something that is not known
        ('Super pesada llave de caño 24"', "llave de caño"),  # two words name it wherever they stand
        ('Kit repuesto llave de caño 24"', None),  # a part of it
        ("Accesorios para taladro", None),
        ("para", None),
        ("", None),
    ],
)
def test_a_title_names_its_thing_before_what_it_is_for(title, thing):
    found = things_of(title, KNOWN)
    assert (found[0] if found else None) == thing


def test_the_brand_may_stand_before_the_thing():
    assert things_of("Acme taladro 500W", KNOWN) == ()
    assert things_of("Acme taladro 500W", KNOWN, frozenset(phrase_of("ACME").words)) == ("taladro",)


def test_a_longer_expression_is_another_thing_unless_the_rest_is_a_material_or_a_sort():
    known = PhraseTrie[str]()
    for thing in ("tubo", "tubo pvc", "tubo led", "pistola para pintar"):
        known.add(phrase_of(thing).words, thing)
    assert things_of("Tubo PVC 1/2", known) == ("tubo pvc", "tubo")
    assert things_of("Tubo LED 18W", known) == ("tubo led",)
    assert things_of("Pistola para pintar 1.4 mm", known) == ("pistola para pintar",)


def document(sku, title, **fields):
    return SearchDocument(**{"tenant": "norte", "sku": sku, "rev": 1, "state": "0", "title": title, **fields})


CATALOGUE = (
    document("T1", 'Taladro percutor 1/2" 750W'),
    document("T2", "Agujereadora 750W"),
    document("B1", "Mecha widia 8 mm", stock=0),
    document("B2", "Mecha acero rápido 13 mm", stock=5),
    document("B3", "Estuche para brocas"),
    document("P1", 'Caño PVC 1/2" x 6 m'),
    document("C1", 'Codo PVC 3/4" x 90'),
    document("C2", 'Codo PVC 1/2" x 90'),
    document("C3", 'Codo galvanizado 1/2"'),
    document("G1", "Pegamento PVC 1/4 litro"),
    document("X1", "Xilófono de madera"),
    document("GONE", 'Codo PVC 1/2"', deleted=True),
    document("K1", "Candado de bronce", category="Seguridad"),
)


def found_for(sku, *extra, aliases=None, limit=20):
    store = MemoryTextStore()
    MemoryTextWriter(store).apply([*CATALOGUE, *extra], Checkpoint("log", {0: 1}))
    finder = ComplementFinder(aliases or LiveAliases(shipped_aliases()))
    asked = next(one for one in (*CATALOGUE, *extra) if one.sku == sku)
    return finder.find(MemoryTextReader(store), asked, CatalogueFilter(NORTE), limit=limit)


def skus(found):
    return [one.document.sku for one in found]


def test_a_rule_holds_for_regional_names_on_both_sides_and_what_is_in_stock_comes_first():
    found = found_for("T2")
    assert skus(found)[:2] == ["B2", "B1"]
    assert found[0].reason == "va con taladro"
    assert found[0].companion.rule == "complements:taladro"
    assert "B3" not in skus(found), "a case for bits is no bit"


def test_the_same_size_and_material_come_first_and_are_told():
    found = found_for("P1")
    elbows = [one for one in found if one.companion.thing == "codo pvc"]
    assert skus(elbows) == ["C2", "C1"]
    assert elbows[0].shared == ("pvc", "12.7mm")
    assert elbows[0].reason == "va con tubo pvc (pvc, 12.7mm)"
    assert "G1" in skus(found)
    assert not {"GONE", "P1"} & set(skus(found))


def test_companions_take_turns_within_the_limit():
    things = [one.companion.thing for one in found_for("P1", limit=3)]
    assert len(things) == 3
    assert things[0] != things[1]


def test_a_product_that_no_rule_knows_has_none():
    assert found_for("X1") == []


def test_a_shop_adds_rules_with_an_alias_file():
    aliases = LiveAliases(shipped_aliases())
    own = imported(
        {"complements": [{"for": ["xilófono"], "use": ["taladro"]}, {"for": ["taladro"], "use": ["candado"]}]}, "norte"
    )
    aliases.apply({one.key: one for one in own})
    assert set(skus(found_for("X1", aliases=aliases))) == {"T1", "T2"}
    assert {"K1", "B2"} <= set(skus(found_for("T1", aliases=aliases)))


def test_a_shop_switches_a_shared_rule_off():
    aliases = LiveAliases(shipped_aliases())
    shared = next(one for one in shipped_aliases() if one.id == "complements:taladro")
    off = shared.model_copy(update={"tenant": "norte", "status": AliasStatus.REJECTED, "version": 2})
    aliases.apply({off.key: off})
    assert found_for("T1", aliases=aliases) == []


def test_an_ambiguous_synonym_is_not_followed():
    # `combo` is a hammer in one group; a flower pot shares only the word `maceta` with it.
    found = found_for("C", document("C", "Combo de goma 1 kg"), document("M", "Maceta de barro 20 cm"))
    assert "M" not in skus(found)


def test_the_category_tells_what_a_title_does_not():
    model = document("D", "DCD771 20V", category="Taladros")
    assert "B2" in skus(found_for("D", model))


def test_a_rule_needs_both_sides():
    with pytest.raises(ValueError, match="needs targets"):
        AliasRecord(id="e", kind=AliasKind.COMPLEMENT, terms=("taladro",))
    with pytest.raises(ConfigurationError, match="complements"):
        list(read_table({"complements": [{"for": ["taladro"]}]}))


def test_every_shipped_rule_can_be_reached():
    records = [one for one in shipped_aliases() if one.kind is AliasKind.COMPLEMENT]
    assert len(records) >= 150
    finder = ComplementFinder(LiveAliases(records))
    rules = finder._rules(NORTE)
    for record in records:
        for term in record.terms:
            assert rules.companions(document("S", term)), f"{record.id}: {term}"
