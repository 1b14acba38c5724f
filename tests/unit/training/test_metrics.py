"""The metrics against figures worked out by hand."""

import math

import pytest

from tests.unit.training.doubles import judged_set, query, run_of
from training.experiments.experiment import summarise
from training.judgments import GainKind
from training.metrics import METRICS, Judge, mean
from training.systems.port import RankedAnswer


def discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)


def scored(judged, ranking):
    (score,) = Judge(judged).score({"q": RankedAnswer(tuple(ranking))})
    return score.values


def test_ndcg_is_the_discounted_gain_over_the_best_possible_order():
    judged = judged_set(query("q", {"A": 3, "B": 2, "C": 1}))
    # Found: C (1) first, X (0) second, A (3) third; B (2) is missing.
    found = 1 * discount(1) + 0 * discount(2) + 3 * discount(3)
    ideal = 3 * discount(1) + 2 * discount(2) + 1 * discount(3)
    assert scored(judged, ["C", "X", "A"])["ndcg@10"] == pytest.approx(found / ideal)


def test_ndcg_with_fractional_ratings_uses_the_exponential_gain():
    judged = judged_set(query("q", {"A": 3.0, "B": 2.33, "C": 1.0}), gain=GainKind.MEAN_RATING)
    gain = {"A": 3.0, "B": 2**1.33 - 1, "C": 0.0}
    found = gain["B"] * discount(1) + gain["C"] * discount(2) + gain["A"] * discount(3)
    ideal = gain["A"] * discount(1) + gain["B"] * discount(2)
    assert scored(judged, ["B", "C", "A"])["ndcg@10"] == pytest.approx(found / ideal, abs=1e-3)


def test_ndcg_looks_at_ten_ranks_only():
    judged = judged_set(query("q", {"A": 3}))
    filler = [f"X{place}" for place in range(10)]
    assert scored(judged, [*filler, "A"])["ndcg@10"] == 0


def test_hits_are_counted_from_the_threshold_on():
    judged = judged_set(query("q", {"A": 3, "B": 2, "C": 1, "D": 0}))
    values = scored(judged, ["C", "D", "B", "X", "A"])
    assert values["top1"] == 0
    assert values["top5"] == 1
    assert values["mrr"] == pytest.approx(1 / 3)
    assert values["recall@10"] == 1


def test_recall_is_the_share_of_hits_within_the_depth():
    judged = judged_set(query("q", {"A": 3, "B": 3, "C": 3, "D": 3}))
    ranking = ["A", *[f"X{place}" for place in range(20)], "B", "C"]
    values = scored(judged, ranking)
    assert values["recall@10"] == 0.25
    assert values["recall@100"] == 0.75


def test_a_ranking_keeps_its_order_whatever_the_names():
    # trec_eval breaks ties of scores by name; the lab must never leave it a tie.
    judged = judged_set(query("q", {"A": 3}))
    assert scored(judged, ["A", "Z"])["top1"] == 1
    assert scored(judged, ["Z", "A"])["top1"] == 0


def test_an_empty_answer_scores_nothing():
    judged = judged_set(query("q", {"A": 3}))
    assert scored(judged, []) == dict.fromkeys(METRICS, 0.0)


def test_unanswerable_queries_take_no_part_in_the_means():
    judged = judged_set(query("a", {"A": 3}), query("none", {}, type="no_result"))
    run = run_of(judged, {"a": ["A"], "none": ["A"]})
    assert [score.query.id for score in run.scores] == ["a"]
    assert mean(run.scores, "top1") == 1


def test_a_summary_groups_by_type_and_tenant():
    judged = judged_set(
        query("a", {"A": 3}, type="typo", tenant="t"),
        query("b", {"B": 3}, type="typo", tenant="u"),
        query("c", {"C": 3}, type="sku", tenant="u"),
    )
    figures = summarise(run_of(judged, {"a": ["A"], "b": ["X"], "c": ["X", "C"]})).as_json()
    assert figures["queries"] == 3
    assert figures["top1"] == pytest.approx(1 / 3, abs=1e-5)
    assert figures["by_type"]["typo"] == {**figures["by_type"]["typo"], "queries": 2, "top1": 0.5}
    assert figures["by_tenant"]["u"]["top5"] == 0.5
    assert figures["no_result_accuracy"] is None


@pytest.mark.parametrize(
    ("answer", "accuracy"),
    [
        (RankedAnswer(("A",), low_confidence=True), 1.0),
        (RankedAnswer(("A",), low_confidence=False), 0.0),
        (RankedAnswer(("A",)), 0.0),  # a system that never says so admits nothing
        (RankedAnswer(()), 1.0),
    ],
)
def test_no_result_accuracy_is_the_share_of_unanswerable_queries_that_are_admitted(answer, accuracy):
    judged = judged_set(query("a", {"A": 3}), query("none", {}, type="no_result"))
    run = run_of(judged, {"a": ["A"]})
    run = type(run)(run.system, judged, {**run.answers, "none": answer}, run.scores)
    assert summarise(run).no_result_accuracy == accuracy


def test_a_right_answer_that_is_doubted_is_counted():
    judged = judged_set(query("a", {"A": 3}), query("b", {"B": 3}))
    answers = {"a": RankedAnswer(("A",), low_confidence=True), "b": RankedAnswer(("X",), low_confidence=True)}
    run = run_of(judged, {})
    run = type(run)("s", judged, answers, Judge(judged).score(answers))
    assert summarise(run).false_doubts == 0.5
