"""Choosing settings: the rules of the choice, and that held-out figures come from queries that did not choose."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigurationError
from training.resampling import choose, cross_validate, stratified_folds
from training.systems.settings import EvaluationSettings, setting_values
from training.tuning.calibration import Observations, Thresholds, calibrate
from training.tuning.space import configurations, default_space, parse_space, settings_snippet, write_settings


def test_a_small_space_is_tried_whole_with_the_unchanged_settings_first():
    tried = configurations({"a": [1, 2], "b": [3, 4, 5]}, trials=50, seed=1)
    assert tried[0] == {}
    assert len(tried) == 7
    assert {"a": 2, "b": 5} in tried


def test_a_large_space_is_sampled_without_repetition_and_repeatably():
    space = {"a": list(range(20)), "b": list(range(20))}
    tried = configurations(space, trials=60, seed=1)
    assert len(tried) == 60
    assert len({tuple(overrides.items()) for overrides in tried}) == 60
    assert tried == configurations(space, trials=60, seed=1)


def test_the_default_space_has_the_fusion_of_every_retriever_but_the_listing():
    space = default_space(EvaluationSettings())
    assert "search.rrf_k" in space
    assert {name for name in space if name.startswith("search.weights.")} == {
        name
        for name, value in setting_values(EvaluationSettings())
        if name.startswith("search.weights.") and value and not name.endswith(".list")
    }


@pytest.mark.parametrize("text", ["search.rrf_k", "search.rrf_k=", "search.rrf_k=["])
def test_a_space_without_values_is_refused(text):
    with pytest.raises(ConfigurationError, match="--space"):
        parse_space([text])


def test_values_of_a_space_are_read_as_what_they_look_like():
    assert parse_space(["a.b=1,2.5,true"]) == {"a.b": [1, 2.5, True]}


def test_folds_have_their_share_of_every_type():
    strata = ["typo"] * 10 + ["sku"] * 5
    folds = stratified_folds(strata, 5, seed=3)
    for fold in range(5):
        members = [strata[place] for place in np.flatnonzero(folds == fold)]
        assert members.count("typo") == 2
        assert members.count("sku") == 1


@pytest.mark.parametrize(("queries", "count"), [(3, 4), (3, 1)])
def test_an_impossible_number_of_folds_is_refused(queries, count):
    with pytest.raises(ValueError, match="folds"):
        stratified_folds(["x"] * queries, count, seed=1)


def test_a_clear_winner_is_chosen():
    scores = np.vstack([np.zeros(40), np.ones(40)])
    assert choose(scores, [0, 3]) == 1


def test_what_one_query_gained_is_not_worth_a_change():
    scores = np.vstack([np.zeros(40), np.eye(1, 40)[0]])
    assert choose(scores, [0, 1]) == 0


def test_of_equal_rows_the_one_with_fewer_changes_is_chosen():
    better = np.linspace(0.5, 1, 30)
    assert choose(np.vstack([np.zeros(30), better, better]), [0, 2, 1]) == 2


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_each_query_is_scored_by_a_choice_made_without_it(seed):
    rng = np.random.default_rng(seed)
    scores = rng.random((6, 30))
    folds = stratified_folds(["x"] * 30, 5, seed)
    validation = cross_validate(scores, folds, [0, 1, 1, 1, 1, 1])
    for fold, row in enumerate(validation.by_fold):
        outside = folds != fold
        assert row == choose(scores[:, outside], [0, 1, 1, 1, 1, 1])
        assert np.array_equal(validation.held_out[~outside], scores[row, ~outside])


def test_the_snippet_reads_back_and_names_whole_mappings_as_variables():
    overrides = {"search.rrf_k": 30, "search.weights.dense": 2.0}
    text = settings_snippet(overrides, EvaluationSettings(), "chosen\nby a test")
    assert yaml.safe_load(text) == overrides
    assert "# by a test" in text
    assert "# FERROFLUX_SEARCH__RRF_K='30.0'" in text
    (weights,) = [line for line in text.splitlines() if "SEARCH__WEIGHTS" in line]
    assert '"dense": 2.0' in weights
    assert '"text": 1.0' in weights


def test_an_environment_file_has_the_variables_of_the_processes(tmp_path):
    snippet = settings_snippet({"search.routing.dense_first": True}, EvaluationSettings(), "chosen by a test")
    write_settings(tmp_path / "routing.env", snippet)
    assert (tmp_path / "routing.env").read_text() == (
        "# chosen by a test\nFERROFLUX_SEARCH__ROUTING__DENSE_FIRST='true'\n"
    )
    write_settings(tmp_path / "routing.yaml", snippet)
    assert (tmp_path / "routing.yaml").read_text() == snippet


def observations(similarity, full, dense, margin=0.1):
    count = len(similarity)
    return Observations(
        similarity=np.array(similarity, float),
        margin=np.full(count, margin),
        full_quality=np.array(full, float),
        dense_quality=np.array(dense, float),
        full_ms=np.full(count, 10.0),
        dense_ms=np.full(count, 4.0),
    )


FOLDS = np.arange(100) % 5


def test_thresholds_route_what_loses_nothing():
    # Above a similarity of 0.5 the dense answer is as good, below it is worse.
    similarity = np.linspace(0, 1, 100)
    result = calibrate(observations(similarity, np.ones(100), similarity >= 0.5), FOLDS, allowance=0.0)
    assert isinstance(result.thresholds, Thresholds)
    assert result.thresholds.similarity == pytest.approx(0.5, abs=0.03)
    assert result.fitted.quality_change == 0
    assert result.fitted.routed == pytest.approx(0.5, abs=0.04)
    assert result.fitted.saving == pytest.approx(0.6 * result.fitted.routed)


def test_a_route_that_always_loses_stays_off():
    result = calibrate(observations(np.linspace(0, 1, 100), np.ones(100), np.zeros(100)), FOLDS, allowance=0.003)
    assert result.thresholds is None
    assert result.fitted.routed == 0


def test_a_route_that_saves_no_time_stays_off():
    slow = observations(np.linspace(0, 1, 100), np.ones(100), np.ones(100))
    slow.dense_ms[:] = 20.0
    assert calibrate(slow, FOLDS, allowance=0.003).thresholds is None


def test_a_route_that_saves_time_only_on_the_queries_that_chose_it_stays_off():
    rng = np.random.default_rng(3)
    noise = observations(rng.random(100), np.ones(100), np.ones(100))
    noise.dense_ms[:] = noise.full_ms + rng.normal(0.05, 1.0, 100)
    result = calibrate(noise, FOLDS, allowance=0.003)
    assert result.held_out.saving <= 0
    assert result.thresholds is None


def test_queries_without_neighbours_to_compare_are_never_routed():
    result = calibrate(observations(np.ones(100), np.ones(100), np.ones(100), margin=-np.inf), FOLDS, allowance=1.0)
    assert result.thresholds is None


@given(st.integers(0, 1000), st.floats(0, 0.05))
@settings(max_examples=20, deadline=None)
def test_what_is_advised_never_costs_more_than_the_allowance(seed, allowance):
    rng = np.random.default_rng(seed)
    similarity = rng.random(100)
    dense = (rng.random(100) < 0.5 + similarity / 2).astype(float)
    result = calibrate(observations(similarity, np.ones(100), dense), FOLDS, allowance)
    if result.thresholds is not None:
        assert result.fitted.quality_change >= -allowance - 1e-9
        assert result.held_out.quality_change >= -allowance - 1e-9
