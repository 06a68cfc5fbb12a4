"""Logging during a run: MLflow away, slow, damaged or forbidden costs a warning, not a run."""

import sys
import time
from dataclasses import replace

import pytest
from command import end, free_port
from full_store import experiment, fail, fill, finish, record
from tracked_runs import run, start
from typer.testing import CliRunner

from bench.cli.main import app
from bench.runs.store import Store
from bench.tracking import tracker as module
from bench.tracking.sync import sync
from bench.tracking.tracker import Tracker


@pytest.fixture
def nowhere():
    """Return the address of a port at which nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 2.0)
    monkeypatch.setattr(module, "GRACE", 1.0)
    monkeypatch.setattr(module, "TIMEOUT", 1)


def track(settings, *keys):
    """Log keys one after another; return the warnings."""
    said = []
    with Tracker(settings, said.append) as tracker:
        for key in keys:
            tracker.log(key)
    return said


def test_what_is_logged_during_a_run_is_there_at_its_end(settings):
    """As ``bench run`` does: the run begins, an experiment ends, another fails, the run ends."""
    said = []
    key = record(settings.store, None)
    with Tracker(settings, said.append) as tracker:
        with Store(settings.store).locked(key):
            tracker.log(key)
            assert sync(settings).present == 1
            finish(settings.store, 1)
            tracker.log(experiment(1).key)
            fail(settings.store, 3)
            tracker.log(experiment(3).key)
        record(settings.store, {1: "finished", 3: "failed"})
        tracker.log(key)
    assert said == []
    counts = sync(settings)
    assert (counts.logged, counts.present, counts.left) == (0, 3, 0)


def test_an_address_where_nobody_listens_costs_one_warning(at, nowhere, quick):
    settings = at(nowhere.replace("http://", "http://me:secret@"))
    fill(settings.store)
    [warning] = track(settings, experiment(1).key, experiment(2).key, experiment(3).key)
    assert warning.startswith(f"warning: MLflow at {nowhere.replace('//', '//me:***@')}: ")
    assert warning.endswith("'bench track sync' logs what is missing")
    assert "secret" not in warning
    assert sync(at("")).logged == 9


@pytest.mark.parametrize("uri", ["http://[::1", "nonsense://x", "http://host:port", "sqlite://"])
def test_an_address_that_cannot_be_read_costs_one_warning(at, quick, uri):
    fill(at(uri).store)
    warnings = track(at(uri), experiment(1).key, experiment(2).key)
    assert len(warnings) <= 1
    assert "Traceback" not in "".join(warnings)


def test_a_damaged_database_costs_one_warning(settings, quick):
    fill(settings.store)
    (settings.store / "tracking" / "mlflow.db").write_bytes(b"no database" * 100)
    [warning] = track(settings, experiment(1).key, experiment(2).key)
    assert "mlflow.db: file is not a database" in warning


def test_no_network_means_no_remote_server(at):
    settings = at("https://me:secret@mlflow.example.org", offline=True)
    fill(settings.store)
    [warning] = track(settings, experiment(1).key)
    assert "MLFLOW_TRACKING_URI = https://me:***@mlflow.example.org leads to another" in warning
    assert "BENCH_OFFLINE" in warning


@pytest.mark.parametrize(
    "kind",
    [
        "silent",
        pytest.param("dripping", marks=pytest.mark.slow),
        pytest.param("dripping headers", marks=pytest.mark.slow),
    ],
)
def test_a_server_that_does_not_answer_delays_a_run_by_a_bounded_time(at, kind, serve, quick):
    """The bound is generous: 3 seconds of waiting are configured, however many experiments end."""
    settings = at(serve(kind))
    fill(settings.store)
    begun = time.monotonic()
    [warning] = track(settings, *[experiment(1 + n % 3).key for n in range(30)])
    assert time.monotonic() - begun < 60
    assert "MLflow" in warning
    assert sync(at("")).logged == 9


@pytest.mark.slow
def test_what_failed_is_logged_with_the_next_experiment(settings, monkeypatch, quick):
    fill(settings.store)
    said = []
    with Tracker(settings, said.append) as tracker:
        database = settings.store / "tracking" / "mlflow.db"
        kept = database.read_bytes()
        database.write_bytes(b"no database" * 100)
        tracker.log(experiment(1).key)
        database.write_bytes(kept)
        tracker.log(experiment(2).key)
    assert len(said) == 1
    counts = sync(settings, keys={experiment(1).key, experiment(2).key})
    assert (counts.logged, counts.present) == (0, 3)


def test_whatever_goes_wrong_is_a_warning(settings, monkeypatch):
    fill(settings.store)
    monkeypatch.setattr("bench.tracking.sync.items", lambda *_: 1 / 0)
    [warning] = track(settings, experiment(1).key, experiment(2).key)
    assert warning.startswith("warning: ZeroDivisionError: division by zero; results are safe")


def test_an_interruption_waits_for_nothing(settings, monkeypatch):
    def hangs(*_, **__):
        time.sleep(600)

    monkeypatch.setattr("bench.tracking.sync.sync", hangs)
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(module, "GRACE", 600.0)
    tracker = Tracker(settings, pytest.fail)
    tracker.log("key")
    monkeypatch.setattr(tracker, "_deliver", pytest.fail)
    tracker.__exit__(KeyboardInterrupt)
    assert tracker._thread.is_alive(), "it was left behind, not waited for"


def test_nothing_is_logged_where_tracking_is_off(settings):
    fill(settings.store)
    assert track(replace(settings, track=False), experiment(1).key) == []
    assert sync(settings).present == 0


@pytest.mark.process
@pytest.mark.slow
def test_a_run_without_new_results_imports_no_mlflow(tmp_path):
    """Nor does one with tracking turned off."""
    end(run(tmp_path, "--set", "epochs=1", "--no-track"))
    script = (
        "import sys\nfrom bench.cli.main import app\n"
        "sys.argv[0] = 'bench'\n"
        "try:\n    app()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print('mlflow' in sys.modules)"
    )
    again = run(tmp_path, "--set", "epochs=1", program=[sys.executable, "-c", script])
    assert end(again)[0].splitlines()[-1] == "False"


@pytest.mark.slow
@pytest.mark.process
def test_a_run_goes_on_without_mlflow_and_sync_logs_it_later(tmp_path, settings, nowhere):
    out, err = end(run(tmp_path, "--set", "epochs=1", MLFLOW_TRACKING_URI=nowhere))
    assert "| tiny" in out
    assert [line[:8] for line in err.splitlines() if "MLflow" in line] == ["warning:"]
    assert len(list(Store(settings.store).experiments())) == 1
    out, _ = end(start(tmp_path, "track", "sync"))
    assert out == f"{settings.store / 'tracking' / 'mlflow.db'}: 2 logged, 0 already there\n"


def test_sync_says_what_it_could_not_log(settings, nowhere):
    fill(settings.store)
    words = ["track", "sync", "--store", str(settings.store)]
    failed = CliRunner().invoke(app, [*words, "--uri", nowhere])
    assert str(failed.exception).startswith(f"MLflow at {nowhere}: ")
    (Store(settings.store).load(experiment(1).key).folder / "metadata.json").write_text("{")
    partly = CliRunner().invoke(app, words)
    assert partly.exit_code == 1
    assert "8 logged, 0 already there" in partly.output
    assert "1 not logged: " in partly.output
