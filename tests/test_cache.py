"""Entries of the cache are written whole, checked when read, and made again when damaged."""

import json
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from bench.cache import Content, Entry
from bench.errors import StoreError
from bench.files import locked
from bench.manifest import MANIFEST

ARRAYS = {"one": np.arange(6, dtype=np.int32).reshape(2, 3), "none": np.zeros((0, 4))}
CONTENT = Content(ARRAYS, {"rows": 2, "name": "Ink & Qüill \ud800"})


@pytest.fixture
def entry(tmp_path):
    return Entry.of(tmp_path, "things", "toy", {"b": 1, "a": None})


class Maker:
    """Counts how often the content was made."""

    def __init__(self, content=CONTENT):
        self.calls = 0
        self.content = content

    def __call__(self):
        self.calls += 1
        return self.content


def same(found, expected=CONTENT):
    return (
        found is not None
        and found.metadata == expected.metadata
        and found.arrays.keys() == expected.arrays.keys()
        and all(
            array.dtype == found.arrays[name].dtype and np.array_equal(array, found.arrays[name])
            for name, array in expected.arrays.items()
        )
    )


def test_made_once_and_read_back_equal(entry):
    make = Maker()
    assert entry.read() is None
    assert all(same(entry.get(make)) for _ in range(3))
    assert make.calls == 1
    assert same(entry.read())


def test_the_name_is_made_of_everything_that_decides_the_content(tmp_path):
    one = Entry.of(tmp_path, "things", "toy", {"a": 1, "b": 2})
    assert one == Entry.of(tmp_path, "things", "toy", {"b": 2, "a": 1})
    assert one != Entry.of(tmp_path, "things", "toy", {"b": 2, "a": 2})
    assert one.folder.parent == tmp_path / "things"
    assert one.folder.name.startswith("toy-")


def every_damage(folder):
    """Yield after each change of one byte, each cut and each missing file of an entry."""
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for place in range(0, len(content), max(1, len(content) // 25)):
            changed = bytearray(content)
            changed[place] ^= 0x55
            path.write_bytes(changed)
            yield
        for size in (0, len(content) // 2):
            path.write_bytes(content[:size])
            yield
        path.unlink()
        yield


def test_a_damaged_entry_is_made_again_with_one_warning(entry, caplog):
    make = Maker()
    entry.get(make)
    for count, _ in enumerate(every_damage(entry.folder), start=2):
        caplog.clear()
        assert entry.read() is None
        assert same(entry.get(make))
        assert make.calls == count
        [record] = caplog.records
        assert "is damaged" in record.getMessage()
        assert same(entry.read())


def test_pickled_objects_are_not_opened(entry):
    entry.write(CONTENT.save)
    np.save(entry.folder / "one.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    other = Entry(entry.folder.with_name("other"))
    other.write(lambda folder: (entry.folder / "one.npy").rename(folder / "one.npy") and {})
    assert "one.npy" in json.loads((other.folder / MANIFEST).read_text())["files"]
    assert other.read() is None


def test_mapped_arrays_are_not_read_to_memory_and_protect_the_file(entry):
    entry.write(Content({"one": ARRAYS["one"]}).save)
    found = entry.read(mapped=True).arrays["one"]
    assert isinstance(found, np.memmap)
    found[0, 0] = 77
    assert entry.read().arrays["one"][0, 0] == 0


def test_other_files_are_checked_too(entry):
    def fill(folder):
        (folder / "model.bin").write_bytes(b"weights")
        return {}

    entry.ensure(fill)
    assert entry.read().arrays == {}
    (entry.folder / "model.bin").write_bytes(b"weightz")
    assert entry.read() is None


def test_a_failure_leaves_nothing_and_is_passed_on(entry):
    def fill(folder):
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        entry.ensure(fill)
    assert [path.name for path in entry.folder.parent.iterdir()] == [f".{entry.folder.name}.lock"]


def test_what_a_killed_process_left_half_written_is_swept(entry):
    script = (
        "import os, signal, sys; from pathlib import Path; from bench.cache import Entry\n"
        "def fill(folder):\n"
        "    (folder / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Entry(Path(sys.argv[1])).ensure(fill)"
    )
    subprocess.run([sys.executable, "-c", script, str(entry.folder)], check=False)
    assert list(entry.folder.parent.glob(".*.tmp"))
    others = [
        entry.folder.parent / f".{name}.1.0123abcd.tmp"
        for name in (f"{entry.folder.name}-longer", "busy", "old")
    ]
    for other in others:
        other.mkdir()
    for other in others[1:]:
        os.utime(other, (0, 0))
    with locked(entry.folder.parent / ".busy.lock"):
        assert same(entry.get(Maker()))
    # Another entry's is left alone, unless it is a day old and nobody holds its lock.
    assert sorted(entry.folder.parent.glob(".*.tmp")) == sorted(others[:2])


def test_two_at_once_make_once(entry):
    make, found = Maker(), []
    threads = [threading.Thread(target=lambda: found.append(entry.get(make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert make.calls == 1
    assert all(map(same, found))


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    make = Maker()
    entry = Entry.of(tmp_path / "file", "things", "toy", 1)
    with caplog.at_level(logging.WARNING):
        assert same(entry.get(make))
    assert make.calls == 1
    assert "set BENCH_CACHE_DIR to a folder that can be written" in caplog.text
    with pytest.raises(StoreError, match="set BENCH_CACHE_DIR"):
        entry.ensure(CONTENT.save)


def test_a_disk_that_fills_up_costs_time_only(entry, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    make = Maker()
    assert same(entry.get(make))
    assert make.calls == 1
    assert "No space left on device" in caplog.text


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    path = tmp_path / "locks" / "one.lock"
    with locked(path) as held:
        assert held
        with locked(path, timeout=0) as again:
            assert not again
    with locked(path, timeout=0) as free:
        assert free


def test_a_lock_that_cannot_be_made_names_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    message = r"cannot write .*one\.lock: .*; free space or choose another folder"
    with pytest.raises(StoreError, match=message), locked(tmp_path / "file" / "one.lock"):
        pass
