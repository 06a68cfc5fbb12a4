"""Files and folders that appear whole or not at all, also when the power fails."""

import errno
import json
import os
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.files import atomic_path, write_json


@pytest.fixture
def order(monkeypatch):
    """What was flushed and renamed, as names in order."""
    seen = []
    flush = os.fsync

    def note(handle):
        seen.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        return flush(handle)

    monkeypatch.setattr(os, "fsync", note)
    return seen


def test_a_folder_is_flushed_with_all_in_it_before_its_name_changes(order, tmp_path):
    target = tmp_path / "experiment"
    with atomic_path(target) as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "a").write_text("1")
        (temporary / "inner" / "b").write_text("2")
        assert order == []
    named_so = {str(temporary / name) for name in ("a", "inner", "inner/b")} | {str(temporary)}
    assert set(order[:-1]) == named_so
    assert order[-1] == str(tmp_path)  # the rename itself, after all the rest
    assert (target / "inner" / "b").read_text() == "2"


def test_a_file_is_flushed_before_its_name_changes(order, tmp_path):
    with atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("1")
    assert order == [str(temporary), str(tmp_path)]


def test_a_disk_that_fills_up_while_flushing_leaves_the_old_file(monkeypatch, tmp_path):
    write_json(tmp_path / "file", {"old": True})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device; free space or choose"):
        write_json(tmp_path / "file", {"old": False})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert "true" in (tmp_path / "file").read_text()


def test_numbers_that_json_lacks_become_null(tmp_path):
    write_json(tmp_path / "file", {"a": [float("nan"), float("inf"), 1.5]})
    assert json.loads((tmp_path / "file").read_text()) == {"a": [None, None, 1.5]}
