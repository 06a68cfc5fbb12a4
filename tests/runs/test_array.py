"""Tasks of an array job and its driver, without Slurm: every experiment once, time, losses."""

import os
import pickle
import sys
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from command import CARD
from fake_experiments import begun, planned, result
from test_execute import Recorder, endings

from bench.api.execute import execute_spec
from bench.cli.options import chosen_engine
from bench.errors import BenchError, ConfigError, StoreError, TrainingError
from bench.files import write_text
from bench.plan.cluster import Slurm
from bench.plan.experiment import Computation
from bench.plan.progress import Progress
from bench.plan.spec import Spec
from bench.runs import claims, on_slurm
from bench.runs.execute import connect, execute
from bench.runs.on_slurm import ArrayPlan, ArrayTask, Clock, run_array_task
from bench.runs.run_one import ExecutionSettings
from bench.runs.store import Store
from bench.runs.workers import check_machine
from bench.settings import Settings

PLAN = tuple(planned(seed) for seed in (3, 2, 1))
KEYS = [one.experiment.key for one in PLAN]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(on_slurm, "LOOK", 0.01)
    monkeypatch.setattr(on_slurm, "ASK", 0.0)
    monkeypatch.setattr(on_slurm, "check_machine", lambda *_: None)  # made-up experiments


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store")
    made.prepare()
    made.share()
    return made


def array(store, function="logged", plan=PLAN, seconds=3600.0):
    settings = Settings.from_environment(store=store.root, device="cpu")
    names = (f"{__name__ if function in globals() else 'fake_experiments'}:{function}", "toys:load")
    failed = store.failed()
    return ArrayPlan(plan, ExecutionSettings(settings, (), *names, failed=failed), (), seconds)


def never():
    raise AssertionError("there is time enough")


def run(store, function="logged", index=0, clock=None, requeue=never, **more):
    given = array(store, function, **more)
    run_array_task(given, index, clock or Clock(given.seconds), requeue)


def test_tasks_share_a_plan_and_the_second_finds_nothing_left(store):
    run(store, index=1)
    assert begun(store.root) == ["started 2", "started 1", "started 3"]
    run(store, index=2)
    assert len(begun(store.root)) == 3
    assert all(store.has(key) for key in KEYS)


def test_what_another_task_runs_is_waited_for_one_lease_long(store, monkeypatch):
    monkeypatch.setattr(claims, "LEASE", 0.2)
    monkeypatch.setattr(claims, "BEAT", 0.01)
    with store.locked(KEYS[1]):
        run(store)
    assert begun(store.root) == ["started 3", "started 1"]
    run(store)
    assert begun(store.root) == ["started 3", "started 1", "started 2"]


def test_a_failure_is_recorded_once_with_its_traceback(store):
    for index in (0, 1):
        run(store, "fails_on_seed_2", index)
    failure = store.failure(KEYS[1])
    assert failure.attempts == 2  # each task was given the failures of its own beginning
    assert failure.cause.startswith("the loss is NaN")
    assert "Traceback" in failure.details
    given = array(store, "fails_on_seed_2")
    run_array_task(given, 0, Clock(1e9), never)
    run_array_task(given, 1, Clock(1e9), never)
    assert store.failure(KEYS[1]).attempts == 3
    assert store.has(KEYS[0])
    assert store.has(KEYS[2])


noted: list[tuple[int, int]] = []


def three_epochs(experiment, dataset, work, *, report, **given):
    """Train for three epochs with a checkpoint after each, and note them."""
    done = int((work / "checkpoint").read_text()) if (work / "checkpoint").exists() else 0
    for epoch in range(done + 1, 4):
        noted.append((experiment.seed, epoch))
        write_text(work / "checkpoint", str(epoch))
        report(Progress(experiment.label, epoch, 3, 0.5, 0.1, 0.1, 0.01))
    return result(experiment)


