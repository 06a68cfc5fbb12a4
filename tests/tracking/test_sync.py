"""What a store holds is in MLflow once, whole, and in its place."""

import shutil

import pytest
from full_store import experiment, fail, fill, finish, record, study
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from bench.errors import StoreError
from bench.runs.store import Store
from bench.tracking.sync import pending, sync
from bench.tracking.where import destination

ITEMS = 1 + 3 + 1 + 4  # run, experiments, study, trials


def client(root):
    return MlflowClient(tracking_uri=destination(root).uri)


def runs(root):
    """Every MLflow run by the kind and key of what it stands for; fails on doubles."""
    there = client(root)
    experiment = there.get_experiment_by_name(destination(root).experiment)
    found = there.search_runs([experiment.experiment_id], max_results=1000)
    by_name = {(r.data.tags["bench.kind"], r.data.tags["bench.key"]): r for r in found}
    assert len(by_name) == len(found)
    return by_name


def of_kind(root, kind):
    return [run for (other, _), run in sorted(runs(root).items()) if other == kind]


def history(root, run, name):
    points = client(root).get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in points)


def deliver(root, **changes):
    return sync(root, destination(root), **changes)


@pytest.fixture
def full(root):
    fill(root)
    return root


def test_everything_is_delivered_once(full):
    assert len(pending(full, destination(full))) == ITEMS
    first = deliver(full)
    assert (first.delivered, first.present, first.left, first.problem) == (ITEMS, 0, 0, "")
    assert len(runs(full)) == ITEMS
    assert pending(full, destination(full)) == []
    again = deliver(full)
    assert (again.delivered, again.present, again.left) == (0, ITEMS, 0)
    assert len(runs(full)) == ITEMS


