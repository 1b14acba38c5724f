"""Freshness is measured from a commit to the first load that began after it."""

import pytest

from retrieval.serving.freshness import FreshnessWindow, Load, percentiles
from retrieval.serving.replica_status import FreshnessSample

SECOND = 1_000_000


def sample(committed_us, changed_us=0):
    return FreshnessSample(changed_us, 0, 0, committed_us)


def test_a_document_is_visible_at_the_end_of_the_first_load_that_began_after_its_commit():
    window = FreshnessWindow(60)
    window.loaded(Load(900, 1_000))
    window.loaded(Load(1_900, 2_500))
    window.loaded(Load(2_900, 3_100))
    window.reported([sample(1_000, changed_us=500)])
    summary = window.summary(3_100)
    assert summary.committed_to_visible_ms is not None
    assert summary.committed_to_visible_ms.p50 == 1.5
    assert summary.changed_to_visible_ms is not None
    assert summary.changed_to_visible_ms.p50 == 2.0
    assert summary.logged_to_visible_ms is None


def test_a_report_that_runs_ahead_of_the_loads_waits_for_one():
    window = FreshnessWindow(60)
    window.loaded(Load(0, 10))
    window.reported([sample(50)])
    assert window.summary(60).committed_to_visible_ms is None
    window.loaded(Load(60, 70))
    assert window.summary(70).committed_to_visible_ms is not None


def test_a_sample_that_is_reported_again_counts_once():
    window = FreshnessWindow(60)
    for committed in (10, 20):
        window.reported([sample(10), sample(20)][: committed // 10])
        window.loaded(Load(committed + 1, committed + 2))
    summary = window.summary(30)
    assert summary.committed_to_visible_ms is not None
    assert summary.committed_to_visible_ms.samples == 2


def test_each_stage_of_the_way_is_measured_and_told_once():
    window, told = FreshnessWindow(60), []
    window.on_visible = told.append
    window.reported([FreshnessSample(1_000, 3_000, 10_000, 14_000), FreshnessSample(0, 0, 11_000, 14_000)])
    assert told == []
    window.loaded(Load(15_000, 16_000))
    window.loaded(Load(17_000, 18_000))
    assert [seen.stage_seconds() for seen in told] == [
        {"log": 0.002, "index": 0.007, "commit": 0.004, "visible": 0.002, "total": 0.015},
        {"commit": 0.003, "visible": 0.002},
    ]
    stages = window.summary(20_000).stages
    assert (stages.log_ms.p50, stages.log_ms.samples) == (2.0, 1)
    assert (stages.commit_ms.p50, stages.visible_ms.samples) == (3.0, 2)


def test_a_stage_without_a_measurement_is_null():
    assert FreshnessWindow(60).summary(1).stages.log_ms is None


def test_commits_from_before_the_worker_are_left_out():
    window = FreshnessWindow(60)
    window.begin_at(100)
    window.reported([sample(50)])
    window.loaded(Load(200, 201))
    assert window.summary(300).committed_to_visible_ms is None


def test_documents_leave_the_window():
    window = FreshnessWindow(1)
    window.reported([sample(0 + 1)])
    window.loaded(Load(2, 3))
    assert window.summary(SECOND).committed_to_visible_ms is not None
    assert window.summary(3 * SECOND).committed_to_visible_ms is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [(range(1, 101), (50, 95, 99)), ([7], (7, 7, 7)), ([1, 2], (1, 2, 2))],
)
def test_percentiles_are_by_nearest_rank(values, expected):
    found = percentiles(list(values))
    assert found is not None
    assert (found.p50, found.p95, found.p99) == expected


def test_percentiles_of_nothing_are_none():
    assert percentiles([]) is None
