"""Tracking beside a run: MLflow down, slow or forbidden costs a warning, not a run."""

import os
import socket
import threading

import pytest
from full_store import fill, finish
from tracked_runs import begin, end, free_port, run

from bench.errors import StoreError
from bench.runs.store import Store
from bench.tracking import follower
from bench.tracking.follower import Follower, follow
from bench.tracking.sync import Delivery, pending, sync
from bench.tracking.where import destination, is_wanted


@pytest.fixture
def nowhere():
    """A port at which nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def silent():
    """A server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["nowhere", pytest.param("silent", marks=pytest.mark.slow)])
def test_mlflow_away_costs_a_warning_and_sync_delivers_later(kind, request, tmp_path, root):
    uri = request.getfixturevalue(kind)
    out, err = end(run(tmp_path, "--set", "epochs=1", MLFLOW_TRACKING_URI=uri))
    assert "| Tiny" in out or "| tiny" in out
    [warning] = [line for line in err.splitlines() if line.startswith("warning:")]
    assert f"2 of what is to be tracked did not reach MLflow at {uri} within 5 s" in warning
    assert "'bench track sync' delivers it later" in warning
    assert len(list(Store(root).experiments())) == 1
    assert len(pending(root, destination(root))) == 2
    assert sync(root, destination(root)).delivered == 2


def test_the_store_needs_no_server(tmp_path, root):
    fill(root)
    out, _ = end(begin(tmp_path, "track", "sync"))
    assert out == f"{destination(root).uri}: 9 delivered, 0 were there\n"


def test_sync_says_what_it_could_not_deliver(tmp_path, nowhere):
    fill(tmp_path / "store")
    process = begin(tmp_path, "track", "sync", "--uri", nowhere)
    _, err = end(process, 2)
    assert err.startswith(f"error: MLflow at {nowhere}: ")
    assert len(err.splitlines()) == 1


def test_no_network_means_no_remote_server(root, monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org")
    said = []
    with Follower(root, said.append, busy=True):
        pass
    [line] = said
    assert "warning: not tracked: MLFLOW_TRACKING_URI = https://me:***@mlflow.example.org" in line
    assert "BENCH_OFFLINE" in line


@pytest.mark.parametrize(
    ("uri", "fine"),
    [("sqlite:///x.db", True), ("http://localhost:5000", True), ("postgresql://h/db", False)],
)
def test_what_counts_as_a_network(root, monkeypatch, uri, fine):
    from bench.errors import ConfigError

    monkeypatch.setenv("BENCH_OFFLINE", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    if fine:
        assert destination(root).uri == uri
    else:
        with pytest.raises(ConfigError):
            destination(root)


@pytest.mark.parametrize(
    ("flag", "variable", "wanted"),
    [(None, "", True), (None, "0", False), (None, "off", False), (True, "0", True)],
)
def test_tracking_is_on_unless_it_is_turned_off(monkeypatch, flag, variable, wanted):
    monkeypatch.setenv("BENCH_TRACK", variable)
    assert is_wanted(flag) is wanted


def test_nothing_to_do_begins_no_process(root, monkeypatch):
    fill(root)
    sync(root, destination(root))
    begun = []
    monkeypatch.setattr(follower.subprocess, "Popen", lambda *words, **_: begun.append(words))
    with Follower(root, pytest.fail, busy=False):
        pass
    assert not begun


def test_a_process_that_cannot_begin_costs_a_warning(root, monkeypatch):
    monkeypatch.setattr(follower, "COMMAND", ["/no/such/program"])
    said = []
    with Follower(root, said.append, busy=True):
        pass
    assert said[0].startswith("warning: not tracked: ")


def test_an_interruption_waits_for_nothing(root, monkeypatch):
    monkeypatch.setattr(follower, "COMMAND", ["sleep", "60"])
    fill(root)
    with pytest.raises(KeyboardInterrupt), Follower(root, pytest.fail, busy=True) as beside:
        raise KeyboardInterrupt
    assert beside._process.returncode is not None


class Passes:
    """Deliveries that fail where they are told to."""

    def __init__(self, *failing):
        self.patience = []
        self._failing = failing
        self.made = threading.Event()

    def __call__(self, patience):
        self.patience.append(patience)
        self.made.set()
        if len(self.patience) in self._failing:
            raise StoreError("MLflow is away")
        return Delivery(1, 0, 0)


def following(root, passes):
    """Begin to follow; give a function that ends it and gives what was said."""
    reader, writer = os.pipe()
    said = []
    stream = os.fdopen(reader, "rb")
    thread = threading.Thread(target=follow, args=(root, passes, stream, said.append))
    thread.start()

    def finish():
        os.close(writer)
        thread.join(30)
        assert not thread.is_alive()
        stream.close()
        return said

    return finish


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(follower, "POLL", 0.02)
    monkeypatch.setattr(follower, "BACK_OFF", 0.05)
    timers = []

    class Timer(threading.Timer):
        def start(self):
            timers.append(self.interval)

    monkeypatch.setattr(follower.threading, "Timer", Timer)
    return timers


def test_following_delivers_what_is_new_and_ends_with_the_run(root, quick):
    passes = Passes()
    finish_following = following(root, passes)
    assert passes.made.wait(10)
    passes.made.clear()
    finish(root, 1)
    assert passes.made.wait(10)
    said = finish_following()
    assert passes.patience == [0.0, 0.0, follower.LAST]
    assert quick == [follower.LAST]
    assert all(line.endswith("1 delivered") for line in said)


def test_following_tries_again_after_a_failure(root, quick):
    passes = Passes(1)
    finish_following = following(root, passes)
    while len(passes.patience) < 2:
        assert passes.made.wait(10)
        passes.made.clear()
    said = finish_following()
    assert said[0].endswith("MLflow is away")
