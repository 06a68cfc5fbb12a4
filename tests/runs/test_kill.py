"""Killed at any instant, a run resumes and ends with the same numbers, bit for bit."""

import random
import time
from collections import Counter

import pytest
from tiny_runs import begun, finish, finished, ranks_of, start, write_spec

from bench.runs.store import Store

pytestmark = pytest.mark.process
CELLS = 4


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Specification, stored ranks of a run left alone, and its wall seconds."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    spec = write_spec(folder)
    began = time.monotonic()
    finish(start(spec, folder / "store"))
    return spec, ranks_of(folder / "store"), time.monotonic() - began


def kill_and_resume(spec, store, seconds, times, *flags):
    """Kill that many runs, each at a random instant, then let one come to its end.

    Returns, for each kill, the experiments finished by then and how many beginnings were logged.
    """
    draw = random.Random(1)
    kills = []
    for _ in range(times):
        process = start(spec, store, *flags)
        time.sleep(draw.uniform(0.3, 1.0) * seconds)
        process.kill()
        process.communicate()
        kills.append((finished(store), len(begun(store))))
    finish(start(spec, store, *flags))
    return kills


def check(store, expected, kills):
    assert ranks_of(store) == expected
    assert len(finished(store)) == CELLS
    assert not [*(store / "work").iterdir(), *(store / "experiments").glob(".*")]
    endings = Counter(e["key"] for e in Store(store).events() if e["event"] == "finished")
    assert max(endings.values()) == 1
    for done, so_far in kills:
        assert not done & set(begun(store)[so_far:]), "a finished experiment began again"


def test_kill_and_resume(uninterrupted, tmp_path):
    spec, expected, seconds = uninterrupted
    kills = kill_and_resume(spec, tmp_path, seconds, 4)
    assert len(kills) == 4
    check(tmp_path, expected, kills)


def test_kill_in_the_middle_of_a_cell(uninterrupted, tmp_path):
    """A random instant may miss; this one hits an experiment between two epochs."""
    spec, expected, _ = uninterrupted
    process = start(spec, tmp_path)
    for line in process.stderr:
        if "sasrec/none/seed 1: epoch 2/3" in line:
            break
    process.kill()
    process.communicate()
    assert len(finished(tmp_path)) == 1
    process = start(spec, tmp_path)
    _, log = process.communicate()
    assert "gru4rec/none/seed 1: epoch" not in log
    assert "sasrec/none/seed 1: epoch 1/3" not in log
    assert "sasrec/none/seed 1: epoch 3/3" in log
    assert "resumed" in {entry["event"] for entry in Store(tmp_path).events()}
    check(tmp_path, expected, [])


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--jobs", "2")], ids=["serial", "pool"])
def test_ten_kills(uninterrupted, tmp_path, flags):
    spec, expected, seconds = uninterrupted
    kills = kill_and_resume(spec, tmp_path, seconds, 10, *flags)
    check(tmp_path, expected, [] if flags else kills)  # workers outlive their parent a moment


def test_two_runs_on_one_store_share_the_cells(uninterrupted, tmp_path):
    spec, expected, _ = uninterrupted
    runs = [start(spec, tmp_path), start(spec, tmp_path, "--jobs", "2")]
    tables = [finish(process) for process in runs]
    assert tables[0] == tables[1] != ""
    check(tmp_path, expected, [])
    assert sorted(begun(tmp_path)) == sorted(finished(tmp_path))


def test_workers_die_with_their_parent(uninterrupted, tmp_path):
    import psutil

    spec, _, _ = uninterrupted
    process = start(spec, tmp_path, "--jobs", "2", "--set", "epochs=2000", "patience=2000")
    for line in process.stderr:
        if "epoch 2/" in line:
            break
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert workers
    assert not alive


def test_ctrl_c_says_how_to_go_on(uninterrupted, tmp_path):
    import signal

    spec, _, _ = uninterrupted
    process = start(spec, tmp_path, "--set", "epochs=2000", "patience=2000")
    for line in process.stderr:
        if "epoch 2/" in line:
            break
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 130
    assert log.splitlines()[-1] == "interrupted; run the same command again to continue"
    assert "Traceback" not in log
