"""The judged queries over the sample catalogue: what the rules give, and that search answers them well enough."""

import asyncio
from collections import Counter

import pytest

from ferroflux.evaluation.cache import default_cache_dir
from ferroflux.evaluation.catalogue import CatalogueSource
from ferroflux.evaluation.indexing import indexed_catalogue
from ferroflux.sample.generator import ENGLISH_TENANT, SPANISH_TENANT, generate
from ferroflux.sample.judging import judged_bytes, judged_lines, judged_path
from tests.unit.training.doubles import write_rows
from training.experiments.experiment import summarise
from training.experiments.run import run_system
from training.judgments import load_judged
from training.metrics import Judge
from training.systems.hybrid import HybridSystem
from training.systems.settings import EvaluationSettings

pytestmark = pytest.mark.slow

FERRETERIA_TYPES = {
    "one_word", "slang", "typo", "dimension", "brand_model", "sku", "abbrev", "multi_attr", "use_intent", "english",
    "negation_or_exclusion", "quantity_order", "plural_compound", "no_result",
}  # fmt: skip


def test_the_committed_judgments_are_those_of_the_rules():
    assert judged_path().read_bytes() == judged_bytes(), "write ferroflux.sample.judging.judged_bytes() to the file"


def test_there_are_enough_queries_of_every_type_in_both_shops():
    judged = load_judged(judged_path())
    assert len(judged.queries) >= 150
    types = Counter(query.type for query in judged.queries)
    assert set(types) == FERRETERIA_TYPES
    assert min(types.values()) >= 8
    assert {query.tenant for query in judged.queries} == {SPANISH_TENANT, ENGLISH_TENANT}


def test_every_judged_product_is_in_its_shop():
    shops = {(row["tenant"], row["sku"]) for row in generate()}
    for line in judged_lines():
        assert all((line["tenant"], sku) in shops for sku in line["judgments"])
        assert bool(line["judgments"]) != (line["type"] == "no_result")


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first run embeds 2,600 texts: half a minute on two quiet cores
def test_search_answers_the_sample_queries_above_the_floor(tmp_path):
    catalogue = write_rows(tmp_path / "sample.jsonl", list(generate()))
    settings = EvaluationSettings.patient()
    catalogue = indexed_catalogue(CatalogueSource(catalogue), settings.encoder, default_cache_dir(), lambda *_: None)
    system = HybridSystem.over(catalogue, settings)
    try:
        run = asyncio.run(run_system(system, catalogue, Judge(load_judged(judged_path()))))
    finally:
        system.close()
        catalogue.encoder.flush()
    figures = summarise(run).as_json()
    assert figures["zero_result_rate"] == 0
    assert figures["top1"] >= 0.78
    assert figures["top5"] >= 0.82
    assert figures["ndcg@10"] >= 0.75
    assert figures["by_type"]["sku"]["top1"] == 1
    assert figures["by_type"]["typo"]["top5"] >= 0.9
    assert figures["by_type"]["dimension"]["top5"] >= 0.9
