"""The model cache: whole folders only, also when several build at once or something was damaged."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from retrieval.encoders.models.cache import content_digest, publish
from schemas.errors import ConfigurationError


def _is_intact(folder: Path) -> bool:
    return (folder / "done").is_file()


def test_builders_that_race_end_with_one_whole_folder(tmp_path: Path) -> None:
    barrier = Barrier(4)

    def build(target: Path) -> None:
        barrier.wait(timeout=10)
        (target / "part").write_text("x")
        (target / "done").touch()

    with ThreadPoolExecutor(4) as pool:
        entries = list(pool.map(lambda _: publish(tmp_path / "cache" / "model", build, _is_intact), range(4)))
    assert set(entries) == {tmp_path / "cache" / "model"}
    assert [each.name for each in (tmp_path / "cache").iterdir()] == ["model"]
    assert (entries[0] / "part").read_text() == "x"


def test_an_intact_entry_is_not_built_again(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "done").touch()

    def build(target: Path) -> None:
        raise AssertionError(target)

    assert publish(tmp_path / "model", build, _is_intact) == tmp_path / "model"


def test_a_damaged_entry_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "half").touch()
    entry = publish(tmp_path / "model", lambda target: (target / "done").touch(), _is_intact)
    assert [each.name for each in entry.iterdir()] == ["done"]
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_a_failing_build_leaves_nothing(tmp_path: Path) -> None:
    def build(target: Path) -> None:
        (target / "part").touch()
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        publish(tmp_path / "cache" / "model", build, _is_intact)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match=r"cache.*encoder\.cache_dir"):
        publish(tmp_path / "cache" / "model", lambda _target: None, _is_intact)


def test_the_digest_follows_names_bytes_and_format(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text("1")
    second.write_text("1")
    digests = {content_digest([first]), content_digest([second]), content_digest([first], "v2")}
    first.write_text("2")
    digests.add(content_digest([first]))
    assert len(digests) == 4
