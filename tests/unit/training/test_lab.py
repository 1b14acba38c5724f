"""Indexing and the commands: a catalogue through the pipeline, kept by its content, and figures at the end."""

import orjson
import pytest
from typer.testing import CliRunner

from ferroflux.cli.main import app
from ferroflux.evaluation import indexing
from ferroflux.evaluation.cache import built_once, source_digest
from ferroflux.evaluation.catalogue import CatalogueSource
from retrieval.testing import HashingEncoder, HashingSparseEncoder
from retrieval.text.settings import FieldWeights
from schemas.errors import ConfigurationError
from schemas.identity import SkuKey
from tests.support.tiny_models import cross_encoder_folder
from tests.unit.training.doubles import ROWS, tiny_catalogue, write_rows
from training.systems.cached_encoders import CachedSparseEncoder

pytestmark = pytest.mark.slow

JUDGED = [
    {"id": "1", "tenant": "sol", "type": "name", "query": "martillo uña", "judgments": {"MAR-1": 3, "MAR-2": 1}},
    {"id": "2", "tenant": "sol", "type": "name", "query": "broca concreto", "judgments": {"BRO-1": 3}},
    {"id": "3", "tenant": "bay", "type": "english", "query": "claw hammer", "judgments": {"HAM-1": 3}},
    {"id": "4", "tenant": "sol", "type": "sku", "query": "MAR-2", "judgments": {"MAR-2": 3}},
    {"id": "5", "tenant": "sol", "type": "no_result", "query": "inodoro", "judgments": {}},
]


def hashing(settings):
    return HashingEncoder(64, sparse=HashingSparseEncoder() if settings.sparse.model else None)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "load_encoder", hashing)
    catalogue = write_rows(tmp_path / "products.jsonl.gz", ROWS)
    judged = write_rows(tmp_path / "judged.jsonl", JUDGED)
    return ["--catalogue", str(catalogue), "--judged", str(judged), "--cache-dir", str(tmp_path / "cache")]


def call(*arguments: str) -> tuple[str, dict]:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, orjson.loads(result.stdout.strip().splitlines()[-1])


def test_the_bench_holds_documents_as_the_pipeline_makes_them(tmp_path):
    catalogue = tiny_catalogue(tmp_path)
    assert catalogue.tenants == ("bay", "sol")
    document = catalogue.documents[SkuKey.of("bay", "HAM-1")]
    assert (document.price, document.stock) == (12.5, 3)
    assert document.model == catalogue.encoder.revision.id
    assert catalogue.documents[SkuKey.of("sol", "BRO-1")].attributes == {"color": "gris"}
    assert catalogue.open_reader(FieldWeights()).counts().alive == len(ROWS)


def test_a_second_bench_computes_nothing(tmp_path):
    assert tiny_catalogue(tmp_path).encoder.computed == len(ROWS)
    assert tiny_catalogue(tmp_path).encoder.computed == 0


def test_only_the_wanted_fields_are_taken(tmp_path):
    document = tiny_catalogue(tmp_path, fields=frozenset({"title"})).documents[SkuKey.of("sol", "MAR-1")]
    assert document.title
    assert (document.brand, document.description) == ("", "")


def test_a_field_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="colour"):
        CatalogueSource(tmp_path / "x.jsonl", frozenset({"colour"}))


def test_a_file_without_products_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="holds no product"):
        tiny_catalogue(tmp_path, [{"sku": "A"}])


def test_a_query_of_a_shop_that_is_not_there_is_refused(tmp_path):
    catalogue = tiny_catalogue(tmp_path)
    assert catalogue.tenant_of("sol") == "sol"
    with pytest.raises(ConfigurationError, match="no tenant 'luna'"):
        catalogue.tenant_of("luna")
    with pytest.raises(ConfigurationError, match="name no tenant"):
        catalogue.tenant_of("")


def test_what_is_built_is_built_once_and_a_failure_leaves_nothing(tmp_path):
    built = []

    def build(folder):
        built.append(folder)
        (folder / "content").write_text("x")

    def fail(folder):
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        built_once(tmp_path / "entry", fail)
    assert not (tmp_path / "entry").exists()
    for _ in range(2):
        assert (built_once(tmp_path / "entry", build) / "content").read_text() == "x"
    assert len(built) == 1


