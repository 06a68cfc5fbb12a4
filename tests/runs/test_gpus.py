"""Several GPUs: who shares one, and that every experiment runs once, without a GPU."""

import threading
from dataclasses import replace
from multiprocessing import Pipe

import pytest
from fake_experiments import planned, result
from hypothesis import given
from hypothesis import strategies as st
from test_execute import Recorder, endings

from bench.runs import workers as pool
from bench.runs.execute import execute
from bench.runs.on_gpus import CONTEXT, Gpus, place
from bench.runs.run_one import ExecutionSettings, run_one
from bench.runs.store import Store
from bench.settings import Settings

GIB = 2**30


@pytest.mark.parametrize(
    ("need", "free", "running", "chosen"),
    [
        (None, [8, 8], [0, 0], 0),
        (None, [8, 8], [1, 0], 1),
        (None, [8, 8], [1, 1], None),  # whoever is not measured shares with nobody
        (4, [0, 8], [1, 1], 1),
        (4, [3, 3], [1, 2], None),
        (4, [5, 4], [2, 1], 1),  # the fewer experiments
        (4, [5, 6], [1, 1], 1),  # the more room
        (9, [8], [0], 0),  # nowhere will there be more
    ],
)
def test_a_gpu_is_chosen_by_what_is_measured(need, free, running, chosen):
    assert place(need, dict(enumerate(free)), dict(enumerate(running))) == chosen


@given(
    st.one_of(st.none(), st.integers(0, 20)),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), min_size=1, max_size=6),
)
def test_no_room_is_given_that_is_not_there(need, gpus):
    free, running = zip(*gpus, strict=True)
    chosen = place(need, dict(enumerate(free)), dict(enumerate(running)))
    possible = {n for n, (left, count) in enumerate(gpus) if count == 0 or (need or 99) <= left}
    possible |= {n for n in range(len(gpus)) if need == 0}
    assert (chosen in possible) if possible else chosen is None


def test_a_kind_is_everything_but_the_seed():
    kinds = {planned(seed).experiment.kind for seed in (1, 2, 3)}
    assert len(kinds) == 1
    assert planned(1, "hsd").experiment.kind not in kinds
    assert planned(1, epochs=3).experiment.kind not in kinds


def takes(experiment, dataset, work, *, report, **given):
    """Have taken as many GiB of a GPU as the method's name has letters."""
    done = result(experiment)
    peak = len(experiment.method) * GIB
    return replace(done, metadata=done.metadata.model_copy(update={"peak_gpu_bytes": peak}))


class FakeProcess:
    """Runs a task when its message is received."""

    log: list[tuple[int, str]] = []

    def __init__(self, execution, gpu):
        self.execution, self.gpu, self.task = execution, gpu, None
        self.connection, self.remote = Pipe()

    def give(self, task):
        self.task = task
        self.log.append((self.gpu, task.planned.experiment.label))
        threading.Timer(0.1, self.remote.send, [None]).start()

    def receive(self):
        self.connection.recv()
        outcome = run_one(self.task.planned, self.execution, lambda: None, lambda _: True)
        self.task = None
        return outcome

    def stop(self):
        self.connection.close()


def test_experiments_share_gpus_once_one_of_their_kind_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "PAUSE", 0.0)
    FakeProcess.log.clear()
    store = Store(tmp_path)
    memory = {2: 40 * GIB, 5: 12 * GIB}
    plan = [planned(seed, method) for seed in (1, 2, 3) for method in ("ssdrec", "hsd")]
    engine = Gpus(memory, store, 4, FakeProcess)
    together = []
    allot = engine.allot

    def watched(experiment):
        chosen = allot(experiment)
        together.append([*engine._allotted.values()])
        return chosen

    monkeypatch.setattr(engine, "allot", watched)
    settings = Settings.from_environment(store=tmp_path, device="cpu")
    execution = ExecutionSettings(settings, (), f"{__name__}:takes", "toys:load")
    assert endings(execute(plan, execution, Recorder(), engine=engine)) == ["finished"] * 6
    assert len(FakeProcess.log) == 6
    assert {gpu for gpu, _ in FakeProcess.log[:2]} == {2, 5}
    # 1.25 times 6 and 3 GiB, and a context each
    needs = {"ssdrec": int(7.5 * GIB) + CONTEXT, "hsd": int(3.75 * GIB) + CONTEXT}
    assert engine._needs == {planned(1, name).experiment.kind: need for name, need in needs.items()}
    for state in together:
        for gpu, total in memory.items():
            assert sum(size for other, size in state if other == gpu) <= total
    assert max(len(state) for state in together) > len(memory)
    assert not engine._allotted
    later = Gpus(memory, store, 4, FakeProcess)  # what a store knows need not be measured again
    assert later._needs == engine._needs


@pytest.mark.gpu
def test_a_gpu_in_a_process_of_its_own(tmp_path):
    import torch
    from command import CARD, printed

    from bench.runs.on_gpus import visible_gpus

    if not torch.cuda.is_available():
        pytest.skip("no GPU is visible to torch")
    assert len(visible_gpus("cuda")) == torch.cuda.device_count()
    (tmp_path / "card.yaml").write_text(CARD)
    words = ("--dataset", "./card.yaml", "--backbone", "gru4rec", "--seeds", "1-4")
    flags = ("--device", "cuda", "--set", "epochs=2", "--jobs", "2")
    printed("run", *words, *flags, cwd=tmp_path)
    found = list(Store(tmp_path / "runs").experiments())
    assert len(found) == 4
    assert all(stored.metadata.peak_gpu_bytes for stored in found)
