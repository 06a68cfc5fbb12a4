"""Files and folders that appear whole or not at all, also when the power fails."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.files import atomic_path, write_json, write_output


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


def test_a_file_takes_the_place_of_no_folder(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(StoreError, match=r"cannot write .*runs: Is a directory"),
        atomic_path(tmp_path / "runs") as temporary,
    ):
        temporary.write_text("1")
    assert (tmp_path / "runs" / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


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


def test_an_output_replaces_a_file_whole_and_keeps_its_mode(tmp_path):
    target = tmp_path / "table.md"
    target.write_text("old")
    target.chmod(0o600)
    held = target.open()  # who reads the old file reads it to its end
    write_output(target, "new")
    assert (target.read_text(), held.read()) == ("new", "old")
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]
    held.close()


@pytest.mark.parametrize("there", [True, False])
def test_an_output_goes_where_a_link_leads(tmp_path, there):
    real = tmp_path / "folder" / "real.md"
    real.parent.mkdir()
    if there:
        real.write_text("old")
    link = tmp_path / "link.md"
    link.symlink_to(Path("folder") / "real.md")
    write_output(link, b"new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_an_output_goes_into_a_fifo_and_a_device(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write_output(fifo, "through")
    reader.join()
    assert read == ["through"]
    assert fifo.is_fifo()
    write_output(Path("/dev/null"), "nowhere")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(StoreError, match="/dev/full: No space left on device"):
        write_output(Path("/dev/full"), "x")


def test_an_output_is_no_folder_and_no_loop(tmp_path):
    with pytest.raises(StoreError, match="Is a directory"):
        write_output(tmp_path, "x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StoreError, match="Too many levels of symbolic links"):
        write_output(tmp_path / "loop", "x")


def test_an_output_holds_no_control_characters(tmp_path):
    write_output(tmp_path / "a.csv", "a\x1b[31mb\x1b[0m\tc\r\n\x00 \ud800")
    assert (tmp_path / "a.csv").read_bytes() == "ab\tc\r\n\ufffd \ufffd".encode()