def test_the_digest_of_code_covers_modules_and_packages():
    assert source_digest("retrieval.passages") != source_digest("retrieval.analysis")
    assert source_digest("retrieval.passages") == source_digest("retrieval.passages")


def test_eval_prints_figures_and_writes_the_report(files, tmp_path):
    report = tmp_path / "report"
    _, figures = call(
        "eval", *files, "--baseline", "bm25", "--compare", "search.rrf_k=7", "--ablate", "--report", str(report)
    )
    assert figures["queries"] == 4
    assert figures["no_result_queries"] == 1
    assert {"ndcg@10", "recall@100", "mrr", "top1", "top5", "no_result_accuracy", "by_type"} <= figures.keys()
    assert figures["top5"] == 1
    assert set(figures["by_type"]) == {"name", "english", "sku"}
    assert set(figures["compared"]) == {"BM25 (plain)", "hybrid search.rrf_k=7"}
    assert "without retriever dense" in figures["ablation"]
    assert figures["latency_ms"]["total"]["p95"] > 0
    assert {path.name for path in report.iterdir()} == {"report.md", "report.html", "run.json"}
    _, again = call("eval", *files, "--compare", str(report / "run.json"))
    assert again["compared"]["hybrid"]["ndcg@10"] == {**again["compared"]["hybrid"]["ndcg@10"], "difference": 0, "p": 1}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_eval_reranks_with_the_model_that_is_set_and_tells_what_it_is_worth(files, tmp_path):
    folder = cross_encoder_folder(tmp_path / "models" / "tiny")
    _, figures = call(
        "eval",
        *files,
        "--set",
        f"rerank.model={folder}",
        "--set",
        f"rerank.cache_dir={tmp_path / 'models'}",
        "--ablate",
        "--latency",
    )
    assert figures["queries"] == 4
    assert "without rerank" in figures["ablation"]
    assert figures["latency_ms"]["rerank"]["p50"] > 0


def test_eval_asks_a_sparse_encoder_that_is_set_and_computes_its_vectors_once(files, tmp_path):
    _, figures = call("eval", *files, "--set", "encoder.sparse.model=any", "--ablate")
    assert figures["top5"] == 1
    assert "without retriever sparse" in figures["ablation"]
    _, alone = call("eval", *files, "--ablate")
    assert "without retriever sparse" not in alone["ablation"]
    cached = CachedSparseEncoder(HashingSparseEncoder(), tmp_path / "cache" / "vectors")
    cached.encode_queries(["martillo uña"])
    assert cached.computed == 0


def test_eval_reads_trec_tables_of_a_catalogue_of_one_shop(files, tmp_path):
    catalogue = write_rows(tmp_path / "one.jsonl", [{k: v for k, v in row.items() if k != "tenant"} for row in ROWS])
    (tmp_path / "q.tsv").write_text("1\tclaw hammer\n")
    (tmp_path / "r.tsv").write_text("1\tHAM-1\t2.67\n1\tMAR-1\t1.33\n")
    _, figures = call(
        "eval", "--catalogue", str(catalogue), "--queries", str(tmp_path / "q.tsv"), "--qrels", str(tmp_path / "r.tsv"),
        "--cache-dir", str(tmp_path / "cache"),
    )  # fmt: skip
    assert figures["gain"] == "mean-rating"
    assert figures["top1"] == 1


def test_tune_writes_settings_that_eval_reads(files, tmp_path):
    chosen = tmp_path / "tuned.yaml"
    _, figures = call("tune", *files, "--folds", "2", "--space", "search.rrf_k=5,60", "--out", str(chosen))
    assert figures["configurations"] == 3
    assert figures["chosen"] == {}  # four easy queries are no reason to change anything
    call("eval", *files, "--settings", str(chosen))


def test_judged_queries_must_be_given_in_one_way(files):
    with pytest.raises(ConfigurationError, match="give --judged FILE"):
        CliRunner().invoke(app, ["eval", *files[:2]], catch_exceptions=False)
