"""What a store holds is in MLflow once, whole, and in its place."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from command import refused
from full_store import experiment, fail, fill, finish, record, result, study
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from studies import write_study

from bench.errors import ConfigError, StoreError
from bench.plan.experiment import Experiment
from bench.runs.store import Store
from bench.settings import Settings
from bench.tracking import sync as module
from bench.tracking.destination import destination
from bench.tracking.sync import sync, sync_bounded
from bench.tuning.records import read_studies

ITEMS = 1 + 3 + 1 + 4  # run, experiments, study, trials


@pytest.fixture(scope="module")
def synced(tmp_path_factory, lay_out):
    """A store whose content has been logged, for tests that only read."""
    root = tmp_path_factory.mktemp("synced")
    lay_out(root)
    settings = Settings(store=root, data=root, cache=root)
    fill(root)
    drawn = []

    def draw(root, keys, folder):
        drawn.append(keys)
        (folder / "table.md").write_text("| a table |")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.tracking.items.draw", draw)
        assert sync(settings).left == 0
    assert drawn == [[experiment(seed).key for seed in (1, 2, 3)]]
    return settings


@pytest.fixture
def logged(synced, tmp_path):
    """A copy of it, for tests in which something changes afterwards."""
    store = tmp_path / "logged"
    shutil.copytree(synced.store, store)
    return replace(synced, store=store)


def client(settings):
    return MlflowClient(tracking_uri=destination(settings).uri)


def runs(settings):
    """Every MLflow run by the kind and key of what it stands for; fails on doubles."""
    there = client(settings)
    experiment = there.get_experiment_by_name(settings.tracking_experiment)
    found = there.search_runs([experiment.experiment_id], max_results=1000)
    by_name = {(r.data.tags["bench.kind"], r.data.tags["bench.key"]): r for r in found}
    assert len(by_name) == len(found)
    return by_name


def of_kind(settings, kind):
    return [run for (other, _), run in sorted(runs(settings).items()) if other == kind]


def history(settings, run, name):
    points = client(settings).get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in points)


def test_everything_is_logged_once(full):
    first = sync(full)
    assert (first.logged, first.present, first.left, first.problem) == (ITEMS, 0, 0, "")
    assert len(runs(full)) == ITEMS
    again = sync(full)
    assert (again.logged, again.present, again.left) == (0, ITEMS, 0)
    assert len(runs(full)) == ITEMS


def test_an_experiment_has_parameters_curve_metrics_tags_and_data_set(synced):
    run = runs(synced)["experiment", experiment(1).key]
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "toy/sasrec/none/epochs=3/seed 1"
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
    assert history(synced, run, "validation/NDCG_10") == [
        (1, pytest.approx(0.01)),
        (2, pytest.approx(0.11)),
        (3, pytest.approx(0.21)),
    ]
    assert history(synced, run, "training/loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    # Two of four users have their target first, the others beyond ten places.
    assert {run.data.metrics[f"test/{n}"] for n in ("HR_1", "NDCG_1", "HR_10", "NDCG_10")} == {0.5}
    assert run.data.metrics["metadata/parameters"] == 12
    assert run.data.metrics["metadata/seconds.training"] == 5.0
    tags = run.data.tags
    assert tags["bench.protocol"] == experiment(1).protocol.hash
    assert tags["bench.fingerprint"] == "f" * 64
    assert tags["bench.code"] == "c" * 64
    assert tags["bench.metadata.versions.torch"] == "2.x"
    assert tags["bench.version"]
    [given] = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("toy", "f" * 32)
    assert given.dataset.source == '{"uri": "toy"}'
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


def test_an_experiments_artifacts_are_its_files(synced, tmp_path):
    run = runs(synced)["experiment", experiment(1).key]
    (tmp_path / "down").mkdir()
    folder = Path(client(synced).download_artifacts(run.info.run_id, "", str(tmp_path / "down")))
    names = {"experiment.json", "manifest.json", "metadata.json", "curve.json"}
    tables = {"ranks-validation.parquet", "ranks-test.parquet", "decisions-test.parquet"}
    assert {path.name for path in folder.iterdir()} == names | tables
    ranks = pd.read_parquet(folder / "ranks-test.parquet")
    assert ranks["better_all"].tolist() == [0, 0, 20, 20]
    decisions = pd.read_parquet(folder / "decisions-test.parquet")
    assert decisions["keep"].tolist() == [True, False]


def test_the_commit_is_named_where_the_source_is_still_the_experiments(settings):
    """As MLflow does it; checked against git itself."""
    made_now = experiment(4).model_dump() | {"code": code_of("sasrec", "none")}
    Store(settings.store).save(Experiment(**made_now), result(4))
    finish(settings.store, 1)  # its code is another
    sync(settings)
    where = Path(module.__file__).parent
    git = ["git", "-C", str(where), "rev-parse", "HEAD"]
    head = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    commits = {
        run.data.tags["bench.code"][:2]: run.data.tags.get("mlflow.source.git.commit", "")
        for run in of_kind(settings, "experiment")
    }
    assert commits == {"cc": "", made_now["code"][:2]: head}


def code_of(backbone, method):
    from bench.components import BACKBONES, METHODS
    from bench.plan.code_version import code_version

    return code_version([METHODS.get(method), BACKBONES.get(backbone), None])


def test_children_name_their_parents(synced):
    [run], [parent] = of_kind(synced, "run"), of_kind(synced, "study")
    for child in of_kind(synced, "experiment"):
        assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
    for child in of_kind(synced, "trial"):
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert "mlflow.parentRunId" not in {**run.data.tags, **parent.data.tags}


def test_a_run_has_its_specification_and_what_is_drawn(synced):
    [run] = of_kind(synced, "run")
    assert run.info.status == "FAILED"  # seed 3 did
    assert run.data.tags["bench.command"] == "bench run x.yaml"
    files = {entry.path for entry in client(synced).list_artifacts(run.info.run_id)}
    assert files == {"spec.yaml", "run.json", "table.md"}


def test_a_study_and_its_trials_say_how_each_ended(synced):
    states = {run.data.tags["bench.state"]: run for run in of_kind(synced, "trial")}
    assert {state: run.info.status for state, run in states.items()} == {
        "complete": "FINISHED",
        "pruned": "FINISHED",
        "failed": "FAILED",
        "surplus": "KILLED",
    }
    assert states["failed"].data.tags["bench.cause"] == "a cause"
    assert states["complete"].data.params["training.learning_rate"] == "1.0"
    assert states["complete"].data.metrics["objective/NDCG_10"] == pytest.approx(0.1)
    assert not [name for name in states["complete"].data.metrics if name.startswith("test/")]
    assert history(synced, states["pruned"], "validation/NDCG_10") == [(1, 0.1), (3, 3 * 0.1)]
    [parent] = of_kind(synced, "study")
    assert history(synced, parent, "best-after/NDCG_10") == [(1, 0.1), (2, 0.1), (3, 0.1)]


def test_a_study_that_went_on_is_completed(logged):
    [before] = of_kind(logged, "study")
    study(logged.store, 6)
    counts = sync(logged)
    assert (counts.logged, counts.left) == (3, 0)  # two trials, and the study again
    [after] = of_kind(logged, "study")
    assert after.info.run_id == before.info.run_id
    assert [step for step, _ in history(logged, after, "best-after/NDCG_10")] == [1, 2, 3, 4, 5]
    assert len(of_kind(logged, "trial")) == 6


def test_a_failed_experiment_that_finishes_later_is_the_same_run(logged):
    failed = runs(logged)["experiment", experiment(3).key]
    assert (failed.info.status, failed.data.tags["bench.cause"]) == ("FAILED", "the loss is NaN")
    finish(logged.store, 3)
    record(logged.store, {1: "reused", 2: "reused", 3: "finished"})
    sync(logged)
    finished = runs(logged)["experiment", experiment(3).key]
    assert finished.info.run_id == failed.info.run_id
    assert (finished.info.status, finished.data.tags["bench.cause"]) == ("FINISHED", "")
    assert finished.data.metrics["test/HR_1"] == 0.5


def test_a_run_whose_experiments_end_otherwise_is_logged_again(full):
    sync(full)
    record(full.store, {1: "failed", 2: "reused", 3: "finished"})
    assert sync(full).logged == 1
    assert sync(full).logged == 0


def test_artifacts_follow_a_store_that_was_moved(logged):
    finish(logged.store, 3)
    sync(logged)
    found = runs(logged)
    assert all(r.info.artifact_uri.startswith(logged.store.as_uri()) for r in found.values())
    name = found["experiment", experiment(3).key].info.run_id
    artifacts = logged.store / "tracking" / "artifacts" / name / "artifacts"
    assert (artifacts / "ranks-test.parquet").is_file()


def test_a_run_that_was_killed_says_so_and_one_that_lasts_too(settings):
    finish(settings.store, 1)
    key = record(settings.store, None)
    with Store(settings.store).locked(key):
        sync(settings)
        assert runs(settings)["run", key].info.status == "RUNNING"
    sync(settings)
    assert runs(settings)["run", key].info.status == "KILLED"
    record(settings.store, {1: "reused", 2: "finished", 3: "finished"})
    sync(settings)
    assert runs(settings)["run", key].info.status == "FINISHED"


METHODS = ("create_run", "log_batch", "log_artifacts", "set_terminated", "set_tag")


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("log_batch", 4),
        *(pytest.param(name, n, marks=pytest.mark.slow) for name in METHODS for n in (1, 3)),
    ],
)
def test_logging_cut_short_anywhere_is_completed(full, monkeypatch, method, call):
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
        sync(full)
    monkeypatch.setattr(MlflowClient, method, original)
    assert sync(full).left == 0
    assert len(runs(full)) == ITEMS
    for run in of_kind(full, "experiment"):
        if run.info.status == "FINISHED":
            assert [step for step, _ in history(full, run, "training/loss")] == [1, 2, 3]
    [parent] = of_kind(full, "study")
    assert [step for step, _ in history(full, parent, "best-after/NDCG_10")] == [1, 2, 3]


def test_an_item_that_cannot_be_logged_does_not_stop_the_others(full):
    folder = Store(full.store).load(experiment(1).key).folder
    (folder / "metadata.json").write_text("{")
    counts = sync(full)
    assert (counts.logged, counts.left) == (ITEMS - 1, 1)
    assert "metadata.json is missing or damaged" in counts.problem


def test_items_of_another_version_do_not_pass_for_mlflow_being_down(full):
    """A study and its four trials: more failures in a row than MLflow is given."""
    [record] = read_studies(full.store)
    unheard = {**record.about["experiment"], "unheard": 1}
    write_study(full.store, record.name, {**record.about, "experiment": unheard}, record.trials)
    finish(full.store, 4)  # is listed before the study and logged
    counts = sync(full)
    assert (counts.logged, counts.left) == (ITEMS - 5 + 1, 5)
    assert "unheard" in counts.problem


def test_mlflow_that_goes_down_in_the_middle_is_left_alone(full, monkeypatch):
    calls = []

    def refuses(self, *args, **kwargs):
        calls.append(1)
        raise MlflowException("connection refused")

    monkeypatch.setattr(MlflowClient, "log_batch", refuses)
    counts = sync(full)
    assert (counts.logged, counts.left) == (0, ITEMS)
    assert counts.problem.endswith("mlflow.db: connection refused")
    assert len(calls) <= 3


def test_an_experiment_of_two_stores_is_one_run(logged, tmp_path):
    """Two machines whose stores hold the same experiment, and one server."""
    other = replace(logged, store=tmp_path / "other", tracking_uri=destination(logged).uri)
    finish(other.store, 1, 2)
    counts = sync(other)
    assert (counts.logged, counts.left) == (2, 0)  # without a run of their own: no parent
    assert len(runs(logged)) == ITEMS


def test_of_two_runs_for_one_experiment_the_complete_one_stays(logged):
    there, whole = client(logged), runs(logged)["experiment", experiment(1).key]
    tags = {"bench.kind": "experiment", "bench.key": experiment(1).key}
    there.create_run(whole.info.experiment_id, start_time=1, tags=tags)
    assert sync(logged).logged == 0
    assert runs(logged)["experiment", experiment(1).key].info.run_id == whole.info.run_id


def test_what_somebody_deleted_in_mlflow_is_logged_again(logged):
    client(logged).delete_run(runs(logged)["experiment", experiment(1).key].info.run_id)
    assert sync(logged).logged == 1
    assert len(runs(logged)) == ITEMS


@pytest.mark.slow
def test_a_database_that_is_lost_is_filled_again(full, empty_database):
    sync(full)
    shutil.copyfile(empty_database, full.store / "tracking" / "mlflow.db")
    assert sync(full).logged == ITEMS


def test_a_deleted_experiment_is_named(logged):
    where = destination(logged)
    there = client(logged)
    there.delete_experiment(there.get_experiment_by_name(where.experiment).experiment_id)
    with pytest.raises(StoreError, match="is deleted; restore it, or set MLFLOW_EXPERIMENT_NAME"):
        sync(logged)


def test_another_process_that_logs_from_the_store_is_not_disturbed(full, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.0)
    seen = []

    def draw(root, keys, folder):  # drawn in the middle of the other's logging
        seen.append(sync(full))

    monkeypatch.setattr("bench.tracking.items.draw", draw)
    assert sync(full).logged == ITEMS
    [counts] = seen
    assert (counts.logged, counts.left) == (0, ITEMS)
    assert counts.problem == "another process logs from this store; try again later"


def test_one_experiment_is_logged_with_its_run_and_nothing_else(full):
    assert sync(full, keys={experiment(2).key}).logged == 2
    assert {name[1] for name in runs(full)} == {experiment(2).key, record_key(full)}
    assert sync(full, keys={experiment(3).key}).logged == 1
    assert len(runs(full)) == 3


def test_one_study_is_logged_with_its_trials(full):
    [found] = read_studies(full.store)
    assert sync(full, keys={found.about["key"]}).logged == 5
    assert sorted(kind for kind, _ in runs(full)) == ["study", *["trial"] * 4]


def record_key(settings):
    from bench.runs.record import read_records

    [found] = read_records(settings.store)
    return found.key


def test_a_further_failure_is_counted(logged):
    fail(logged.store, 3)
    assert sync(logged).logged == 1
    assert runs(logged)["experiment", experiment(3).key].data.tags["bench.attempts"] == "2"


@pytest.mark.slow
def test_a_store_may_have_any_name(tmp_path, settings):
    """The database and the artifacts are in it, and nothing is anywhere else."""
    name = "a?b %25c#d%3Fe"
    home = tmp_path / "odd"
    moved = replace(settings, store=home / name / "store")
    moved.store.parent.mkdir(parents=True)
    shutil.copytree(settings.store, moved.store)
    (moved.store / "tracking" / "mlflow.db").unlink()
    finish(moved.store, 1)
    assert sync(moved).logged == 1
    [run] = of_kind(moved, "experiment")
    artifacts = moved.store / "tracking" / "artifacts" / run.info.run_id / "artifacts"
    assert (artifacts / "ranks-test.parquet").is_file()
    assert [path.name for path in home.iterdir()] == [name]


LOG_ONE = """
import sys
from pathlib import Path
from bench.settings import Settings
from bench.tracking.sync import sync, sync_bounded
root = Path(sys.argv[1])
print(sync(Settings(store=root, data=root, cache=root)).left)
"""


def begin_sync(store):
    words = [sys.executable, "-c", LOG_ONE, str(store)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.process
@pytest.mark.slow
def test_two_processes_may_make_the_database_at_once(settings):
    shutil.rmtree(settings.store / "tracking")
    finish(settings.store, 1, 2)
    both = [begin_sync(settings.store) for _ in range(2)]
    assert [process.communicate(timeout=300) for process in both] == [("0\n", "")] * 2
    assert len(runs(settings)) == 2


@pytest.mark.process
@pytest.mark.slow
def test_a_process_killed_while_it_makes_the_database_leaves_none(settings):
    tracking = settings.store / "tracking"
    shutil.rmtree(tracking)
    finish(settings.store, 1)
    process = begin_sync(settings.store)
    while not list(tracking.glob(".mlflow.db.*.tmp")):  # it is at it
        assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    assert not (tracking / "mlflow.db").exists()
    assert sync(settings).logged == 1


@pytest.mark.parametrize("kind", ["dripping", "dripping headers"])
def test_a_server_that_drips_bytes_ends_a_sync(full, at, serve, monkeypatch, kind):
    monkeypatch.setattr(module, "STALL_SECONDS", 1.0)
    with pytest.raises(StoreError, match=r"MLflow at http://127.* accepted nothing for 1 s"):
        sync_bounded(at(serve(kind)), print)


def test_an_answer_without_end_is_cut_off(full, at, serve, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 2**20)
    with pytest.raises(StoreError, match="the server answers without end"):
        sync(at(serve("endless")), retries=0)


def test_an_answer_that_drips_is_cut_off(full, at, serve):
    with pytest.raises(StoreError, match="the server answers without end"):
        sync(at(serve("dripping")), timeout=1, retries=0)


def test_pages_without_end_are_cut_off(full, monkeypatch):
    monkeypatch.setattr(module, "MOST_PAGES", 3)
    page = PagedList([], "next")
    monkeypatch.setattr(MlflowClient, "search_runs", lambda *_, **__: page)
    with pytest.raises(StoreError, match="lists runs without end"):
        sync(full)


def test_a_bounded_sync_logs_and_raises_as_sync_does(full, at):
    seen = []
    assert sync_bounded(full, seen.append).logged == len(seen) == ITEMS
    with pytest.raises(ConfigError, match="BENCH_OFFLINE"):
        sync_bounded(at("https://mlflow.example.org", offline=True), print)


def test_a_package_that_artifacts_need_is_named(full, monkeypatch):
    def needs(*_):
        raise ModuleNotFoundError("No module named 'boto3'", name="boto3")

    monkeypatch.setattr(MlflowClient, "log_artifacts", needs)
    assert "needs the package 'boto3', which is not installed" in sync(full).problem


def change(settings, *statements):
    with closing(sqlite3.connect(settings.store / "tracking" / "mlflow.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


HALF = ("UPDATE alembic_version SET version_num = '451aebb31d03'",)
"""As a process leaves it that dies during one of MLflow's migrations."""


