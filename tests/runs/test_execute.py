"""Executors with injected experiments: failures, reuse, threads, death, order."""

import errno
import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest
from fake_experiments import begun, planned

from bench.errors import BenchError, ConfigError, StoreError
from bench.plan.cluster import Cluster
from bench.plan.progress import Progress
from bench.runs import execute as execution
from bench.runs import workers as pool
from bench.runs.execute import connect, default_workers, execute
from bench.runs.run_one import ExecutionSettings, run_one
from bench.runs.store import Store
from bench.settings import Settings

SEEDS = (3, 2, 1)
BOTH = pytest.mark.parametrize("workers", [1, 2], ids=["serial", "pool"])
SLOW_POOL = pytest.mark.parametrize(
    "workers", [1, pytest.param(2, marks=pytest.mark.slow)], ids=["serial", "pool"]
)


def run(root, function="fine", workers=1, plan=None, reporter=None, keep=(), **more):
    plan = [planned(seed) for seed in SEEDS] if plan is None else plan
    settings = Settings.from_environment(store=root, device="cpu", threads=3)
    names = (f"fake_experiments:{function}", "toys:load")
    execution = ExecutionSettings(settings, keep, *names)
    return execute(plan, execution, reporter or Recorder(), workers=workers, **more)


def endings(outcomes):
    return [outcome.ending for outcome in outcomes]


class Recorder:
    def __init__(self):
        self.seen = []

    def started(self, label):
        self.seen.append(("started", label))

    def advanced(self, progress: Progress, seconds_left):
        self.seen.append((progress.epoch, progress.label))

    def ended(self, label, note, seconds_left):
        self.seen.append((note, label))


@BOTH
def test_every_experiment_runs_once_and_then_never_again(tmp_path, workers):
    first = run(tmp_path, "logged", workers)
    assert endings(first) == ["finished"] * 3
    assert [outcome.label[-1] for outcome in first] == ["3", "2", "1"]
    assert endings(run(tmp_path, "logged", workers)) == ["reused"] * 3
    assert sorted(begun(tmp_path)) == ["started 1", "started 2", "started 3"]


@SLOW_POOL
def test_a_reporter_hears_each_experiment_from_start_to_end(tmp_path, workers):
    recorder = Recorder()
    run(tmp_path, workers=workers, reporter=recorder)
    for seed in SEEDS:
        label = planned(seed).experiment.label
        heard = [what for what, name in recorder.seen if name == label]
        assert heard == ["started", 1, 2, "finished"]


@BOTH
def test_a_failure_is_recorded_the_others_go_on_and_it_is_tried_again(tmp_path, workers):
    outcomes = run(tmp_path, "fails_on_seed_2", workers)
    assert endings(outcomes) == ["finished", "failed", "finished"]
    assert outcomes[1].cause == "the loss is NaN in epoch 1; lower training.learning_rate"
    failure = Store(tmp_path).failure(outcomes[1].key)
    assert failure.cause == outcomes[1].cause
    assert "Traceback" in failure.details
    assert endings(run(tmp_path, "fails_on_seed_2", workers)) == ["reused", "failed", "reused"]
    assert Store(tmp_path).failure(outcomes[1].key).attempts == 2
    assert endings(run(tmp_path, "fine", workers)) == ["reused", "finished", "reused"]
    assert Store(tmp_path).failure(outcomes[1].key) is None


def test_a_worker_that_is_killed_fails_its_own_experiment_only(tmp_path):
    outcomes = run(tmp_path, "dies_on_seed_2", 2, [planned(seed) for seed in (2, 1, 3, 4)])
    assert endings(outcomes) == ["failed", "finished", "finished", "finished"]
    assert "worker process died (signal SIGKILL); the system may be short" in outcomes[0].cause
    assert Store(tmp_path).failure(outcomes[0].key).cause == outcomes[0].cause
    with Store(tmp_path).locked(outcomes[0].key) as free:
        assert free


def test_a_worker_killed_before_it_keeps_what_was_asked_for_has_not_finished(tmp_path):
    plan = [planned(2), planned(1)]
    run(tmp_path, "fine", 1, plan)
    outcomes = run(tmp_path, "dies_on_seed_2", 2, plan, keep=("weights",))
    assert endings(outcomes) == ["failed", "finished"]


