"""Files of judged queries, and how their grades are read."""

import gzip
from pathlib import Path

import orjson
import pytest

from training.judgments import Gain, GainKind, JudgmentsError, gain_for, load_judged, load_trec, relevance_threshold


def line(**fields) -> bytes:
    return orjson.dumps({"id": "a", "query": "tornillo", "judgments": {"X": 3}, **fields}) + b"\n"


def trec(folder: Path, queries: str, qrels: str) -> tuple[Path, Path]:
    (folder / "queries.tsv").write_text(queries)
    (folder / "qrels.tsv").write_text(qrels)
    return folder / "queries.tsv", folder / "qrels.tsv"


def test_judged_lines_keep_tenant_type_and_grades(tmp_path):
    path = tmp_path / "judged.jsonl"
    path.write_bytes(line(tenant="shop", type="slang", judgments={"X": 3, "Y": 1}) + b"\n" + line(id="b"))
    judged = load_judged(path)
    first, second = judged.queries
    assert (first.tenant, first.type, first.text, dict(first.grades)) == ("shop", "slang", "tornillo", {"X": 3, "Y": 1})
    assert (second.tenant, second.type) == ("", "")
    assert judged.relevant(first) == {"X"}


def test_a_compressed_file_is_read_too(tmp_path):
    path = tmp_path / "judged.jsonl.gz"
    path.write_bytes(gzip.compress(line()))
    assert len(load_judged(path).queries) == 1


def test_a_query_of_type_no_result_or_without_judgments_expects_nothing(tmp_path):
    path = tmp_path / "judged.jsonl"
    path.write_bytes(line(id="a", judgments={}) + line(id="b", type="no_result") + line(id="c"))
    judged = load_judged(path)
    assert [query.expects_nothing for query in judged.queries] == [True, True, False]
    assert [query.id for query in judged.answerable] == ["c"]


def test_a_query_whose_products_are_all_worthless_says_nothing(tmp_path):
    judged = load_trec(*trec(tmp_path, "a\tx\nb\ty\nc\tz\n", "a\tA\t0\nb\tB\t1\nc\tC\t3\n"))
    assert [query.id for query in judged.answerable] == ["b", "c"]
    ratings = load_trec(*trec(tmp_path, "a\tx\nb\ty\n", "a\tA\t1\nb\tB\t2.5\n"))
    assert [query.id for query in ratings.answerable] == ["b"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not json\n", "line 1: not an object"),
        (line() + b'{"id": "b", "query": "x"}\n', "line 2: not an object"),
        (line(judgments={"X": "good"}), "line 1: not an object"),
        (line(judgments=[1]), "line 1: not an object"),
        (line() + line(), "the query id 'a' comes twice"),
        (b"\n", "there are no judged queries"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, content, sentence):
    path = tmp_path / "judged.jsonl"
    path.write_bytes(content)
    with pytest.raises(JudgmentsError, match=sentence):
        load_judged(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(JudgmentsError, match="cannot be read"):
        load_judged(tmp_path / "absent.jsonl")


@pytest.mark.parametrize("qrels", ["q1\tA\t3\nq1\tB\t0\n", "q1\t0\tA\t3\nq1\t0\tB\t0\n"])
def test_trec_tables_are_read_with_three_or_four_columns(tmp_path, qrels):
    judged = load_trec(*trec(tmp_path, "q1\tclaw hammer\nq2\tnever judged\n", qrels))
    (query,) = judged.queries
    assert (query.id, query.text, dict(query.grades)) == ("q1", "claw hammer", {"A": 3, "B": 0})


@pytest.mark.parametrize(
    ("queries", "qrels", "sentence"),
    [
        ("q1 no tab\n", "q1\tA\t3\n", "no tab between"),
        ("q1\tx\n", "q1\tA\n", "2 columns"),
        ("q1\tx\n", "q1\tA\tgood\n", "'good' is not a grade"),
    ],
)
def test_bad_tables_are_refused_with_their_line(tmp_path, queries, qrels, sentence):
    with pytest.raises(JudgmentsError, match=sentence):
        load_trec(*trec(tmp_path, queries, qrels))


@pytest.mark.parametrize(
    ("kind", "grade", "gain"),
    [
        (GainKind.LINEAR, 3, 3),
        (GainKind.EXPONENTIAL, 3, 7),
        (GainKind.EXPONENTIAL, 0, 0),
        (GainKind.MEAN_RATING, 3, 3),
        (GainKind.MEAN_RATING, 2, 1),
        (GainKind.MEAN_RATING, 1, 0),
        (GainKind.MEAN_RATING, 0, 0),  # below the scale is no loss
    ],
)
def test_a_grade_has_the_gain_of_its_formula(kind, grade, gain):
    assert Gain(kind).of(grade) == gain


@pytest.mark.parametrize(
    ("grades", "kind"),
    [
        ([1.0, 2.33, 3.0], GainKind.MEAN_RATING),
        ([1, 2, 3], GainKind.LINEAR),
        ([0, 0.5, 1], GainKind.LINEAR),
        ([], GainKind.LINEAR),
    ],
)
def test_means_of_raters_are_recognised_by_fractions_from_one_on(grades, kind):
    assert gain_for(GainKind.AUTO, grades).kind is kind


def test_a_named_gain_wins_over_what_the_grades_look_like():
    assert gain_for(GainKind.LINEAR, [1.0, 2.5]).kind is GainKind.LINEAR


@pytest.mark.parametrize(("grades", "threshold"), [([0, 1, 3], 2), ([0, 1], 1), ([0, 0.5], 0.5), ([], 1), ([0], 1)])
def test_a_hit_is_two_of_three_or_anything_on_a_shorter_scale(grades, threshold):
    assert relevance_threshold(grades) == threshold
