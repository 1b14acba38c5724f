"""Quantities, exclusions and types of queries, as tables."""

import pytest

from retrieval.aliases.compiled import slots_of
from retrieval.analysis.pipeline import analyse
from retrieval.understanding import (
    Exclusion,
    Negated,
    Ordered,
    QueryType,
    classify,
    read_negation,
    read_quantity,
)
from schemas.api.explain import OrderedQuantity


@pytest.mark.parametrize(
    ("typed", "thing", "count", "package"),
    [
        ("20 codos galvanizados", "codos galvanizados", 20, ""),
        ("dame 3 martillos por favor", "martillos por favor", 3, ""),
        ('quiero dos cajas de clavos 2"', 'clavos 2"', 2, "cajas"),
        ("2 kg alambre", "alambre", 2, "kg"),
        ("1kg estaño", "estano", 1, "kg"),
        ("20 metros de cable 2.5", "cable 2.5", 20, "metros"),
        ("una docena de guantes", "guantes", 1, "docena"),
        ("tornillos 6x1 100 unidades", "tornillos 6x1", 100, "unidades"),
        ("I need 4 hammers", "hammers", 4, ""),
    ],
)
def test_a_quantity_is_taken_off(typed, thing, count, package):
    assert read_quantity(typed) == Ordered(thing, OrderedQuantity(count=count, package=package))


@pytest.mark.parametrize(
    "typed",
    [
        "4 1/2 disco",
        "20 amp breaker",
        "2x4 tabla",
        '1/2" codo',
        "115 mm disco",
        "taladro 13 mm",
        "3m cinta",
        "hormigonera 130 lts",
        "8",
        "",
    ],
)
def test_sizes_are_no_quantities(typed):
    assert read_quantity(typed) == Ordered(typed)


def test_asking_words_go_without_a_quantity_too():
    assert read_quantity("Busco un taladro percutor") == Ordered("taladro percutor")
    assert read_quantity("¿tienen?").quantity is None


@pytest.mark.parametrize(
    ("typed", "rest", "exclusions"),
    [
        ("reflector no cálido 50w", "reflector 50w", (Exclusion("cálido", lacking=False),)),
        ("brocha que no sea Acme", "brocha", (Exclusion("Acme", lacking=False),)),
        ("pala sin cabo", "pala", (Exclusion("cabo", lacking=True),)),
        ("drill without cord", "drill", (Exclusion("cord", lacking=True),)),
        ("casco excepto de la marca Acme", "casco", (Exclusion("Acme", lacking=False),)),
        ("cinta no negra no blanca", "cinta", (Exclusion("negra", False), Exclusion("blanca", False))),
        ("linterna no incluye pilas", "linterna", (Exclusion("pilas", lacking=True),)),
        (
            "caja de herramientas sin herramientas",
            "caja de herramientas",
            (Exclusion("herramientas", lacking=True, asked=True),),
        ),
    ],
)
def test_what_is_ruled_out(typed, rest, exclusions):
    assert read_negation(typed) == Negated(rest, exclusions)


@pytest.mark.parametrize("typed", ["sin fin", "tornillo no 8", "martillo", "nodular", "casino rojo", "menos 10"])
def test_what_rules_nothing_out(typed):
    assert read_negation(typed) == Negated(typed)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", QueryType.EMPTY),
        ("BLT-992900", QueryType.CODE),
        ("truper 15836", QueryType.CODE),
        ("martillo", QueryType.ONE_WORD),
        ("llave inglesa", QueryType.NAME),
        ('codo 1/2"', QueryType.DIMENSION),
        ("broca sds 10mm", QueryType.DIMENSION),
        ("algo que sirva para limpiar las manos con grasa dura", QueryType.SENTENCE),
    ],
)
def test_the_type_of_a_query(typed, expected):
    assert classify(slots_of(analyse(typed).tokens)) is expected


def test_a_need_is_a_sentence_however_short():
    assert classify(slots_of(analyse("pelar cables").tokens), is_need=True) is QueryType.SENTENCE
