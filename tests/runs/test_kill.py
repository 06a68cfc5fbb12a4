"""Killed at any instant, a run resumes and ends with the same numbers, bit for bit."""

import random
import time

import pytest
from command import called, end, read_until, write_spec
from tiny_runs import SPEC, labels, ranks_of, start

pytestmark = pytest.mark.process
EXPERIMENTS = 4


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Specification, and stored ranks of a run left alone."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    spec = write_spec(folder, SPEC)
    run_here(spec, folder / "store")
    return spec, ranks_of(folder / "store")


def run_here(spec, store):
    """Run to the end in this process, and return the log."""
    done = called("run", str(spec), "--store", str(store), "--jobs", "1", cwd=spec.parent)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def seconds(uninterrupted, tmp_path_factory):
    """Wall seconds of a process that is left alone."""
    began = time.monotonic()
    end(start(uninterrupted[0], tmp_path_factory.mktemp("timed")))
    return time.monotonic() - began


def kill_and_resume(spec, store, seconds, times, *flags):
    """Kill that many runs, each at a random instant, then let one come to its end.

    Returns, for each kill, the labels finished by then and what the runs after it logged.
    """
    draw = random.Random(1)
    kills, logs = [], []
    for _ in range(times):
        process = start(spec, store, *flags)
        time.sleep(draw.uniform(0.3, 1.0) * seconds)
        process.kill()
        logs.append(process.communicate()[1])
        kills.append(labels(store))
    process = start(spec, store, *flags)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    logs.append(log)
    return [(done, "".join(logs[n + 1 :])) for n, done in enumerate(kills)]


def check(store, expected, kills):
    assert ranks_of(store) == expected
    assert len(labels(store)) == EXPERIMENTS
    assert not [*(store / "work").iterdir(), *(store / "experiments").glob(".*")]
    for done, log in kills:
        for label in done:
            assert f"{label}: epoch" not in log, "a finished experiment began again"


def test_kill_in_the_middle_of_an_experiment(uninterrupted, tmp_path):
    """A random instant may miss; this one hits an experiment between two epochs."""
    spec, expected = uninterrupted
    process = start(spec, tmp_path)
    read_until(process, "sasrec/none/epochs=3/seed 1: epoch 2/3")
    process.kill()
    process.communicate()
    assert len(labels(tmp_path)) == 1
    log = run_here(spec, tmp_path)
    assert "gru4rec/none/epochs=3/seed 1: epoch" not in log
    assert "sasrec/none/epochs=3/seed 1: epoch 1/3" not in log
    assert "sasrec/none/epochs=3/seed 1: epoch 3/3" in log
    check(tmp_path, expected, [])


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--jobs", "2")], ids=["serial", "pool"])
def test_ten_kills(uninterrupted, seconds, tmp_path, flags):
    spec, expected = uninterrupted
    kills = kill_and_resume(spec, tmp_path, seconds, 10, *flags)
    check(tmp_path, expected, [] if flags else kills)  # workers outlive their parent a moment


@pytest.mark.slow
def test_two_runs_on_one_store_share_the_experiments(uninterrupted, tmp_path):
    spec, expected = uninterrupted
    runs = [start(spec, tmp_path), start(spec, tmp_path, "--jobs", "2")]
    (first, log), (second, other) = (process.communicate(timeout=300) for process in runs)
    assert first == second != ""
    check(tmp_path, expected, [])
    for label in labels(tmp_path):
        assert (log + other).count(f"{label}: epoch 1/3") == 1


@pytest.mark.slow
def test_workers_die_with_their_parent(uninterrupted, tmp_path):
    import psutil

    spec, _ = uninterrupted
    process = start(spec, tmp_path, "--jobs", "2", "--set", "epochs=2000", "patience=2000")
    read_until(process, "epoch 2/")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert workers
    assert not alive


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(uninterrupted, tmp_path):
    import signal

    spec, _ = uninterrupted
    process = start(spec, tmp_path, "--set", "epochs=2000", "patience=2000")
    read_until(process, "epoch 2/")
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 130
    assert log.splitlines()[-1] == "interrupted; run the same command again to continue"
    assert "Traceback" not in log
