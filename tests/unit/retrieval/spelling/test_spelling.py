"""Spelling: sounds, distances, and corrections out of a vocabulary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.spelling import SpellingDictionary, edit_distance, sound_key

WORDS = {
    "cinta": 40, "metrica": 12, "pinza": 30, "amoladora": 25, "taladro": 50, "percutor": 20, "acordeon": 3,
    "inalambrico": 9, "breaker": 15, "hombre": 2, "solo": 4, "invisible": 2, "teflon": 6, "candado": 30, "porta": 8,
    "martillo": 33, "drill": 5, "tornillos": 80,
}  # fmt: skip
KNOWN = SpellingDictionary(WORDS)

words = st.text("abcdefghijklmnopqrstuvwxyz", max_size=10)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("cinta", "sinta"),
        ("zapato", "sapato"),
        ("vulon", "bulon"),
        ("hacha", "acha"),
        ("kilo", "quilo"),
        ("teflom", "teflon"),
    ],
)
def test_words_that_sound_alike_share_a_key(left, right):
    assert sound_key(left) == sound_key(right)


@pytest.mark.parametrize(("left", "right"), [("pala", "bala"), ("codo", "todo"), ("lima", "rima"), ("tubo", "tuvo1")])
def test_words_that_sound_apart_do_not(left, right):
    assert sound_key(left) != sound_key(right)


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "ab", 1), ("abc", "xbc", 1), ("abcd", "badc", 2)],
)
def test_the_distance_counts_edits_and_swaps(left, right, distance):
    assert edit_distance(left, right, most=3) == distance


@given(words, words)
def test_the_distance_is_symmetric_and_bounded(left, right):
    found = edit_distance(left, right, most=3)
    assert found == edit_distance(right, left, most=3)
    assert 0 <= found <= 4
    assert (found == 0) == (left == right)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sinta", "cinta"),
        ("pinsa", "pinza"),
        ("amoldadora", "amoladora"),
        ("akordeon", "acordeon"),
        ("inalanbrico", "inalambrico"),
        ("brequer", "breaker"),
        ("envisible", "invisible"),
        ("martlilo", "martillo"),
        ("taladropercutor", "taladro percutor"),
        ("ombresolo", "hombre solo"),
        ("portacandado", "porta candado"),
    ],
)
def test_a_misspelling_is_corrected(written, meant):
    correction = KNOWN.correct(written)
    assert correction is not None
    assert correction.text == meant


@pytest.mark.parametrize("word", ["cinta", "cintas", "tornillo", "tal", "12345", "x2y", "zzzzzzzz", ""])
def test_a_known_or_short_or_hopeless_word_is_left_alone(word):
    assert KNOWN.correct(word) is None


@given(st.sampled_from(sorted(w for w in WORDS if len(w) > 7)), st.data())
def test_a_letter_left_out_is_never_far_from_a_known_word(word, data):
    at = data.draw(st.integers(0, len(word) - 1))
    written = word[:at] + word[at + 1 :]
    found = KNOWN.correct(written)
    assert KNOWN.knows(written) or found is not None


def test_new_words_are_known_at_once():
    dictionary = SpellingDictionary({"pala": 1})
    assert dictionary.add({"zapapico": 1, "pala": 9}) == 1
    assert dictionary.frequency("pala") == 9
    correction = dictionary.correct("sapapico")
    assert correction is not None
    assert correction.meant == ("zapapico",)


def test_what_is_too_long_for_a_word_is_known_and_never_corrected():
    long = "tornillos" * 5
    dictionary = SpellingDictionary({long: 3.0, "tornillo": 9.0})
    assert dictionary.knows(long)
    assert dictionary.correct(long[:-1]) is None
    assert dictionary.split(long + "x") is None


def test_words_that_come_in_several_times_are_found_as_if_at_once():
    words = dict.fromkeys(("tornillo", "tornillos", "taladro", "tuerca", "tubo"), 1.0)
    at_once, one_by_one = SpellingDictionary(words), SpellingDictionary()
    for word in words:
        one_by_one.add({word: 1.0})
    assert at_once._neighbours == one_by_one._neighbours
