"""The whole analysis: what becomes of titles and queries, and what every spelling of one thing shares."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.analysis.lexer import LexemeKind
from retrieval.analysis.pipeline import analyse, analyse_stages
from retrieval.analysis.tokens import TokenKind
from tests.support.data import shared_data

pytestmark = pytest.mark.slow


def slots(text: str, **options) -> list[set[str]]:
    """The alternatives of each position that has any."""
    positions: dict[int, set[str]] = {}
    for token in analyse(text, **options).tokens:
        positions.setdefault(token.position, set()).add(token.text)
    return list(positions.values())


def texts(text: str, *kinds: TokenKind) -> set[str]:
    return {token.text for token in analyse(text).tokens if not kinds or token.kind in kinds}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ('Codo galv. 1.1/2"', [{"cod"}, {"galv", "galvanizad"}, {"1-1/2", "38.1mm"}]),
        ("Mecha p/madera 10mm", [{"mech"}, {"mader"}, {"10", "10mm"}]),
        ("Caja c/16 pzas", [{"caj"}, {"16"}, {"pza", "piec"}]),
        ("Taladro s/cable", [{"taladr"}, {"sin"}, {"cabl"}]),
        ("Pela-cable", [{"pel", "pelacabl"}, {"cabl"}]),
        ("Perno M8 x 40", [{"pern"}, {"m8", "m8x40"}, {"40", "40mm"}]),
        ("Palo 2 x 4 x 16", [{"pal"}, {"2", "2x4", "2x4x16"}, {"4", "4x16"}, {"16"}]),
        ("Lona 12 x 30 cm", [{"lon"}, {"12", "120mm", "12x30"}, {"30", "300mm"}]),
        ("Macho 3/4 NPT", [{"mach"}, {"3/4", "19.05mm", "3/4npt"}, {"npt"}]),
        ("Chapa cal. 22", [{"chap"}, {"calibr"}, {"22", "c22"}]),
        ("Clavadora 15-50mm", [{"clavador"}, {"15", "15mm"}, {"50", "50mm"}]),
        ("Foco 12/24V", [{"foc"}, {"12", "12v"}, {"24", "24v"}]),
        ('Valvula 1" "VALMAX"', [{"valvul"}, {"1", "25.4mm"}, {"valmax"}]),
        ("Breaker 2-4", [{"breaker"}, {"2", "2-4"}, {"4"}]),
        ("Taladro DCD771C2", [{"taladr"}, {"dcd771c2", "dcd771", "771", "dcd"}]),
        ("dos latas", [{"dos", "2"}, {"lat"}]),
    ],
)
def test_titles(title, expected):
    assert slots(title) == expected


@pytest.mark.parametrize(
    ("spellings", "shared"),
    [
        (
            ['1/2"', "1/2", "½", "1/2 pulg", "media pulgada", "medio", "media", "half inch", "0.5 in", "12.7mm"],
            "12.7mm",
        ),
        (['1.1/2"', "1 1/2", "1-1/2", "1½", "1 y 1/2", "una pulgada y media", "1 y media", "38,1 mm"], "38.1mm"),
        (["3/4", "¾", "tres cuartos", "three quarters", '3/4"', "19.05 mm"], "19.05mm"),
        (["un cuarto", "1/4", "quarter inch"], "6.35mm"),
        (["3 m", "3m", "3 mts", "300cm", "3 metros", "3,00 m"], "3000mm"),
        (["m8x40", "M8 x 40", "M8*40", "m8 \u00d7 40", "M8X40mm"], "m8x40"),
        (["3x2.5mm", "3 x 2,5 mm", "3*2.5"], "3x2.5"),
        (["10*20", "10x20", "10 X 20", "10 x 20 cm"], "10x20"),
        (["g-36", "G36", "grano 36", "grit 36", "g 36"], "g36"),
        (["C-22", "c22", "cal 22", "cal. 22", "calibre 22", "c 22"], "c22"),
        (["#8", "# 8", "nro 8", "nro. 8", "No. 8", "N° 8"], "#8"),
        (["BLT-992900", "BLT992900", "blt 992900", "BLT/992900", "blt.992900"], "blt992900"),
        (["80-534", "80534"], "80534"),
        (["sch 40", "SCH40", "sch-40"], "sch40"),
        (["galv.", "galv", "galvanizado", "galvanizadas"], "galvanizad"),
        (["inox", "inox.", "inoxidable"], "inoxidabl"),
        (["tor.", "tornillo", "tornillos", "torn"], "tornill"),
        (["tubería", "TUBERIA", "tuberias"], "tuberi"),
        (["20 amp", "20A", "20 amperios", "20-amp"], "20a"),
    ],
)
def test_every_spelling_shares_a_token_of_one_kind(spellings, shared):
    kinds = [{t.kind for t in analyse(spelling).tokens if t.text == shared} for spelling in spellings]
    assert set.intersection(*kinds), dict(zip(spellings, kinds, strict=True))


@pytest.mark.parametrize(
    ("one", "other"), [("1/2", "1 1/2"), ("12 mm", "12 cm"), ("m8", "m10"), ("2.5 mm", "25 mm"), ("c22", "g22")]
)
def test_different_sizes_share_no_measure(one, other):
    assert not texts(one, TokenKind.MEASURE) & texts(other, TokenKind.MEASURE)


@pytest.mark.parametrize("text", ["a", "de la", "", "  ", '"', "...", "\x00", "💡", "-/-"])
def test_texts_without_content_have_no_tokens(text):
    assert analyse(text).tokens == ()


def test_a_negation_is_kept():
    assert {"sin", "no"} <= texts("taladro sin cable no inalambrico")


def test_stages_show_what_each_made_of_the_text():
    stages = analyse_stages("Codo de MEDIA pulgada \u00d7 3mts")
    assert stages.folded == "codo de media pulgada x 3mts"
    assert stages.spelled == "codo de 1/2 pulgada x 3mts"
    assert [piece.kind for piece in stages.lexemes] == [LexemeKind.WORD, LexemeKind.WORD, LexemeKind.DIMENSIONS]
    assert stages.tokens == analyse("Codo de MEDIA pulgada \u00d7 3mts").tokens


TEXT = 'Tubería Ñandú galv. p/madera 1/2" 1½ M8x40 C-22 BLT-992900 3 m 10*20 sin de X tornillos 2,5mm #8 media'
WORDS = st.sampled_from(TEXT.split())


@given(st.lists(WORDS, max_size=12))
def test_case_accents_and_blanks_change_no_token(words):
    text = " ".join(words)
    tokens = analyse(text).tokens
    assert analyse(text.upper()).tokens == tokens
    assert analyse(text.lower().replace("í", "i").replace("ñ", "n")).tokens == tokens
    assert analyse("  " + text.replace(" ", " \t ") + " ").tokens == tokens


@given(st.text(max_size=80))
def test_any_text_gives_well_formed_tokens_again_and_again(text):
    tokens = analyse(text).tokens
    assert analyse(text).tokens == tokens == analyse_stages(text).tokens
    assert [token.position for token in tokens] == sorted(token.position for token in tokens)
    assert len(set(tokens)) == len(tokens)
    assert all(token.text and token.text == token.text.strip() for token in tokens)


@given(st.integers(1, 15), st.sampled_from([2, 4, 8, 16, 32]), st.integers(1, 9))
def test_a_mixed_fraction_is_one_size_in_every_spelling(above, below, whole):
    if above >= below:
        above = 1
    spellings = [f"{whole} {above}/{below}", f"{whole}-{above}/{below}", f'{whole}.{above}/{below}"']
    measures = [texts(spelling, TokenKind.MEASURE) for spelling in spellings]
    assert measures[0]
    assert measures[0] == measures[1] == measures[2]


# Letters that are no abbreviation, unit or number sign: "NO.1000" and "TOR.1000" mean something else.
@given(st.from_regex(r"q[bdfgjkpqvw]{1,3}", fullmatch=True), st.from_regex(r"[1-9][0-9]{3,6}", fullmatch=True))
def test_a_part_number_is_one_code_whatever_separates_it(letters, digits):
    plain = texts(letters + digits, TokenKind.CODE)
    assert letters + digits in plain
    assert letters + digits in texts(f"{letters}-{digits}", TokenKind.CODE)
    assert letters + digits in texts(f"{letters.upper()}.{digits}", TokenKind.CODE)


def test_real_titles_give_tokens_and_agree_with_their_own_variants():
    with gzip.open(shared_data("ferreteria", "products.jsonl.gz"), "rt") as lines:
        titles = [json.loads(line)["title"] for line in lines][::17]
    for title in titles:
        assert analyse(title).tokens, title
        assert analyse(title.upper()).tokens == analyse(title.lower()).tokens, title