def test_a_cell_has_parameters_curve_figures_tags_and_files(full):
    deliver(full)
    run = runs(full)["experiment", experiment(1).key]
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "toy/sasrec/none/seed 1"
    assert run.info.end_time - run.info.start_time == 6000  # metadata: 5 s and 1 s
    expected = {
        "dataset": "toy",
        "backbone": "sasrec",
        "backbone.dropout": "0.25",
        "training.epochs": "3",
        "protocol.max_length": "7",
        "seed": "1",
    }
    assert expected.items() <= run.data.params.items()
    assert "encoder" not in run.data.params
    assert history(full, run, "validation/NDCG_10") == [
        (1, pytest.approx(0.01)),
        (2, pytest.approx(0.11)),
        (3, pytest.approx(0.21)),
    ]
    assert history(full, run, "training/loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    # Two of four users have their target first, the others beyond ten places.
    assert {run.data.metrics[f"test/{n}"] for n in ("HR_1", "NDCG_1", "HR_10", "NDCG_10")} == {0.5}
    assert run.data.metrics["metadata/parameters"] == 12
    assert run.data.metrics["metadata/seconds.training"] == 5.0
    tags = run.data.tags
    assert tags["bench.plan.protocol"] == experiment(1).protocol.hash
    assert tags["bench.fingerprint"] == "f" * 64
    assert tags["bench.code"] == "c" * 64
    assert tags["bench.metadata.versions.torch"] == "2.x"
    assert tags["bench.version"]
    files = {entry.path for entry in client(full).list_artifacts(run.info.run_id)}
    assert files == {"experiment.json", "metadata.json", "curve.json"}


def test_children_stand_below_their_parents(full):
    deliver(full)
    [run], [parent] = of_kind(full, "run"), of_kind(full, "study")
    for child in of_kind(full, "experiment"):
        assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
    for child in of_kind(full, "trial"):
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert "mlflow.parentRunId" not in {**run.data.tags, **parent.data.tags}


def test_a_run_has_its_specification_and_what_is_drawn(full):
    drawn = []

    def draw(keys, folder):
        drawn.append(keys)
        (folder / "table.md").write_text("| a table |")

    deliver(full, draw=draw)
    [run] = of_kind(full, "run")
    assert run.info.status == "FAILED"  # seed 3 did
    assert run.data.tags["bench.command"] == "bench run x.yaml"
    files = {entry.path for entry in client(full).list_artifacts(run.info.run_id)}
    assert files == {"spec.yaml", "run.json", "table.md"}
    assert drawn == [[experiment(seed).key for seed in (1, 2, 3)]]


def test_a_study_and_its_trials_say_how_each_ended(full):
    deliver(full)
    states = {run.data.tags["bench.state"]: run for run in of_kind(full, "trial")}
    assert {state: run.info.status for state, run in states.items()} == {
        "complete": "FINISHED",
        "pruned": "FINISHED",
        "failed": "FAILED",
        "killed": "KILLED",
    }
    assert states["failed"].data.tags["bench.cause"] == "a cause"
    assert states["complete"].data.params["training.learning_rate"] == "1.0"
    assert states["complete"].data.metrics["objective/NDCG_10"] == pytest.approx(0.1)
    assert not [name for name in states["complete"].data.metrics if name.startswith("test/")]
    assert history(full, states["pruned"], "validation/NDCG_10") == [(1, 0.1), (2, 0.2)]
    [parent] = of_kind(full, "study")
    assert history(full, parent, "best-after/NDCG_10") == [(1, 0.1), (2, 0.1), (3, 0.1)]


def test_a_study_that_went_on_is_completed(full):
    deliver(full)
    [before] = of_kind(full, "study")
    study(full, 6)
    brought = deliver(full)
    assert (brought.delivered, brought.left) == (3, 0)  # two trials, and the study again
    [after] = of_kind(full, "study")
    assert after.info.run_id == before.info.run_id
    assert [step for step, _ in history(full, after, "best-after/NDCG_10")] == [1, 2, 3, 4, 5]
    assert len(of_kind(full, "trial")) == 6


def test_a_failed_cell_that_finishes_later_is_the_same_run(full):
    deliver(full)
    failed = runs(full)["experiment", experiment(3).key]
    assert (failed.info.status, failed.data.tags["bench.cause"]) == ("FAILED", "the loss is NaN")
    finish(full, 3)
    record(full, {1: "reused", 2: "reused", 3: "finished"})
    deliver(full)
    finished = runs(full)["experiment", experiment(3).key]
    assert finished.info.run_id == failed.info.run_id
    assert (finished.info.status, finished.data.tags["bench.cause"]) == ("FINISHED", "")
    assert finished.data.metrics["test/HR_1"] == 0.5


def test_a_run_that_was_killed_says_so_and_one_that_lasts_too(root):
    finish(root, 1)
    key = record(root, None)
    with Store(root).locked(key):
        deliver(root)
        assert runs(root)["run", key].info.status == "RUNNING"
    deliver(root)
    assert runs(root)["run", key].info.status == "KILLED"
    record(root, {1: "reused", 2: "finished", 3: "finished"})
    deliver(root)
    assert runs(root)["run", key].info.status == "FINISHED"


METHODS = ("create_run", "log_batch", "log_artifacts", "set_terminated", "set_tag")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("call", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_delivery_cut_short_anywhere_is_completed(full, monkeypatch, method, call):
    """A process that dies in some request leaves what it had written until then."""
    original, calls = getattr(MlflowClient, method), []

    class DiedError(BaseException):
        pass

    def dies(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise DiedError
        return original(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, method, dies)
    with pytest.raises(DiedError):
        deliver(full)
    monkeypatch.setattr(MlflowClient, method, original)
    assert deliver(full).left == 0
    assert len(runs(full)) == ITEMS
    for run in of_kind(full, "experiment"):
        if run.info.status == "FINISHED":
            assert [step for step, _ in history(full, run, "training/loss")] == [1, 2, 3]
    [parent] = of_kind(full, "study")
    assert [step for step, _ in history(full, parent, "best-after/NDCG_10")] == [1, 2, 3]


def test_an_item_that_cannot_be_delivered_does_not_stop_the_others(full):
    folder = Store(full).load(experiment(1).key).folder
    (folder / "metadata.json").write_text("{")
    brought = deliver(full)
    assert (brought.delivered, brought.left) == (ITEMS - 1, 1)
    assert "metadata.json is missing or damaged" in brought.problem
    assert len(pending(full, destination(full))) == 1


def test_a_destination_that_goes_down_in_the_middle_is_left_alone(full, monkeypatch):
    calls = []

    def refuses(self, *args, **kwargs):
        calls.append(1)
        raise MlflowException("connection refused")

    monkeypatch.setattr(MlflowClient, "log_batch", refuses)
    brought = deliver(full)
    assert (brought.delivered, brought.left) == (0, ITEMS)
    assert brought.problem.endswith("mlflow.db: connection refused")
    assert len(calls) <= 3


def test_a_cell_of_two_stores_is_one_run(full, tmp_path, monkeypatch):
    """Two machines whose stores hold the same experiment, and one server."""
    deliver(full)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", destination(full).uri)
    other = tmp_path / "other"
    finish(other, 1, 2)
    brought = deliver(other)
    assert (brought.delivered, brought.left) == (2, 0)  # without a run of their own: no parent
    assert len(runs(full)) == ITEMS


def test_of_two_runs_for_one_cell_the_whole_one_stays(full):
    deliver(full)
    there, whole = client(full), runs(full)["experiment", experiment(1).key]
    tags = {"bench.kind": "experiment", "bench.key": experiment(1).key}
    there.create_run(whole.info.experiment_id, start_time=1, tags=tags)
    assert deliver(full).delivered == 0
    assert runs(full)["experiment", experiment(1).key].info.run_id == whole.info.run_id


def test_what_somebody_deleted_in_mlflow_is_delivered_again(full):
    deliver(full)
    client(full).delete_run(runs(full)["experiment", experiment(1).key].info.run_id)
    assert deliver(full).delivered == 1
    assert len(runs(full)) == ITEMS


def test_a_database_that_is_lost_is_filled_again(full, empty_database):
    deliver(full)
    shutil.copyfile(empty_database, full / "tracking" / "mlflow.db")
    assert deliver(full).delivered == ITEMS


def test_a_deleted_experiment_is_named(full):
    where = destination(full)
    deliver(full)
    there = client(full)
    there.delete_experiment(there.get_experiment_by_name(where.experiment).experiment_id)
    with pytest.raises(StoreError, match="is deleted; restore it, or set MLFLOW_EXPERIMENT_NAME"):
        deliver(full)


def test_another_delivery_from_the_same_store_is_not_disturbed(full):
    from filelock import FileLock

    (full / "locks").mkdir(exist_ok=True)
    with FileLock(full / "locks" / "tracking.lock"):
        brought = deliver(full, patience=0.0)
    assert (brought.delivered, brought.left) == (0, ITEMS)
    assert brought.problem == "another process delivers from this store"


def test_a_further_failure_is_told(full):
    deliver(full)
    fail(full, 3)
    assert deliver(full).delivered == 1
    assert runs(full)["experiment", experiment(3).key].data.tags["bench.attempts"] == "2"