@pytest.mark.parametrize("part", ["Pipe", "Process.start"])
def test_a_worker_process_that_cannot_start_is_one_sentence(tmp_path, monkeypatch, part):
    def refuse(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(f"bench.runs.workers._CONTEXT.{part}", refuse)
    with pytest.raises(BenchError) as caught:
        run(tmp_path, workers=2)
    assert str(caught.value) == (
        "cannot start a worker process: Too many open files; run with --jobs 1, or raise the "
        "system's limits ('ulimit -n', 'ulimit -u')"
    )
    assert list(Store(tmp_path).failures()) == []


@pytest.mark.parametrize("experiment", ["no_memory", "torch_no_memory"])
def test_too_little_memory_is_a_failed_experiment(tmp_path, experiment):
    [outcome] = run(tmp_path, experiment, plan=[planned()])
    assert outcome.cause.startswith("out of memory (")
    assert outcome.cause.endswith("); lower training.batch_size or the model's sizes")
    assert "\n" not in outcome.cause


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        ("returns_weights", "denoise returned keep as float32; return booleans"),
        ("returns_no_scores", "denoise returned a score that is not finite"),
        ("ranks_the_padding_too", "return one row for each item from item_vectors"),
        ("reports_an_object", "Metadata: diagnostics.edges: "),
    ],
)
def test_what_a_method_must_not_return_is_named_and_not_stored(tmp_path, experiment, said):
    [outcome] = run(tmp_path, experiment, plan=[planned()])
    assert outcome.ending == "failed"
    assert said in outcome.cause
    assert not list(Store(tmp_path).experiments())


@SLOW_POOL
def test_an_experiment_has_the_threads_that_were_asked_for(tmp_path, workers):
    outcomes = run(tmp_path, "says_its_threads", workers)
    store = Store(tmp_path)
    assert {store.load(outcome.key).metadata.threads for outcome in outcomes} == {3}


