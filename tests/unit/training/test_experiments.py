"""Comparisons, failures, ablation, saved runs and reports over small runs."""

import re
from html.parser import HTMLParser

import pytest

from schemas.errors import ConfigurationError
from tests.unit.training.doubles import judged_set, query, run_of, tiny_catalogue
from training.experiments.comparison import compare, stages
from training.experiments.experiment import Experiment
from training.experiments.run import Latency, Run, load_run, save_run
from training.metrics import Cause, Judge, causes_by_type, failures
from training.reports import EvaluationReport, Section, Table, report_of, to_html, to_markdown
from training.systems.port import RankedAnswer
from training.systems.settings import EvaluationSettings

JUDGED = judged_set(
    query("a", {"MAR-1": 3}, text="martillo de uña", type="name", tenant="sol"),
    query("b", {"BRO-1": 3}, text="mecha", type="slang", tenant="sol"),
    query("n", {}, text="inodoro", type="no_result", tenant="sol"),
)


def test_a_comparison_lists_the_changed_queries_from_loss_to_gain():
    before = run_of(JUDGED, {"a": ["MAR-1"], "b": []}, "before")
    after = run_of(JUDGED, {"a": ["MAR-2", "MAR-1"], "b": ["BRO-1"]}, "after")
    comparison = compare(before, after)
    assert [change.after.query.id for change in comparison.changes] == ["a", "b"]
    assert comparison.differences["top5"].difference == 0.5
    assert comparison.differences["top1"].better == comparison.differences["top1"].worse == 1


def test_runs_over_different_queries_are_not_compared():
    other = judged_set(query("z", {"A": 3}))
    with pytest.raises(ConfigurationError, match="different queries"):
        compare(run_of(JUDGED, {}), run_of(other, {}))


@pytest.mark.parametrize(
    ("answer", "cause", "rank"),
    [
        (RankedAnswer(()), Cause.EMPTY, None),
        (RankedAnswer(("X",)), Cause.MISSED, None),
        (RankedAnswer((*"ABCDEF", "H"), {"H": {"dense": 2}}), Cause.LOST_IN_FUSION, 7),
        (RankedAnswer((*"ABCDEF", "H"), {"H": {"dense": 9, "text": 30}}), Cause.RANKED_LOW, 7),
    ],
)
def test_a_failure_is_told_by_its_cause(answer, cause, rank):
    judged = judged_set(query("q", {"H": 3}, type="slang"))
    (failure,) = failures(Judge(judged).score({"q": answer}), judged)
    assert (failure.cause, failure.best_rank) == (cause, rank)
    assert causes_by_type([failure]) == {"slang": {cause: 1}}


def test_a_query_with_a_hit_on_the_first_page_is_no_failure():
    assert failures(run_of(JUDGED, {"a": [*"WXYZ", "MAR-1"], "b": ["BRO-1"]}).scores, JUDGED) == []


def test_every_retriever_and_every_switch_is_a_stage():
    names = [stage.name for stage in stages(EvaluationSettings())]
    assert "retriever dense" in names
    assert "retriever list" not in names
    off = EvaluationSettings().changed({"search.weights.dense": 0.0})
    assert "retriever dense" not in [stage.name for stage in stages(off)]


def test_reranking_is_a_stage_where_a_model_is_named():
    assert "rerank" not in [stage.name for stage in stages(EvaluationSettings())]
    on = EvaluationSettings().changed({"rerank.model": "/models/ce"})
    assert on.search.rerank.model == "/models/ce"
    (stage,) = [stage for stage in stages(on) if stage.name == "rerank"]
    assert not on.changed(stage.off).search.rerank.model


def test_switching_a_stage_off_is_a_valid_configuration():
    for stage in stages(EvaluationSettings()):
        assert EvaluationSettings().changed(stage.off) != EvaluationSettings()


def test_a_saved_run_reads_back_with_the_same_scores(tmp_path):
    answers = {
        "a": RankedAnswer(("MAR-1",), {"MAR-1": {"dense": 1}}, {"dense": {1: 0.9}}, low_confidence=False),
        "b": RankedAnswer(()),
        "n": RankedAnswer((), low_confidence=True),
    }
    judge = Judge(JUDGED)
    run = Run("hybrid", JUDGED, answers, judge.score(answers))
    save_run(run, tmp_path / "run.json")
    loaded = load_run(tmp_path / "run.json", judge)
    assert [score.values for score in loaded.scores] == [score.values for score in run.scores]
    assert loaded.answers["a"].found_by == {"MAR-1": {"dense": 1}}
    assert loaded.answers["n"].low_confidence


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"system": "x", "answers": {"a": {}}}', b'{"system": "x", "answers": {}}']
)
def test_another_file_is_no_saved_run(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"run\.json"):
        load_run(tmp_path / "run.json", Judge(JUDGED))


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_a_report_tells_figures_comparisons_time_and_failures(tmp_path):
    catalogue = tiny_catalogue(tmp_path)
    run = run_of(JUDGED, {"a": ["MAR-1"], "b": ["MAR-2"], "n": ["MAR-1"]}, "hybrid")
    other = run_of(JUDGED, {"a": ["MAR-2", "MAR-1"], "b": ["BRO-1"], "n": []}, "BM25")
    experiment = Experiment(
        catalogue=catalogue,
        run=run,
        overrides={"search.rrf_k": 30},
        compared=[compare(other, run)],
        ablated=[compare(run, other)],
        latency=Latency(2, {"total": {"p50": 3.0, "p95": 4.0, "p99": 5.0}}),
    )
    markdown = to_markdown(report_of(experiment))
    for expected in ("## Against BM25", "## Each stage switched off", "## Time", "## Failures", "search.rrf\\_k = 30"):
        assert expected in markdown
    assert re.search(r"\| mecha \| slang \| no hit retrieved \| missed: Broca para concreto", markdown)
    page = Cells()
    page.feed(to_html(report_of(experiment)))
    assert "Against BM25" in page.texts
    assert "script" not in page.tags
    figures = experiment.as_json()
    assert figures["compared"]["BM25"]["top1"]["difference"] == 0
    assert figures["ablation"]["BM25"]["top5"]["mean"] == 1
    assert figures["latency_ms"]["total"]["p95"] == 4.0


def test_texts_of_buyers_and_catalogues_cannot_break_a_report():
    report = EvaluationReport("t", [Section("s", [Table(("query",), [["a|b <script>*x*\n`y`"]])])])
    assert "| a\\|b \\<script>\\*x\\* \\`y\\` |" in to_markdown(report)
    assert "<script>" not in to_html(report)
