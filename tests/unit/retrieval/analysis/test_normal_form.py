"""Normal forms without their quadratic time: the same text, but for marks that are piled up."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.analysis.folding import LONGEST_RUN, normal_form, unmarked

normal_form("NFC", "\u00e9")  # the first text beyond ASCII takes a few hundredths of a second more

MARKED = st.text(
    st.sampled_from("ae\u0301\u0323\u0344\u0f73\uff9e \u00bd\u3316\ud55c") | st.characters(codec="utf-8"), max_size=150
)


@given(st.text(max_size=LONGEST_RUN))
@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_a_text_without_piled_up_marks_has_its_own_normal_form(form, text):
    assert normal_form(form, text) == unicodedata.normalize(form, text)


@pytest.mark.parametrize("mark", ["\u0301", "\u0323\u0301", "\u0344", "\u0f73", "\uff9e"])
def test_piled_up_marks_are_cut(mark):
    assert normal_form("NFKC", "a" + mark * 500 + "z") == normal_form(
        "NFKC", ("a" + mark * 500)[: LONGEST_RUN + 1] + "z"
    )


@given(MARKED)
def test_taking_the_marks_off_piece_by_piece_makes_no_difference(text):
    whole = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    assert unmarked(text) == whole
    assert whole.startswith(unmarked(text, 70))
