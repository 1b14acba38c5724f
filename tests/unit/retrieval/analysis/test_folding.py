"""Folding: one spelling per text, and codes without separators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.analysis.folding import LONGEST_QUERY, LONGEST_TEXT, bounded_query, fold, fold_code
from schemas import normalisers as fields


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  TUBERÍA   Galvanizada ", "tuberia galvanizada"),
        ("Año Ñandú", "ano nandu"),
        ("½", "1/2"),
        ("1½\u201d", '1 1/2"'),
        ("2 ¾", "2 3/4"),
        ("⅝", "5/8"),
        ("20\u00d730", "20x30"),
        ("3''", '3"'),
        ("10\u201312", "10-12"),
        ("90°", "90"),
        ("Nº 8", "#8"),
        ("N° 8", "#8"),
        ("2,5 mm²", "2,5 mm2"),
        ("\u00d8 20", "20"),
        ("", ""),
    ],
)
def test_fold(text, folded):
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("spelling", ["BLT-992900", "blt992900", "Blt 992.900", "BLT/992_900"])
def test_a_code_folds_to_one_form_whatever_separates_it(spelling):
    assert fold_code(spelling) == "blt992900"


@pytest.mark.parametrize("text", ["", " - ", "///"])
def test_a_code_without_letters_or_digits_is_empty(text):
    assert fold_code(text) == ""


@pytest.mark.parametrize("character", ["\u3316", "\ufdfa", "\u00bd", "\u0390", "\ufb03"])
def test_no_text_is_longer_than_its_limit_once_it_is_folded(character):
    assert len(fold(character * 1_000, 600)) <= 600
    assert len(fold(bounded_query(character * LONGEST_QUERY))) <= LONGEST_QUERY


def test_a_text_that_is_too_long_ends_before_the_word_that_goes_beyond():
    assert fold("Tubo PVC Galvanizado", 12) == "tubo pvc"
    assert fold("Tubo PVC", 8) == "tubo pvc"
    assert fold("Galvanizado", 5) == "galva"


def test_a_query_within_the_limit_stays_as_it_was_typed():
    assert bounded_query("Codo 1½ PULGADA") == "Codo 1½ PULGADA"
    assert bounded_query("Á" * LONGEST_QUERY) == "Á" * LONGEST_QUERY
    assert bounded_query("a" + "\u0301" * LONGEST_QUERY) == "a"


def test_a_document_that_does_not_grow_is_analysed_whole():
    body = (
        fields.MAX_DESCRIPTION
        + fields.MAX_BULLETS * fields.MAX_BULLET
        + fields.MAX_ATTRIBUTES * (fields.MAX_ATTRIBUTE_NAME + fields.MAX_ATTRIBUTE_VALUE + 1)
    )
    separators = 3 * (fields.MAX_BULLETS + fields.MAX_ATTRIBUTES)
    assert body + separators <= LONGEST_TEXT


def test_marks_are_dropped_however_many_there_are():
    assert fold("e" + "\u0301" * 500 + "\u0323" * 500 + "a") == "ea"
