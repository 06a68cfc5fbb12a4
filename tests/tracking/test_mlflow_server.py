"""A real MLflow server on loopback: read back through its client, killed in the middle."""

import time
from pathlib import Path

import pytest
from command import end
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tracked_runs import Server, run, start

from bench.runs.store import Store
from bench.settings import APPLICATION

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder)
    server.start()
    yield server
    server.kill()


def runs(server):
    client = MlflowClient(tracking_uri=server.uri)
    experiment = client.get_experiment_by_name(APPLICATION)
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    by_name = {(r.data.tags["bench.kind"], r.data.tags["bench.key"]): r for r in found}
    assert len(by_name) == len(found)
    return client, by_name


def test_a_run_and_a_tuning_are_read_back_through_the_client(server, tmp_path):
    end(run(tmp_path, "--seeds", "1", "2", "--set", "epochs=2", MLFLOW_TRACKING_URI=server.uri))
    words = ["tune", "--dataset", "./card.yaml", "--backbone", "gru4rec", "--method", "none"]
    more = ["--trials", "2", "--set", "epochs=2"]
    end(start(tmp_path, *words, *more, MLFLOW_TRACKING_URI=server.uri))
    end(start(tmp_path, "track", "sync", MLFLOW_TRACKING_URI=server.uri))
    client, found = runs(server)
    kinds = sorted(kind for kind, _ in found)
    assert kinds == ["experiment", "experiment", "run", "study", "trial", "trial"]
    for stored in Store(tmp_path / "store").experiments():
        run_ = found["experiment", stored.key]
        for column, name in (("loss", "training/loss"), ("metric", "validation/NDCG_10")):
            points = client.get_metric_history(run_.info.run_id, name)
            values = [point.value for point in sorted(points, key=lambda point: point.step)]
            assert values == [getattr(row, column) for row in stored.curve]
    [parent] = [run_ for (kind, _), run_ in found.items() if kind == "run"]
    files = {entry.path for entry in client.list_artifacts(parent.info.run_id)}
    assert files == {"spec.yaml", "run.json", "table.md", "learning-curves.png"}
    path = client.download_artifacts(parent.info.run_id, "table.md", str(tmp_path))
    assert "NDCG@10" in Path(path).read_text(encoding="utf-8")


def test_a_server_killed_in_the_middle_costs_no_run_and_no_doubles(server, tmp_path):
    words = ["--seeds", "1", "2", "3", "--set", "epochs=30", "patience=30"]
    process = run(tmp_path, *words, MLFLOW_TRACKING_URI=server.uri)
    deadline = time.monotonic() + 240
    while process.poll() is None and not _delivered(server):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    server.kill()
    _, err = end(process)
    assert "warning:" in err
    assert len(list(Store(tmp_path / "store").experiments())) == 3
    server.start()
    out, _ = end(start(tmp_path, "track", "sync", MLFLOW_TRACKING_URI=server.uri))
    assert int(out.split(": ")[1].split()[0]) > 0  # logged now
    client, found = runs(server)
    assert sorted(kind for kind, _ in found) == ["experiment", "experiment", "experiment", "run"]
    for (kind, _), run_ in found.items():
        assert run_.info.status == "FINISHED"
        if kind == "experiment":
            points = client.get_metric_history(run_.info.run_id, "training/loss")
            assert sorted(point.step for point in points) == list(range(1, 31))


def _delivered(server):
    try:
        return any(kind == "experiment" for kind, _ in runs(server)[1])
    except (MlflowException, AttributeError):  # no answer, or no experiment yet
        return False
