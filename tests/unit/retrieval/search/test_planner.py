"""Planning: what each retriever is asked for a query, over a small catalogue and a small table."""

from collections.abc import Mapping

import pytest

from retrieval.aliases.live import LiveAliases
from retrieval.analysis.folding import fold
from retrieval.analysis.pipeline import analyse
from retrieval.filters import CatalogueFilter
from retrieval.search.planning.knowledge import ReplicaKnowledge
from retrieval.search.planning.plan import PlanningSettings
from retrieval.search.planning.planner import QueryPlanner
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from retrieval.understanding import Exclusion, QueryType
from schemas.api.explain import OrderedQuantity
from schemas.api.limits import MAX_TEXT
from schemas.documents import SearchDocument
from schemas.identity import TenantId
from schemas.records.aliases import AliasKind, AliasRecord

WITHIN = CatalogueFilter(TenantId("acme"))

TITLES = {
    "1": "Alicate de presion 10 pulgadas",
    "2": "Alicate universal",
    "3": "Taladro percutor inalambrico",
    "4": "Candado de bronce",
    "5": "Comba 4 lb sin mango",
    "6": "Cinta metrica",
}
TABLE = (
    AliasRecord(id="vise", kind=AliasKind.SYNONYM, terms=("alicate de presión", "hombre solo", "vise grip")),
    AliasRecord(id="inal", kind=AliasKind.SYNONYM, terms=("inalámbrico", "sin cable")),
    AliasRecord(id="noise", kind=AliasKind.STOP, terms=("original",)),
    AliasRecord(id="best", kind=AliasKind.REDIRECT, terms=("oferta",), targets=("4",)),
    AliasRecord(id="intents:measure", kind=AliasKind.ALIAS, terms=("medir largo",), targets=("cinta métrica",)),
)


def planner(titles: Mapping[str, str] = TITLES, **settings) -> QueryPlanner:
    store = MemoryTextStore()
    documents = [
        SearchDocument(tenant="acme", sku=sku, rev=1, state="0" * 16, title=title) for sku, title in titles.items()
    ]
    MemoryTextWriter(store).apply(documents, Checkpoint("log"))
    knowledge = ReplicaKnowledge(MemoryTextReader(store), LiveAliases(TABLE))
    return QueryPlanner(knowledge, analyse, PlanningSettings(**settings))


def searched(plan) -> set[str]:
    return {
        " ".join(token.text for token in alternative.tokens)
        for clause in plan.text_query.clauses
        for alternative in clause.alternatives
    }


def test_an_expression_is_searched_as_typed_and_as_the_table_says():
    plan = planner().plan("hombre solo 10", WITHIN)
    assert {"hombr sol", "alicat presion", "vis grip", "10"} <= searched(plan)
    assert [applied.entries for applied in plan.aliases] == [("vise",)]
    assert plan.text_query.clauses[0].width == 2


def test_the_vectors_are_searched_in_the_words_that_the_catalogue_uses():
    assert planner().plan("hombre solo 10", WITHIN).dense_texts == ("hombre solo 10", "alicate de presión 10")
    assert planner().plan("alicate de presion", WITHIN).dense_texts == ("alicate de presion",)
    assert planner(dense_rewriting=False).plan("hombre solo", WITHIN).dense_texts == ("hombre solo",)


def test_a_misspelling_is_corrected_and_the_typed_word_is_searched_too():
    plan = planner().plan("kandado bronse", WITHIN)
    assert plan.core == plan.did_you_mean == "candado bronce"
    assert {"candad", "bronc", "kandad", "brons"} <= searched(plan)
    assert plan.unknown == ()


def test_a_known_word_is_left_alone_and_an_unknown_one_is_named():
    plan = planner().plan("candados xilofono", WITHIN)
    assert plan.did_you_mean is None
    assert plan.unknown == ("xilofono",)


def test_a_quantity_is_a_field_and_only_a_hint_in_the_text():
    plan = planner().plan("dame 3 candados", WITHIN)
    assert (plan.core, plan.quantity) == ("candados", OrderedQuantity(count=3))
    hints = [clause for clause in plan.text_query.clauses if clause.extra]
    assert [hint.alternatives[0].weight for hint in hints] == [pytest.approx(1.0)]


def test_what_is_ruled_out_is_excluded_with_its_synonyms():
    plan = planner().plan("taladro no inalambrico", WITHIN)
    assert plan.exclusions == (Exclusion("inalambrico", lacking=False),)
    assert plan.dense_texts == ("taladro",)
    excluded = {" ".join(token.text for token in one.tokens) for one in plan.text_query.excluded}
    assert excluded == {"inalambric", "sin cabl"}


def test_lacking_something_rules_out_only_products_that_do_not_say_so_themselves():
    plan = planner().plan("comba sin mango", WITHIN)
    assert "sin mang" in searched(plan)
    assert [sorted(one.unless) for one in plan.text_query.excluded] == [["no", "not", "sin", "without"]]


def test_what_a_title_denies_as_the_query_does_is_looked_for():
    assert {"no inalambric", "sin inalambric"} <= searched(planner().plan("taladro no inalambrico", WITHIN))


def test_what_the_rest_of_the_query_asks_for_is_not_ruled_out():
    plan = planner().plan("caja para taladro sin taladro", WITHIN)
    assert [one.asked for one in plan.exclusions] == [True]
    assert plan.text_query.excluded == ()
    assert "sin taladr" in searched(plan)


def test_an_expression_with_a_denial_in_it_is_an_expression():
    plan = planner().plan("taladro sin cable", WITHIN)
    assert plan.exclusions == ()
    assert "inalambric" in searched(plan)


def test_stop_entries_redirects_and_needs():
    assert "original" not in searched(planner().plan("candado original", WITHIN))
    assert planner().plan("ofertas", WITHIN).redirects == ("4",)
    assert planner().plan("medir largo", WITHIN).type is QueryType.SENTENCE


def test_an_empty_text_plans_a_listing():
    plan = planner().plan("", WITHIN)
    assert (plan.type, plan.text_query.clauses, plan.dense_texts) == (QueryType.EMPTY, (), ())


def test_every_step_can_be_switched_off():
    off = planner(aliases=False, spelling=False, negation=False, quantity=False)
    plan = off.plan("dame 3 kandado no hombre solo", WITHIN)
    assert (plan.aliases, plan.corrections, plan.exclusions, plan.quantity) == ((), (), (), None)
    assert plan.core == "dame 3 kandado no hombre solo"


@pytest.mark.parametrize("text", ["\u3316" * 256, "\ufdfa" * 512, "a" * 512, "1/2-" * 127 + "1/2q", "tubo " * 102])
def test_no_query_is_planned_that_is_longer_than_the_limit_once_it_is_folded(text):
    plan = planner().plan(text, WITHIN)
    assert len(fold(plan.core)) <= MAX_TEXT
    assert all(len(fold(dense)) <= MAX_TEXT for dense in plan.dense_texts)
