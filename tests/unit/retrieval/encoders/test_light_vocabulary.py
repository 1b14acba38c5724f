"""The light vocabulary gives the very tokens of the whole one, for any text."""

import gzip
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from retrieval.encoders.export.exporter import prepare
from retrieval.encoders.inference.tokenization import LightTokenizer, TextTokenizer, open_tokenizer
from retrieval.encoders.models.light_vocabulary import is_common, uncommon_pattern
from retrieval.encoders.settings import DEFAULT_MODEL, default_cache_dir
from tests.support.data import shared_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    prepared = prepare(DEFAULT_MODEL, default_cache_dir())
    return prepared if prepared.light_vocabulary else prepare(DEFAULT_MODEL, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def light(model):
    tokenizer = open_tokenizer(model, max_length=64)
    assert isinstance(tokenizer, LightTokenizer)
    return tokenizer


@pytest.fixture(scope="module")
def whole(model):
    return TextTokenizer(model.tokenizer_file, max_length=64, lower_case=False)


TITLES = [
    'Broca para concreto SDS Plus 1/4" x 6"',
    "Válvula de esfera ½” NPT – 3⁄4",
    "cañería Ø 25 µm ±5 °C, 20 Ω",
    "naïve œuvre Đồng ǅ ﬁn",
    "",
    "   ",
    "\x01\x7f\u200b\u00ad",
]


@pytest.mark.parametrize("title", TITLES)
def test_a_title_has_the_same_tokens(light, whole, title):
    assert light.token_ids([title], "query: ") == whole.token_ids([title], "query: ")


def test_titles_in_other_scripts_are_read_with_the_whole_vocabulary_loaded_once(model, whole):
    tokenizer = open_tokenizer(model, max_length=64)
    with capture_logs() as logs:
        for title in ("螺丝刀 M8", "болт М8", "مسمار", "\ud800"):
            assert tokenizer.token_ids([title, "tornillo"], "") == whole.token_ids([title, "tornillo"], "")
    assert [entry["event"] for entry in logs] == ["a text in another script came: loading the whole vocabulary"]


_COMMON = st.characters(codec="utf-8").filter(is_common)


@settings(max_examples=300, deadline=None)
@given(st.text(_COMMON, max_size=40))
@example("e\u0301\u0338 ﬀ½")
@example("ℵ ℃ K")
def test_any_text_of_common_characters_has_the_same_tokens(light, whole, text):
    assert light.token_ids([text], "passage: ") == whole.token_ids([text], "passage: ")


@pytest.mark.slow
def test_real_titles_have_the_same_tokens(light, whole):
    with gzip.open(shared_data("ferreteria", "products.jsonl.gz"), "rt", encoding="utf-8") as lines:
        titles = [json.loads(line)["title"] for _, line in zip(range(5_000), lines, strict=False)]
    assert light.token_ids(titles, "") == whole.token_ids(titles, "")
    assert sum(bool(uncommon_pattern().search(title)) for title in titles) == 0