def test_experiments_at_once_fit_cores_and_memory(monkeypatch):
    monkeypatch.setattr(execution, "available_cpus", lambda: 8)
    free = 64 * 2**30
    monkeypatch.setattr(execution.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    assert default_workers(1) == 8
    assert default_workers(3) == 2
    assert default_workers(16) == 1
    free = 5 * 2**30
    assert default_workers(1) == 2
    free = 0
    assert default_workers(1) == 1


def test_data_that_changed_since_the_plan_fail_the_experiment(tmp_path):
    experiment = planned().experiment.model_copy(update={"fingerprint": "0" * 64})
    [outcome] = run(tmp_path, plan=[type(planned())(experiment, "toy")])
    assert outcome.cause == "data set 'toy' changed during the run; run the command again"


@SLOW_POOL
def test_an_experiment_that_another_process_finishes_is_taken_from_it(
    tmp_path, workers, monkeypatch
):
    import threading

    from fake_experiments import result

    store = Store(tmp_path)
    store.prepare()
    experiment = planned(2).experiment
    held, done = threading.Event(), threading.Event()

    def other():
        with store.locked(experiment.key):
            held.set()
            done.wait(30)
            store.save(experiment, result(experiment))

    class FreesIt(Recorder):
        def ended(self, label, note, seconds_left):
            super().ended(label, note, seconds_left)
            if len([1 for what, _ in self.seen if what == "finished"]) == 2:
                done.set()

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(30)
    reporter = FreesIt()
    outcomes = run(tmp_path, "logged", workers, reporter=reporter)
    thread.join()
    assert endings(outcomes) == ["finished", "reused", "finished"]
    assert "started 2" not in begun(tmp_path)


def test_a_failure_that_a_concurrent_run_records_is_not_repeated(tmp_path):
    store, failing = Store(tmp_path), planned(1).experiment
    store.prepare()
    store.record_failure(failing, "it failed earlier")

    class AnotherRun(Recorder):
        def started(self, label):
            store.record_failure(failing, "it failed elsewhere")

    outcomes = run(tmp_path, plan=[planned(3), planned(1)], reporter=AnotherRun())
    assert endings(outcomes) == ["finished", "failed"]
    assert outcomes[1].cause == "it failed elsewhere"


def test_a_failure_of_an_earlier_run_whose_clock_was_ahead_is_tried_again(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        now = time.time()
        patch.setattr("bench.runs.store.time.time", lambda: now + 1e6)
        run(tmp_path, "fails_on_seed_2")
    assert endings(run(tmp_path, "fine")) == ["reused", "finished", "reused"]


@BOTH
def test_a_disk_that_is_full_stops_the_run_and_what_has_begun_continues(tmp_path, workers):
    message = r"seed 2: cannot write .*: No space left on device; .*; then run the same command"
    with pytest.raises(StoreError, match=message):
        run(tmp_path, "no_space_for_seed_2", workers)
    store = Store(tmp_path)
    assert list(store.failures()) == []
    assert store.status(planned(2).experiment.key) == "partial"
    assert "started 1" not in begun(tmp_path)  # those behind it lose nothing
    run(tmp_path, "logged", workers)
    assert "resumed 2" in begun(tmp_path)


def test_an_interrupted_experiment_goes_on_next_time(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "interrupted", plan=[planned()])
    assert Store(tmp_path).status(planned().experiment.key) == "partial"
    run(tmp_path, "logged", plan=[planned()])
    assert begun(tmp_path) == ["resumed 1"]
    assert Store(tmp_path).status(planned().experiment.key) == "done"


def test_checkpoints_left_by_a_run_killed_right_after_saving_are_removed(tmp_path):
    run(tmp_path, plan=[planned()])
    work = Store(tmp_path).work(planned().experiment.key)
    work.mkdir()
    (work / "checkpoint").touch()
    run(tmp_path, plan=[planned()])
    assert not work.exists()


@SLOW_POOL
def test_a_store_that_fails_altogether_stops_the_run(tmp_path, workers):
    with pytest.raises(StoreError, match=r"cannot write .*failures"):
        run(tmp_path, "ruins_the_store", workers)


def test_an_experiment_that_does_not_import_is_named(tmp_path):
    with pytest.raises(ConfigError, match="has no 'absent'"):
        run(tmp_path, "absent", plan=[planned()])


class ShakyWorker:
    """Runs a task at once; before that it dies or is withdrawn as often as its engine says."""

    def __init__(self, engine, settings):
        self.engine, self.settings, self.task = engine, settings, None

    def give(self, task):
        self.task = task

    def answer(self, goes_on):
        assert goes_on

    def receive(self):
        if self.engine.answers:
            return self.engine.answers.pop()
        outcome = run_one(self.task.planned, self.settings, lambda: None, lambda _: True)
        self.task = None
        return outcome

    def cause_of_death(self):
        return "lost"

    def stop(self):
        self.engine.stopped += 1


class ShakyEngine:
    count, losses = 1, 2

    def __init__(self, *answers):
        self.answers, self.stopped = [*answers], 0

    def start(self, settings):
        return ShakyWorker(self, settings)

    def ready(self, workers, seconds):
        return [worker for worker in workers if worker.task]


@pytest.mark.parametrize(
    ("answers", "ending"),
    [
        ([None, None], "finished"),
        ([None, None, None], "failed"),
        (["withdrawn"] * 4, "finished"),
        (["withdrawn", None, "withdrawn", None], "finished"),
    ],
)
def test_the_task_of_a_lost_worker_is_handed_out_again(tmp_path, monkeypatch, answers, ending):
    monkeypatch.setattr(pool, "PAUSE", 0.0)
    engine = ShakyEngine(*answers)
    [outcome] = run(tmp_path, plan=[planned(1)], engine=engine)
    assert outcome.ending == ending
    assert outcome.cause == ("lost" if ending == "failed" else "")
    assert Store(tmp_path).has(outcome.key) == (ending == "finished")
    assert engine.stopped == len(answers) + (ending == "finished")


def test_a_cluster_without_ray_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="install bench with its extra 'ray'"):
        connect(Cluster(), Settings.from_environment({}))


@pytest.mark.slow
@pytest.mark.process
def test_a_worker_that_only_begins_leaves_ctrl_c_to_its_parent(tmp_path):
    """It would print a traceback of whatever it was importing."""
    worker = pool.Process(ExecutionSettings(Settings.from_environment(store=tmp_path)))
    os.kill(worker._process.pid, signal.SIGINT)
    worker.connection.close()  # nothing more to do
    worker._process.join()
    assert worker._process.exitcode == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
