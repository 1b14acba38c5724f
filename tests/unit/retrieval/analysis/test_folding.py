"""Folding: one spelling per text, and codes without separators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.analysis.folding import fold, fold_code


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
