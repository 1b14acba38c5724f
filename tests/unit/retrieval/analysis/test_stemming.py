"""The light stemmer: number and gender meet in both languages, different words stay apart."""

import pytest

from retrieval.analysis.stemming import stem


@pytest.mark.parametrize(
    "family",
    [
        "tornillo tornillos",
        "tuberia tuberias",
        "llave llaves",
        "galvanizado galvanizada galvanizados galvanizadas",
        "luz luces",
        "cruz cruces",
        "lapiz lapices",
        "pared paredes",
        "interruptor interruptores",
        "extension extensiones",
        "gris grises",
        "gas gases",
        "ingles inglesa ingleses inglesas",
        "marron marrones",
        "alicate alicates",
        "cortar corta corte cortes",
        "pelar pela",
        "drill drills drilling",
        "battery batteries",
        "brush brushes",
        "switch switches",
        "hinge hinges",
        "house houses housing",
        "cutting cut",
    ],
)
def test_forms_of_one_word_meet(family):
    assert len({stem(word) for word in family.split()}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cable", "cabo"),
        ("codo", "codal"),
        ("tubo", "tuberia"),
        ("gris", "grifo"),
        ("led", "leds2"),
        ("pala", "palanca"),
    ],
)
def test_different_words_stay_apart(one, other):
    assert stem(one) != stem(other)


@pytest.mark.parametrize("word", ["pvc", "led", "m8", "c22", "abs", "hss", "gas", "dcd771c2"])
def test_short_words_and_words_with_digits_stay_whole(word):
    assert stem(word) == word
