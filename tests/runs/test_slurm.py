"""A real Slurm on loopback: tasks that requeue, drivers and tasks that are killed."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter

import psutil
import pytest
import slurm_cluster
from command import begin, end
from tiny_runs import labels, ranks_of, ranks_of_local_run, wait_for, write_twenty

from bench.files import write_text

pytest.importorskip("submitit")
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(bool(slurm_cluster.missing()), reason=slurm_cluster.missing() or "-"),
]

EPOCHS = 2
REST = f"""
training: {{epochs: {EPOCHS}, patience: {EPOCHS}}}
slurm: {{memory: 1500M, options: {{time: 60}}}}
"""
"""Slurm's own limit, which is a minute at least, ends no task: each keeps to its own."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_twenty(tmp_path_factory.mktemp("runs"), REST)


@pytest.fixture(scope="module")
def expected(folder):
    return ranks_of_local_run(folder)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Variables of the clients of a cluster; what is requeued there starts at once."""
    with slurm_cluster.cluster(tmp_path_factory.mktemp("slurm")) as variables:
        ended = threading.Event()
        releasing = threading.Thread(target=release, args=(variables, ended), daemon=True)
        releasing.start()
        yield variables
        ended.set()
        releasing.join()


def release(variables, ended):
    """Let requeued jobs start: Slurm holds them back for two minutes."""
    environment = {**os.environ, **variables}
    while not ended.wait(1):
        asked = ["squeue", "--noheader", "--array", "--states=PD", "--format=%i %r"]
        waiting = subprocess.run(
            asked, env=environment, capture_output=True, text=True, check=False
        )
        for line in waiting.stdout.splitlines():
            job, reason = line.split(maxsplit=1)
            if reason == "BeginTime":
                command = ["scontrol", "update", f"JobId={job}", "StartTime=now"]
                subprocess.run(command, env=environment, check=False, capture_output=True)


def start(folder, store, cluster, *values):
    flags = ("--jobs", "2", "--no-track", "--slurm", *values)
    words = ("run", "spec.yaml", "--store", store, "--on", "slurm", *flags)
    return begin(folder, *words, **cluster)


def logs(store):
    return "".join(path.read_text() for path in sorted(store.glob("slurm/*/*_log.out")))


def epochs(store):
    """How often each epoch of each experiment was trained."""
    return Counter(re.findall(r"^(\S+/seed \d+: epoch \d+)/", logs(store), re.MULTILINE))


def queue(cluster):
    asked = ["squeue", "--noheader", "--format=%F"]
    done = subprocess.run(
        asked, env={**os.environ, **cluster}, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def check(store, expected):
    assert ranks_of(store) == expected
    assert len(labels(store)) == 20
    assert not list((store / "work").iterdir())
    assert not list((store / "failures").iterdir())


def hurry(store):
    """Give time enough to the tasks of an array, which until now had it for one epoch at most."""
    [plan] = store.glob("slurm/*/plan.json")
    content = plan.read_text()
    assert '"seconds":0.06' in content
    write_text(plan, content.replace('"seconds":0.06', '"seconds":6000'))


def test_tasks_that_requeue_train_every_epoch_once(folder, expected, cluster):
    store = folder / "requeued"
    driver = start(folder, "requeued", cluster, "time=0.001")
    wait_for(store, 4, driver)
    hurry(store)
    _, log = end(driver, seconds=1800)
    check(store, expected)
    assert set(epochs(store).values()) == {1}
    assert len(epochs(store)) == 20 * EPOCHS
    assert len(re.findall(r"^\[\d+/20\] .*: finished", log, re.MULTILINE)) == 20
    assert logs(store).count("Requeued job") >= 4 * EPOCHS
    assert queue(cluster) == set()


def test_killed_drivers_and_a_killed_task_lose_nothing(folder, expected, cluster):
    store = folder / "killed"
    jobs = set()
    for count in (0, 0, 0, 1, 1, 1, 2, 2, 3, 3):
        driver = start(folder, "killed", cluster, "time=0.001")
        wait_for(store, count, driver)
        while not queue(cluster) and driver.poll() is None:
            time.sleep(0.2)
        jobs |= queue(cluster)
        time.sleep(random.uniform(0, 2))
        driver.kill()
        driver.communicate()
    kill_a_task(store)
    hurry(store)
    _, log = end(start(folder, "killed", cluster, "time=0.001"), seconds=1800)
    check(store, expected)
    assert len(jobs) == 1  # the drivers after the first attached to its array
    assert "this run has array job" in log
    twice = {name.partition(":")[0] for name, count in epochs(store).items() if count > 1}
    assert len(twice) <= 1  # the epoch in which the task was killed
    assert len(epochs(store)) == 20 * EPOCHS


def kill_a_task(store):
    """Kill a task while it has the claim of an experiment."""
    while True:
        for claim in store.glob("claims/*/*"):
            words = claim.read_text().split()
            if claim.stat().st_mtime and len(words) == 2 and psutil.pid_exists(int(words[1])):
                os.kill(int(words[1]), signal.SIGKILL)
                return
        time.sleep(0.02)


def test_an_interrupted_driver_says_what_becomes_of_the_job(folder, cluster):
    driver = start(folder, "interrupted", cluster, "time=10")
    while not queue(cluster) and driver.poll() is None:
        time.sleep(0.2)
    time.sleep(1)
    driver.send_signal(signal.SIGINT)
    _, log = driver.communicate(timeout=60)
    assert driver.returncode == 130
    [job] = queue(cluster)
    assert log.splitlines()[-2:] == [
        f"array job {job} continues; to cancel it: scancel {job}",
        "interrupted; run the same command again to continue",
    ]
    subprocess.run(["scancel", job], env={**os.environ, **cluster}, check=True)


def test_a_job_that_slurm_refuses_is_one_sentence(folder, cluster):
    driver = start(folder, "refused", cluster, "partition=absent")
    _, log = driver.communicate(timeout=120)
    assert driver.returncode == 2
    assert "error: Slurm rejects the job" in log.splitlines()[-1]
    assert "Invalid partition name" in log.splitlines()[-1]
    assert "Traceback" not in log
