"""The shipped vocabulary: whole, well-formed, and understood as it is meant."""

import pytest

from retrieval.aliases.compiled import CompiledAliases, compared, phrase_of, slots_of
from retrieval.aliases.shipped import read_table, shipped_aliases
from retrieval.analysis.pipeline import analyse
from schemas.errors import ConfigurationError
from schemas.records.aliases import AliasKind

SHIPPED = CompiledAliases(shipped_aliases())


def meant(text: str) -> set[str]:
    slots = [compared(slot) for slot in slots_of(analyse(text).tokens)]
    return {p.text for match in SHIPPED.matches(slots) for one in match.rewritings for p in one.targets}


def test_there_are_at_least_four_hundred_groups_with_unique_ids():
    records = shipped_aliases()
    assert sum(record.kind is AliasKind.SYNONYM for record in records) >= 400
    assert len({record.id for record in records}) == len(records)


def test_no_entry_is_empty_after_analysis():
    for record in shipped_aliases():
        assert all(phrase_of(term).tokens for term in (*record.terms, *record.targets)), record.id


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("mecha 8mm", "broca"),
        ("ramplug", "tarugo"),
        ("chazos", "taquete"),
        ("desarmador", "destornillador"),
        ("llave tubo", "llave stillson"),
        ("LLAVES DE TUBO", "llave stillson"),
        ("drill bits", "broca"),
        ("cordless drill", "taladro inalámbrico"),
        ("taladro sin cable", "inalámbrico"),
        ("pegar la ceramica", "pegazulejo"),
        ("para matar ratas", "raticida"),
        ("black", "negro"),
    ],
)
def test_an_expression_finds_what_others_call_it(typed, found):
    assert found in meant(typed)


def test_the_longest_expression_wins():
    assert "grifo" not in meant("llave stillson")
    assert "grifo" in meant("llave de agua")


@pytest.mark.parametrize(
    "table",
    [
        {"synonims": []},
        {"synonyms": [["alone"]]},
        {"aliases": [{"from": "x"}]},
        {"intents": [{"what": ["x"]}]},
        {"synonyms": [3]},
    ],
)
def test_a_wrong_table_is_refused_with_its_section(table):
    with pytest.raises(ConfigurationError):
        list(read_table(table))


@pytest.mark.parametrize("tool", ["lija", "taladro", "nivel", "lija grano 120"])
def test_a_tool_is_no_need_though_its_verb_is_analysed_alike(tool):
    slots = [compared(slot) for slot in slots_of(analyse(tool).tokens)]
    entries = [one.entry for match in SHIPPED.matches(slots) for one in match.rewritings]
    assert not [entry for entry in entries if entry.startswith("intents:")]


def test_a_verb_alone_is_a_need_where_it_names_no_tool():
    assert "soldadora" in meant("soldar")
    assert "taladro" in meant("perforar")
