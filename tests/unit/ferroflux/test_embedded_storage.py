"""One process owns a data directory, the next one knows how it left it, and the commands find it."""

from __future__ import annotations

import os

import orjson
import pytest

from ferroflux.data_directory import DataDirectory, Endpoint, Ownership, PreviousStop
from ferroflux.embedded.sample import is_due
from schemas.errors import IndexInUseError


@pytest.fixture
def directory(tmp_path) -> DataDirectory:
    return DataDirectory(tmp_path / "data")


def test_a_second_owner_is_refused_with_the_firsts_process(directory) -> None:
    owner = Ownership.take(directory)
    with pytest.raises(IndexInUseError, match=f"process {os.getpid()}.*--data-dir"):
        Ownership.take(directory)
    owner.release(clean=True)
    Ownership.take(directory).release(clean=True)


@pytest.mark.parametrize(("clean", "previous"), [(True, PreviousStop.CLEAN), (False, PreviousStop.KILLED)])
def test_the_next_owner_knows_how_the_last_one_stopped(directory, clean, previous) -> None:
    first = Ownership.take(directory)
    assert first.previous is PreviousStop.CLEAN
    first.release(clean=clean)
    second = Ownership.take(directory)
    assert second.previous is previous
    second.release(clean=True)


@pytest.mark.parametrize("left", [orjson.dumps({"pid": 1, "boot_id": "another"}), b"{torn", b"[]"])
def test_another_boot_or_a_torn_marker_means_that_the_machine_went_down(directory, left) -> None:
    directory.root.mkdir()
    directory.running.write_bytes(left)
    owner = Ownership.take(directory)
    assert owner.previous is PreviousStop.MACHINE_DOWN
    owner.release(clean=True)


def test_that_the_machine_went_down_is_known_until_it_was_made_up_for(directory) -> None:
    directory.root.mkdir()
    directory.running.write_bytes(orjson.dumps({"pid": 1, "boot_id": "another"}))
    for _ in range(2):  # a start that is killed before it has made up for it leaves the next one knowing
        owner = Ownership.take(directory)
        assert owner.previous is PreviousStop.MACHINE_DOWN
        owner.release(clean=False)
    owner = Ownership.take(directory)
    owner.made_up_for()
    owner.release(clean=False)
    owner = Ownership.take(directory)
    assert owner.previous is PreviousStop.KILLED
    owner.release(clean=True)


def test_the_endpoint_of_a_living_process_is_found_and_a_dead_ones_is_not(directory) -> None:
    directory.root.mkdir()
    Endpoint(pid=os.getpid(), url="http://127.0.0.1:1", kafka="127.0.0.1:2").publish(directory)
    found = Endpoint.find(directory)
    assert found is not None
    assert found.url == "http://127.0.0.1:1"
    Endpoint(pid=2**22 + 1, url="http://127.0.0.1:1", kafka="").publish(directory)
    assert Endpoint.find(directory) is None
    Endpoint.withdraw(directory)
    assert Endpoint.find(directory) is None


@pytest.mark.parametrize(
    ("left", "empty", "due"),
    [
        (None, True, True),
        (None, False, False),
        (b'{"loaded": false}', False, True),
        (b'{"loaded": true}', True, False),
        (b"{to", False, True),
    ],
)
def test_the_sample_is_for_a_new_installation_and_for_an_interrupted_load(directory, left, empty, due) -> None:
    directory.root.mkdir()
    if left is not None:
        directory.sample_loaded.write_bytes(left)
    assert is_due(directory, empty=empty) is due