@pytest.mark.slow
def test_a_half_made_database_is_made_again(full):
    change(full, *HALF, "DROP TABLE trace_info")
    assert sync(full).logged == ITEMS
    assert len(runs(full)) == ITEMS


def test_a_database_with_runs_is_never_made_again(logged):
    change(logged, *HALF)
    with pytest.raises(StoreError, match="out-of-date database schema"):
        sync(logged)
    with closing(sqlite3.connect(logged.store / "tracking" / "mlflow.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (ITEMS,)


def test_the_database_of_another_program_is_left_as_it_is(full):
    database = full.store / "tuning" / "optuna.db"
    before = database.read_bytes()
    with pytest.raises(StoreError, match=r"optuna\.db is the database of another program"):
        sync(replace(full, tracking_uri=f"sqlite:///{database}"))
    assert database.read_bytes() == before


def test_a_damaged_database_is_named_at_once(full, monkeypatch):
    (full.store / "tracking" / "mlflow.db").write_bytes(b"no database" * 100)
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("MLflow tries again and again"))
    with pytest.raises(StoreError, match=r"mlflow\.db: file is not a database"):
        sync(full)


def test_a_store_that_does_not_exist_is_refused_and_not_made(tmp_path):
    said = refused("track", "sync", "--store", "rnus", cwd=tmp_path)
    assert said == "rnus does not exist; correct --store"
    assert not (tmp_path / "rnus").exists()