def test_a_task_whose_time_is_nearly_over_is_requeued_and_no_epoch_runs_twice(store):
    noted.clear()
    answers = [True, True, False, True, True, True, False]  # as often as it asks whether to go on

    class Watched(Clock):
        def allows(self, kind):
            return not answers or answers.pop(0)

    for _ in range(2):
        with pytest.raises(SystemExit):
            run(store, "three_epochs", clock=Watched(1.0), requeue=sys.exit)
        assert not any(claims.is_claimed(store.claims(key)) for key in KEYS)
    run(store, "three_epochs", clock=Watched(1.0))
    assert noted == [(seed, epoch) for seed in (3, 2, 1) for epoch in (1, 2, 3)]
    assert all(claims.not_given_back(store.claims(key)) == 0 for key in KEYS)
    assert all(store.has(key) for key in KEYS)


def test_a_step_needs_half_again_the_longest_of_its_kind(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(on_slurm.time, "monotonic", lambda: now[0])
    clock = Clock(60.0)

    def after(seconds):
        now[0] += seconds

    assert clock.allows("a")  # nothing is known
    clock.start()
    after(10)
    clock.step("a")
    after(4)
    clock.step("a")  # 46 seconds are left, 1.5 times 10 are needed
    after(30.9)
    assert clock.allows("a")  # 15.1 left
    assert clock.allows("b")  # as the longest known
    after(0.2)
    assert not clock.allows("a")
    assert not clock.allows("b")
    clock.start()
    after(1)
    clock.step("b")
    assert clock.allows("b")  # 13.9 left, 1.5 needed
    assert not clock.allows("a")


def test_a_task_in_whose_time_no_epoch_ends_says_so(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(on_slurm.time, "monotonic", lambda: now[0])
    clock = Clock(60.0)
    now[0] = 29.0
    assert not clock.is_stuck()  # sent away early, to make room for others
    now[0] = 31.0
    assert clock.is_stuck()
    clock.step("a")
    assert not clock.is_stuck()
    task = ArrayTask("plan.json")
    task._clock = SimpleNamespace(is_stuck=lambda: True)
    with pytest.raises(TrainingError, match="no epoch ended within the time of an array task"):
        task.checkpoint()


def test_a_task_after_a_requeue_is_the_same_task(tmp_path):
    again = pickle.loads(pickle.dumps(ArrayTask(tmp_path / "plan.json"))).checkpoint()
    assert again.function._path == tmp_path / "plan.json"


def test_the_plan_comes_back_as_it_was_written(store):
    given = array(store, plan=(planned(1, epochs=7), planned(2, source="./card.yaml")))
    back = on_slurm._ADAPTER.validate_json(on_slurm._ADAPTER.dump_json(given))
    assert back == given
    assert [one.experiment.key for one in back.plan] == [one.experiment.key for one in given.plan]


def lost(store, key, count):
    """Let so many tasks die with an experiment."""
    folder = store.claims(key)
    folder.mkdir(exist_ok=True)
    for number in range(count):
        path = folder / str(number)
        path.touch()
        then = path.stat().st_mtime - claims.LEASE - 1
        os.utime(path, (then, then))


def test_an_experiment_outlives_two_lost_tasks_but_not_three(store):
    lost(store, KEYS[0], on_slurm.MOST_LOSSES)
    lost(store, KEYS[1], on_slurm.MOST_LOSSES + 1)
    run(store)
    assert begun(store.root) == ["started 3", "started 1"]
    assert store.failure(KEYS[1]).cause == "the tasks that ran it were lost; see their logs"
    run(store)  # given again, it is tried again
    assert begun(store.root) == ["started 3", "started 1", "started 2"]


def test_a_full_disk_ends_the_task_and_records_no_failure(store):
    with pytest.raises(StoreError, match="No space left on device"):
        run(store, "no_space_for_seed_2")
    assert store.failed() == {}
    assert store.status(KEYS[1]) == "partial"


def test_a_machine_with_other_code_is_refused():
    with pytest.raises(
        ConfigError, match=r"has different code from that which toy/sasrec/none/seed 1 was planned"
    ):
        check_machine(planned(1).experiment, Settings.from_environment({}))


class FakeSlurm:
    """What the driver sees of a cluster: tasks run when the queue is asked about."""

    def __init__(self, monkeypatch, function=None):
        self.asked, self.parameters, self.jobs, self.waiting = [], {}, 0, []
        self.function, self.alive, self.log = function, "", ""
        monkeypatch.setattr(on_slurm, "_ask", self.ask)
        library = SimpleNamespace(SlurmExecutor=self)
        monkeypatch.setattr(on_slurm, "from_extra", lambda *_: library)

    def __call__(self, folder, max_num_timeout):
        self.folder = folder
        return self

    def update_parameters(self, **parameters):
        self.parameters = parameters

    def submit_array(self, tasks):
        self.jobs += 1
        self.waiting = [*tasks]
        self.alive = f"{self.jobs}\n"
        return [SimpleNamespace(job_id=f"{self.jobs}_{n}") for n in range(len(tasks))]

    def ask(self, *command):
        self.asked.append(command)
        if command[0] == "squeue" and self.waiting:
            for index, task in enumerate(self.waiting):
                given = on_slurm._ADAPTER.validate_json(task._path.read_bytes())
                (self.function or run_array_task)(given, index, Clock(1e9), never)
            self.waiting, self.alive = [], ""
            if self.log:
                (self.folder / "1_log.err").write_text(self.log)
        return self.alive


def drive(store, slurm=None, function="logged", count=None, recorder=None, **values):
    settings = Settings.from_environment(store=store.root, device="cpu", threads=2)
    names = (f"fake_experiments:{function}", "toys:load")
    with connect(slurm or Slurm(**values), settings, count) as engine:
        execution = ExecutionSettings(settings, (), *names, run="a" * 64)
        return execute(PLAN, execution, recorder or Recorder(), engine=engine)


def test_the_driver_submits_one_array_and_shows_what_its_tasks_do(tmp_path, monkeypatch, caplog):
    store, recorder = Store(tmp_path), Recorder()
    cluster = FakeSlurm(monkeypatch)
    values = {"partition": "p", "memory": "2G", "gpus": 1, "options": {"account": "me"}}
    outcomes = drive(store, time=90.5, recorder=recorder, **values)
    assert endings(outcomes) == ["finished"] * 3
    assert sorted(begun(tmp_path)) == ["started 1", "started 2", "started 3"]
    for one in PLAN:  # an epoch that the driver missed is in the curve
        heard = [what for what, label in recorder.seen if label == one.experiment.label]
        assert heard == ["started", 2, "finished"]
    assert cluster.parameters == {
        "job_name": "bench-aaaaaaaaaaaa",
        "time": 91,
        "cpus_per_task": 2,
        "signal_delay_s": 120,
        "partition": "p",
        "mem": "2G",
        "gpus_per_node": 1,
        "additional_parameters": {"requeue": True, "account": "me"},
    }
    assert "array job 1 of 3 tasks keeps running if this command ends" in caplog.text
    assert cluster.asked[-1] == ("scancel", "1")


def test_the_driver_shows_progress_and_attaches_to_an_array(store, monkeypatch, caplog):
    cluster, recorder = FakeSlurm(monkeypatch), Recorder()
    cluster.alive = "7\n"
    label = PLAN[0].experiment.label
    report = iter(range(1, 3))

    def works(*command):
        cluster.asked.append(command)
        epoch = next(report, None)
        if epoch:  # as a task does that has the claim
            progress = Progress(label, epoch, 2, 0.5, 0.1, 0.1, 0.01)
            on_slurm.write_json(store.work(KEYS[0]) / on_slurm.PROGRESS, vars(progress))
        elif not store.has(KEYS[0]):
            run(store)
        return cluster.alive

    monkeypatch.setattr(on_slurm, "_ask", works)
    (store.claims(KEYS[0])).mkdir(parents=True)
    holder = store.claims(KEYS[0]) / "0"
    holder.touch()
    threading.Timer(0.5, lambda: os.utime(holder, (0, 0))).start()
    assert endings(drive(store, recorder=recorder)) == ["finished"] * 3
    heard = [what for what, name in recorder.seen if name == label]
    assert heard[0] == "started"
    assert heard[-1] == "finished"
    assert 2 in heard
    assert cluster.jobs == 0
    assert "this run has array job 7 already" in caplog.text


def test_what_an_array_has_left_is_submitted_again_with_what_failed_before(store, monkeypatch):
    def first_only(given, index, clock, requeue):
        if index == 0:
            one = given.plan[:1]
            run_array_task(ArrayPlan(one, *list(vars(given).values())[1:]), 0, clock, requeue)

    store.record_failure(PLAN[2].experiment, "it failed before")
    cluster = FakeSlurm(monkeypatch, first_only)
    assert endings(drive(store, count=2)) == ["finished"] * 3
    assert cluster.jobs == 3


def test_an_array_that_gets_nowhere_is_not_submitted_again(store, monkeypatch):
    cluster = FakeSlurm(monkeypatch, lambda *_: None)
    cluster.log = (
        "Traceback\nbench.errors.ConfigError: vm has other code\nsrun: error: vm: task 0\n"
    )
    with pytest.raises(
        BenchError,
        match=r"array job 1 ended and left 3 experiments: .*ConfigError: vm has other code",
    ):
        drive(store)
    assert cluster.jobs == 1


def test_an_interrupted_driver_says_what_becomes_of_the_job(store, monkeypatch, caplog):
    def interrupted(*_):
        raise KeyboardInterrupt

    cluster = FakeSlurm(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        drive(store)
    assert caplog.messages[-1] == "array job 1 continues; to cancel it: scancel 1"
    assert ("scancel", "1") not in cluster.asked


def test_without_slurm_or_submitit_it_is_one_sentence(monkeypatch):
    settings = Settings.from_environment({})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ConfigError, match="command 'squeue' not found; run where Slurm is installed"
    ):
        connect(Slurm(), settings)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match="install bench with its extra 'slurm'"):
        connect(Slurm(), settings)


def test_flags_complete_the_settings_of_a_specification():
    given = {"partition": "cpu", "time": 30, "account": "ours", "qos": "low"}
    spec = Spec.parse({"datasets": ["planted"], "slurm": given}, "spec.yaml")
    assert spec.slurm.options == {"account": "ours", "qos": "low"}
    assert Spec.parse(spec.plain(), "again") == spec
    found = Slurm.parse({"time": 5, "account": "mine"}, "--slurm").over(spec.slurm)
    assert (found.partition, found.time, found.gpus) == ("cpu", 5, 0)
    assert found.options == {"account": "mine", "qos": "low"}
    assert Slurm().over(None) == Slurm()
    with pytest.raises(ConfigError, match=r"--slurm: key 'time' = 'long'"):
        Slurm.parse({"time": "long"}, "--slurm")


def test_flags_choose_an_array():
    found = chosen_engine("slurm", gpus=1, slurm=["time=30", "account=me"])
    assert found == Slurm(time=30, gpus=1, options={"account": "me"})
    assert chosen_engine() is None
    with pytest.raises(ConfigError, match="--slurm needs --on slurm; add it"):
        chosen_engine(slurm=["time=30"])
    with pytest.raises(ConfigError, match=r"'time' is not key=value; .* --slurm time=60"):
        chosen_engine("slurm", slurm=["time"])
    with pytest.raises(ConfigError, match="--ray-address needs --on ray"):
        chosen_engine("slurm", ray_address="auto")
    with pytest.raises(ConfigError, match="--gpus is for a cluster; use --device cuda"):
        chosen_engine(gpus=1)
    with pytest.raises(ConfigError, match="'time' is given twice"):
        chosen_engine("slurm", slurm=["time=3", "time=4"])
    with pytest.raises(ConfigError, match="'options'"):
        chosen_engine("slurm", slurm=["options=3", "account=me"])


def test_experiments_for_nodes_with_gpus_have_the_keys_of_gpus(tmp_path, monkeypatch):
    seen = {}

    def execute(plan, execution, *_, **__):
        seen.update(plan=plan, execution=execution)
        return []

    monkeypatch.setattr("bench.api.execute.execute", execute)
    engine = nullcontext(SimpleNamespace(count=9))
    monkeypatch.setattr("bench.api.execute.connect", lambda *_: engine)
    (tmp_path / "card.yaml").write_text(CARD)
    grid = {"datasets": [str(tmp_path / "card.yaml")], "backbones": ["gru4rec"]}
    settings = Settings.from_environment(store=tmp_path / "store", track=False)
    execute_spec(Spec.parse(grid, "spec.yaml"), settings, on=Slurm(gpus=1))
    [one] = seen["plan"]
    assert one.experiment.computation == Computation(device="cuda", threads=None)
    assert seen["execution"].settings.device == "cuda"
    record = next((tmp_path / "store" / "runs").iterdir())
    assert record.stem.endswith(seen["execution"].run[:12])
