"""Where the replica begins, and when it is whole."""

from dataclasses import replace

import pytest

from query_api.replica.tailing.log import Bounds, LogView
from query_api.replica.tailing.progress import StartPlan, TailProgress, plan_start
from retrieval.text.port import Checkpoint

VIEW = LogView("log-1", {0: Bounds(0, 10), 1: Bounds(5, 20)})


@pytest.mark.parametrize(
    ("checkpoint", "expected"),
    [
        pytest.param(None, StartPlan({0: 0, 1: 5}), id="a new index begins at the log's beginning"),
        pytest.param(Checkpoint("log-1", {0: 4, 1: 20}), StartPlan({0: 4, 1: 20}), id="a known log goes on"),
        pytest.param(
            Checkpoint("log-0", {0: 4, 1: 20}), StartPlan({0: 0, 1: 5}, new_log=True), id="another log is read whole"
        ),
        pytest.param(Checkpoint("log-1", {0: 4}), StartPlan({0: 4, 1: 5}), id="an added partition begins at its start"),
        pytest.param(
            Checkpoint("log-1", {0: 4, 1: 3}),
            StartPlan({0: 4, 1: 5}, frozenset({1})),
            id="offsets that retention took away are read from what is left",
        ),
        pytest.param(
            Checkpoint("log-1", {0: 11, 1: 20}),
            StartPlan({0: 0, 1: 20}, frozenset({0})),
            id="an offset beyond the end means that the partition lost its tail",
        ),
        pytest.param(
            Checkpoint("log-1", {0: 4, 1: 6, 7: 9}), StartPlan({0: 4, 1: 6}), id="a partition that is gone is left out"
        ),
    ],
)
def test_start(checkpoint, expected):
    assert plan_start(checkpoint, VIEW) == replace(expected, log_id="log-1")


@pytest.mark.parametrize(
    ("recorded", "present", "new_log", "kept"),
    [
        pytest.param("c/t1", "c/t1", False, "c/t1", id="the same topic goes on"),
        pytest.param("c/t1", "c/t2", True, "c/t2", id="a topic that was made again is read whole"),
        pytest.param("c/t1", "d/t1", True, "d/t1", id="and so is another cluster's"),
        pytest.param("c", "c/t1", False, "c/t1", id="a checkpoint of the release before adopts the topic"),
        pytest.param("c/t1", "c", False, "c/t1", id="an id that cannot be asked now is not forgotten"),
        pytest.param("c/t1", "d", True, "d", id="the cluster alone tells another one"),
    ],
)
def test_the_topic_as_well_as_the_cluster_says_whether_the_log_is_the_same(recorded, present, new_log, kept):
    plan = plan_start(Checkpoint(recorded, {0: 4, 1: 6}), LogView(present, VIEW.bounds))
    assert (plan.new_log, plan.log_id) == (new_log, kept)
    assert plan.positions == ({0: 0, 1: 5} if new_log else {0: 4, 1: 6})


def test_it_is_whole_when_every_partition_reached_the_end_it_had_at_the_start():
    progress = TailProgress(VIEW, {0: 10, 1: 5})
    assert not progress.caught_up
    progress.advance({0: 10, 1: 20}, {0: 12, 1: 25})
    assert progress.caught_up
    assert progress.lag == {0: 2, 1: 5}


def test_positions_beyond_the_seen_end_leave_no_negative_lag():
    progress = TailProgress(VIEW, {0: 0, 1: 5})
    progress.advance({0: 15, 1: 20}, {0: 10})
    assert progress.lag == {0: 0, 1: 0}


def test_the_checkpoint_holds_the_logs_identity_and_all_positions():
    progress = TailProgress(VIEW, {0: 1, 1: 6})
    progress.add(frozenset({2}))
    assert progress.checkpoint() == Checkpoint("log-1", {0: 1, 1: 6, 2: 0})
