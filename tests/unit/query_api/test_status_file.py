"""The replica's status report: atomic, complete, and clear about a foreign file."""

import json
from pathlib import Path

import pytest

from retrieval.serving.replica_status import (
    STATUS_FILE,
    FreshnessSample,
    PartitionProgress,
    ReplicaStatus,
    read_status,
    write_status,
)
from schemas.errors import IncompatibleIndexError

STATUS = ReplicaStatus(
    log_id="log-1",
    topic="catalog.documents",
    pid=7,
    started_us=1,
    written_us=2,
    committed_us=3,
    caught_up=True,
    partitions=(PartitionProgress(partition=0, position=5, end=9), PartitionProgress(partition=1, position=4, end=4)),
    written=9,
    samples=(FreshnessSample(1, 2, 3, 4),),
)


def test_a_report_reads_back_as_it_was_written(tmp_path: Path):
    write_status(tmp_path, STATUS)
    assert read_status(tmp_path) == STATUS
    assert [path.name for path in tmp_path.iterdir()] == [STATUS_FILE]


def test_a_newer_report_replaces_the_older(tmp_path: Path):
    write_status(tmp_path, STATUS)
    write_status(tmp_path, STATUS.model_copy(update={"written": 10}))
    newest = read_status(tmp_path)
    assert newest is not None
    assert newest.written == 10


def test_no_report_is_none(tmp_path: Path):
    assert read_status(tmp_path) is None


def test_a_foreign_file_says_what_to_do(tmp_path: Path):
    (tmp_path / STATUS_FILE).write_text("{}")
    with pytest.raises(IncompatibleIndexError, match="restart `ferroflux replica`"):
        read_status(tmp_path)


def test_lag_sums_over_partitions_and_is_never_negative():
    assert STATUS.lag == 4
    assert PartitionProgress(partition=0, position=5, end=3).lag == 0


def test_a_report_of_the_release_before_is_read(tmp_path):
    fields = ("set_apart", "apart", "letters_waiting", "letters_trouble", "ended")
    before = json.loads(STATUS.model_dump_json(exclude=set(fields)))
    (tmp_path / STATUS_FILE).write_text(json.dumps(before))
    held = read_status(tmp_path)
    assert held is not None
    assert (held.set_apart, held.degraded) == ({}, {})
