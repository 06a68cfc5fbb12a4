"""The results store: whole folders, honest status, sentences instead of tracebacks."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_experiments import decisions, planned, ranks, result

from bench.errors import ConfigError, StoreError, WriteError
from bench.manifest import MANIFEST, seal
from bench.plan.protocol import PHASES
from bench.plan.result import TopLists
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable
from bench.runs.verify import StoreCheck, check_store

EXPERIMENT = planned().experiment


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store")
    made.prepare()
    return made


@pytest.fixture
def stored(store):
    store.save(EXPERIMENT, result(EXPERIMENT))
    return store.load(EXPERIMENT.key)


def same(left, right):
    pairs = zip(left.columns().items(), right.columns().items(), strict=True)
    return all(a == b and x.dtype == y.dtype and np.array_equal(x, y) for (a, x), (b, y) in pairs)


def sealed(folder):
    """Make the checksums of changed files those of the manifest."""
    (folder / MANIFEST).unlink()
    seal(folder)


def test_an_experiment_comes_back_as_it_was_saved(stored):
    assert stored.experiment == EXPERIMENT
    assert stored.key == EXPERIMENT.key == stored.experiment.key
    assert same(stored.ranks("validation"), ranks(1))
    assert same(stored.ranks("test"), ranks(101))
    assert same(stored.decisions("train"), decisions())
    assert stored.decisions("test") is None
    assert (stored.metadata.parameters, stored.metadata.best_metric) == (12, None)  # NaN is null
    assert stored.curve == result(EXPERIMENT).curve
    assert stored.seconds == 5.0


def test_the_folder_says_what_it_holds(stored):
    folder = stored.folder
    assert folder.name == f"toy-sasrec-none-seed-1-{EXPERIMENT.key[:12]}"
    assert sorted(path.name for path in folder.iterdir()) == [
        "curve.json",
        "decisions-train.parquet",
        "experiment.json",
        "manifest.json",
        "metadata.json",
        "ranks-test.parquet",
        "ranks-validation.parquet",
    ]


def test_reading_an_experiment_does_not_import_torch(store):
    store.save(EXPERIMENT, result(EXPERIMENT))
    script = (
        "import sys; from pathlib import Path; from bench.runs.store import Store\n"
        "[stored] = Store(Path(sys.argv[1])).experiments(); stored.ranks('test'); stored.metadata\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(store.root)], check=True)


def test_status_from_missing_to_done(store):
    key = EXPERIMENT.key
    assert store.status(key) == "missing"
    store.work(key).mkdir()
    assert store.status(key) == "missing"
    (store.work(key) / "checkpoint").touch()
    assert store.status(key) == "partial"
    store.record_failure(EXPERIMENT, "it broke")
    assert store.status(key) == "failed"
    store.save(EXPERIMENT, result(EXPERIMENT))
    assert store.status(key) == "done"
    assert store.failure(key) is None
    assert not store.work(key).exists()


def test_failures_are_counted_and_listed(store):
    other = type(EXPERIMENT)(**{**EXPERIMENT.model_dump(), "seed": 7})
    store.record_failure(EXPERIMENT, "first", "Traceback...")
    store.record_failure(EXPERIMENT, "second")
    store.record_failure(other, "third")
    (store.root / "failures" / ".b.json.99.0123abcd.tmp").touch()  # a killed run left it
    causes = {EXPERIMENT.key: "second", other.key: "third"}
    assert [(key, failure.cause) for key, failure in store.failures()] == sorted(causes.items())
    failure = store.failure(EXPERIMENT.key)
    assert (failure.label, failure.method) == (EXPERIMENT.label, EXPERIMENT.method)
    assert (failure.cause, failure.attempts, failure.details) == ("second", 2, "")


def test_a_failure_about_a_file_whose_name_is_not_utf8_can_be_read(store):
    store.record_failure(EXPERIMENT, "cannot read caf\udce9.csv", "Traceback: caf\udce9.csv")
    failure = store.failure(EXPERIMENT.key)
    assert failure.cause == "cannot read caf\ufffd.csv"
    assert failure.details == "Traceback: caf\ufffd.csv"


def test_a_record_that_is_no_failure_is_named(store):
    (store.root / "failures" / "k.json").write_text('{"reason": "of a newer version"}')
    with pytest.raises(StoreError, match=r"k.json is missing or damaged \(.*\); delete it"):
        store.failure("k")


def age(path):
    """Let a file or folder look two days old."""
    then = path.stat().st_mtime - 2 * 86_400
    os.utime(path, (then, then))
    return path


def temporaries(store, experiment):
    """What a process leaves in a store if it is killed at the worst moments."""
    key = experiment.key
    folder = store.root / "experiments" / f".toy-{key[:12]}.99.0123abcd.tmp"
    folder.mkdir()
    store.work(key).mkdir()
    files = [
        store.root / "failures" / f".{key}.json.99.0123abcd.tmp",
        store.work(key) / ".checkpoint.safetensors.99.0123abcd.tmp",
    ]
    for path in files:
        path.touch()
    return [folder, *files]


def test_leftovers_of_a_killed_run_are_no_experiments_and_are_swept(store):
    own, foreign = (temporaries(store, planned(seed=seed).experiment) for seed in (1, 2))
    assert not store.has(EXPERIMENT.key)
    assert list(store.experiments()) == []
    store.sweep(EXPERIMENT.key)
    assert not any(path.exists() for path in own)
    assert all(path.exists() for path in foreign)  # another process may hold that experiment


def test_leftovers_of_yesterday_are_swept_unless_their_lock_is_held(store):
    old, recent, busy = (temporaries(store, planned(seed=seed).experiment) for seed in (1, 2, 3))
    (store.root / "runs").mkdir()
    record = store.root / "runs" / f".name-{'a' * 12}.json.99.0123abcd.tmp"
    record.touch()
    for path in (*old, *busy, record):
        age(path)
    with store.locked(planned(seed=3).experiment.key):
        store.prepare()
    assert not any(path.exists() for path in (*old, record))
    assert all(path.exists() for path in (*recent, *busy))


def flipped(path, count, seed=0):
    """Yield after each of some changes of a single bit of a file; restore it afterwards."""
    content = path.read_bytes()
    for place in np.random.default_rng(seed).choice(8 * len(content), count, replace=False):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        path.write_bytes(changed)
        yield
    path.write_bytes(content)


def everything(stored):
    """All that a stored experiment holds, as plain data."""
    return [
        stored.key,
        stored.finished,
        stored.experiment.model_dump(),
        stored.metadata.model_dump(),
        [row.model_dump() for row in stored.curve],
        *(stored.ranks(phase).columns() for phase in PHASES),
        stored.decisions("train").columns(),
        stored.lists.columns(),
        stored.weights.read_bytes(),
    ]


def test_a_flipped_bit_of_any_file_is_refused_and_never_read_as_another_result(store, tmp_path):
    weights, column = tmp_path / "weights", np.arange(3, dtype=np.int32)
    weights.write_bytes(bytes(range(64)))
    lists = TopLists(column, column, column, column.astype(np.float32))
    store.save(EXPERIMENT, replace(result(EXPERIMENT), weights=weights, lists=lists))
    folder = store.load(EXPERIMENT.key).folder
    expected = everything(StoredExperiment(folder))
    assert StoredExperiment(folder).problems() == []
    for path in sorted(folder.iterdir()):
        for _ in flipped(path, 20):
            problems = StoredExperiment(folder).problems()
            if not problems:
                assert path.name == MANIFEST  # white space may become another
                np.testing.assert_equal(everything(StoredExperiment(folder)), expected)
            assert all(path.name in problem for problem in problems)
            assert all("delete its folder and run again" in problem for problem in problems)


def test_a_store_without_checksums_is_read_with_one_note(store, caplog):
    store.save(EXPERIMENT, result(EXPERIMENT))
    (store.load(EXPERIMENT.key).folder / MANIFEST).unlink()
    stored = store.load(EXPERIMENT.key)
    assert same(stored.ranks("test"), ranks(101))
    assert stored.problems() == []
    [record] = caplog.records
    assert "without checksums; they are read unchecked" in record.getMessage()
    assert check_store(store) == StoreCheck(experiments=1, unchecked=1, problems=[])


def test_a_check_of_the_whole_store_names_every_damaged_file(store):
    for seed in (1, 2):
        experiment = planned(seed=seed).experiment
        store.save(experiment, result(experiment))
    store.record_failure(planned(seed=3).experiment, "it broke")
    assert check_store(store) == StoreCheck(experiments=2, unchecked=0, problems=[])
    folder = store.load(EXPERIMENT.key).folder
    damaged = [folder / "curve.json", folder / "ranks-validation.parquet"]
    damaged += [store.root / "failures" / f"{planned(seed=3).experiment.key}.json"]
    damaged += [store.root / "runs" / f"a-{'b' * 12}.json"]
    for path in damaged:
        path.parent.mkdir(exist_ok=True)
        path.write_text("{")
    problems = check_store(store).problems
    assert len(problems) == 4
    assert all(str(path) in text for path, text in zip(damaged, problems, strict=True))


def test_a_result_that_is_written_again_takes_the_place_of_the_old_one(store, monkeypatch):
    store.save(EXPERIMENT, result(EXPERIMENT))

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WriteError, match="No space left on device"):
            store.save(EXPERIMENT, result(EXPERIMENT))
    assert same(store.load(EXPERIMENT.key).ranks("test"), ranks(101))
    store.save(EXPERIMENT, result(planned(seed=2).experiment))
    assert same(store.load(EXPERIMENT.key).ranks("test"), ranks(102))
    assert len(list((store.root / "experiments").iterdir())) == 1


def test_a_failed_save_leaves_nothing(store, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(StoreError, match="No space left on device; free space or"):
        store.save(EXPERIMENT, result(EXPERIMENT))
    assert list((store.root / "experiments").iterdir()) == []
    assert store.status(EXPERIMENT.key) == "missing"


def test_an_empty_or_absent_store_reads_as_empty(tmp_path):
    store = Store(tmp_path / "absent")
    assert list(store.experiments()) == []
    assert not store.has(EXPERIMENT.key)
    assert store.status(EXPERIMENT.key) == "missing"
    with pytest.raises(
        StoreError, match=f"holds no experiment {EXPERIMENT.key[:12]}; run it first"
    ):
        store.load(EXPERIMENT.key)
    assert not store.root.exists()


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/bench-store"])
def test_an_unwritable_store_is_one_sentence(tmp_path, place):
    file = tmp_path / "file"
    file.touch()
    root = {"a file": file, "below a file": file / "store"}.get(place, place)
    with pytest.raises(StoreError, match=r"cannot write the store .*; free space or choose"):
        Store(type(tmp_path)(root)).prepare()


def test_a_lock_is_exclusive_between_processes_and_free_afterwards(store):
    script = (
        "import sys; from pathlib import Path; from bench.runs.store import Store\n"
        "with Store(Path(sys.argv[1])).locked('k') as mine: print(mine)"
    )

    def ask():
        command = [sys.executable, "-c", script, str(store.root)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with store.locked("k") as mine:
        assert mine
        assert ask() == "False"
    assert ask() == "True"


def test_a_lock_dies_with_its_process(store):
    script = (
        "import os, signal, sys; from pathlib import Path; from bench.runs.store import Store\n"
        "with Store(Path(sys.argv[1])).locked('k'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(store.root)], check=False)
    assert killed.returncode == -9
    with store.locked("k") as mine:
        assert mine


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.json", b"[1, 2]"),
        ("metadata.json", b'{"a'),
        ("metadata.json", b"\xff"),
        ("curve.json", b'{"a": 1}'),
        ("curve.json", b"[1, 2]"),
        ("experiment.json", b'{"key": "x", "experiment": null}'),
        ("experiment.json", b"[]"),
    ],
)
def test_json_of_another_shape_is_named_with_the_remedy(stored, name, content):
    (stored.folder / name).write_bytes(content)
    sealed(stored.folder)
    with pytest.raises(StoreError, match=rf"{name} is missing or damaged .*; delete its folder"):
        _ = stored.metadata, stored.curve, stored.experiment


def test_a_file_or_a_folder_in_its_place_that_is_gone_is_named(store, stored):
    (stored.folder / "experiment.json").unlink()
    (stored.folder / "experiment.json").mkdir()
    assert list(readable(store.experiments())) == []
    assert not [*readable(store.experiments(), "key")]
    (stored.folder / "metadata.json").unlink()
    with pytest.raises(
        StoreError, match=r"metadata.json is missing or damaged .*delete its folder"
    ):
        _ = stored.metadata


@pytest.mark.parametrize("spoil", ["one column more", "one column fewer", "text", "nothing"])
def test_ranks_of_another_shape_are_named(stored, spoil):
    columns = dict(stored.ranks("test").columns())
    if spoil == "one column more":
        columns["more"] = columns["target"]
    elif spoil == "one column fewer":
        del columns["target"]
    else:
        entry = "x" if spoil == "text" else None
        columns["target"] = pa.array([entry] * len(columns["target"]), pa.string())
    pq.write_table(pa.table(columns), stored.folder / "ranks-test.parquet")
    sealed(stored.folder)
    with pytest.raises(StoreError, match=r"ranks-test.parquet is missing or damaged .*; delete"):
        stored.ranks("test")


def test_a_read_out_that_is_gone_is_no_method_without_one(stored):
    gone = sorted(stored.folder.glob("decisions-*.parquet"))
    assert gone
    part = gone[0].stem.removeprefix("decisions-")
    gone[0].unlink()
    with pytest.raises(StoreError, match="is missing or damaged"):
        stored.decisions(part)


def test_an_experiment_of_another_version_is_left_out_of_reading(store):
    store.save(EXPERIMENT, result(EXPERIMENT))
    head = store.load(EXPERIMENT.key).folder / "experiment.json"
    content = json.loads(head.read_text())
    content["experiment"]["training"]["gone"] = 1
    head.write_text(json.dumps(content))
    sealed(head.parent)
    with pytest.raises(ConfigError, match=r"experiment.json \(delete the folder\): unknown key"):
        _ = store.load(EXPERIMENT.key).experiment
    assert list(readable(store.experiments())) == []
