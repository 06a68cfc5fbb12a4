"""Ray: a node that is killed and a driver that is killed; nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from command import begin, end
from tiny_runs import labels, ranks_of, ranks_of_local_run, wait_for, write_twenty

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.slow]

PORT = 6397
REST = "training: {epochs: 40, patience: 40}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_twenty(tmp_path_factory.mktemp("ray"), REST)


@pytest.fixture(scope="module")
def expected(folder):
    return ranks_of_local_run(folder)


def node(*words: str) -> subprocess.Popen[bytes]:
    """Start a node of the cluster with one core."""
    ray = Path(sys.executable).with_name("ray")
    return subprocess.Popen(
        [ray, "start", *words, "--block", "--num-cpus=1", "--disable-usage-stats"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a node with all its processes."""
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


@pytest.fixture
def nodes():
    head = node("--head", f"--port={PORT}", "--include-dashboard=false")
    time.sleep(8)
    other = node(f"--address=127.0.0.1:{PORT}")
    time.sleep(5)
    yield other
    for process in (other, head):
        if process.poll() is None:
            kill(process)


def start(folder, store):
    flags = ("--on", "ray", "--ray-address", f"127.0.0.1:{PORT}", "--jobs", "2", "--no-track")
    return begin(folder, "run", "spec.yaml", "--store", store, *flags)


def test_a_node_that_is_killed_costs_no_experiment(folder, expected, nodes):
    driver = start(folder, "lost")
    wait_for(folder / "lost", 4, driver)
    kill(nodes)
    _, log = end(driver)
    assert ranks_of(folder / "lost") == expected
    assert len(labels(folder / "lost")) == 20
    ended = [line for line in log.splitlines() if ": finished" in line]
    assert len(ended) == 20


def test_a_driver_that_is_killed_resumes(folder, expected, nodes):
    for count in (0, 0, 1, 2, 4, 6, 8, 10, 12, 14):
        driver = start(folder, "killed")
        wait_for(folder / "killed", count, driver)
        time.sleep(random.uniform(0, 4))
        driver.kill()
        driver.communicate()
    end(start(folder, "killed"))
    assert ranks_of(folder / "killed") == expected
    assert not list((folder / "killed" / "work").iterdir())


def test_an_address_without_a_cluster_is_one_sentence(folder):
    process = begin(folder, "run", "spec.yaml", "--on", "ray", "--ray-address", "127.0.0.1:1")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "no Ray cluster at '127.0.0.1:1'" in error.splitlines()[-1]
