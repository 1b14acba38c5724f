"""The atomic write: whatever stops it, whoever reads finds the old content or the new one."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.files import atomic_write, atomic_writer

OLD, NEW = b"old", b"new" * 10_000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "state.json"
    path.write_bytes(OLD)
    return path


def broken(*_):
    raise OSError("the disk is away")


def test_the_new_content_takes_the_place_of_the_old(path):
    atomic_write(path, NEW)
    assert path.read_bytes() == NEW
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_was_not_there_is_made_and_only_whom_the_mode_names_may_read_it(tmp_path):
    atomic_write(tmp_path / "secret", NEW, mode=0o600)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize(("where", "step"), [(os, "fsync"), (Path, "replace")])
def test_where_a_step_fails_the_old_content_stands_and_nothing_is_left_behind(path, monkeypatch, where, step):
    monkeypatch.setattr(where, step, broken)
    with pytest.raises(OSError, match="the disk is away"):
        atomic_write(path, NEW)
    assert path.read_bytes() == OLD
    assert list(path.parent.iterdir()) == [path]


def test_where_the_writer_fails_the_old_content_stands(path):
    with pytest.raises(ValueError, match="half"), atomic_writer(path) as file:
        file.write(NEW)
        raise ValueError("half of it")
    assert path.read_bytes() == OLD
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("killed_at", "content"),
    [("os.fsync = die", OLD), ("Path.replace = die", OLD), ("files.sync_folder = die", NEW)],
    ids=["before the sync", "before the rename", "after the rename"],
)
def test_a_process_that_is_killed_between_the_steps_leaves_one_whole_content(path, killed_at, content):
    code = f"""
import os, sys
from pathlib import Path
from runtime import files
def die(*_): os._exit(9)
{killed_at}
files.atomic_write(Path(sys.argv[1]), b"new" * 10_000)
"""
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 9
    assert path.read_bytes() == content
    atomic_write(path, NEW)
    assert path.read_bytes() == NEW


def test_the_content_is_synced_before_the_rename_and_the_folder_after_it(path, monkeypatch):
    steps = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda one: steps.append("folder" if stat.S_ISDIR(os.fstat(one).st_mode) else "file") or sync(one)
    )
    monkeypatch.setattr(Path, "replace", lambda self, to: steps.append("rename") or replace(self, to))
    atomic_write(path, NEW)
    atomic_write(path, OLD, durable=False)
    assert steps == ["file", "rename", "folder", "rename"]
