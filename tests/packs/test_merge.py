"""Two stores become one: the union, or a refusal that names the experiment."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from made_up_store import make_experiment, save
from packs import COMMIT, USERS, finish, ranks

from bench.errors import StoreError
from bench.packs.merge import merge
from bench.packs.publish import publish, unpack
from bench.plan.grid import PlannedExperiment
from bench.plan.protocol import PHASES
from bench.plan.result import ExperimentResult
from bench.plan.spec import Spec
from bench.reports.comparison import comparison_keys
from bench.reports.report import render
from bench.reports.request import Request
from bench.runs.record import begin_record, end_record, read_records
from bench.runs.run_one import ExperimentOutcome
from bench.runs.store import Store

METHODS = ("none", "hsd", "iadsr", "steam")


@pytest.fixture
def source(tmp_path):
    return Store(tmp_path / "source")


@pytest.fixture
def target(tmp_path):
    return Store(tmp_path / "target")


def run(root, own):
    """Two machines share a plan; each finishes its own part of it."""
    plan = [PlannedExperiment(make_experiment(method), "ml-100k") for method in METHODS]
    spec = Spec.parse({"name": "shared", "datasets": ["ml-100k"], "methods": [*METHODS]}, "s")
    record = begin_record(root, spec, plan, ["bench", "run"])
    outcomes = []
    for planned in plan:
        if planned.experiment.method in own:
            finish(root, planned.experiment.method)
            outcomes.append(ExperimentOutcome(planned.experiment.key, "", "finished"))
    end_record(root, record, outcomes)


def test_the_union_reports_what_one_store_reports(tmp_path):
    a, b, whole = (Store(tmp_path / name) for name in ("a", "b", "whole"))
    run(a.root, METHODS[:3])
    run(b.root, METHODS[2:])
    run(whole.root, METHODS)
    merged = merge(b, a)
    assert (len(merged.added), len(merged.equal)) == (1, 1)
    assert {stored.key for stored in a.experiments()} == {s.key for s in whole.experiments()}
    [record] = read_records(a.root)
    assert set(record.endings) == {stored.key for stored in whole.experiments()}
    for store in (a, whole):
        assert sorted(comparison_keys(store)) == sorted(s.key for s in whole.experiments())
    assert render(a.root, Request(keys=tuple(comparison_keys(a)))) == render(
        whole.root, Request(keys=tuple(comparison_keys(whole)))
    )


@pytest.mark.parametrize("into", ["failed", "finished"])
def test_a_run_whose_experiment_finished_elsewhere_has_not_failed(tmp_path, into):
    plan = [PlannedExperiment(make_experiment(), "ml-100k")]
    spec = Spec.parse({"name": "s", "datasets": ["ml-100k"], "methods": ["none"]}, "s")
    stores = {name: Store(tmp_path / name) for name in ("failed", "finished")}
    for ending, store in stores.items():
        record = begin_record(store.root, spec, plan, ["bench", "run"])
        if ending == "finished":
            finish(store.root)
        end_record(store.root, record, [ExperimentOutcome(plan[0].experiment.key, "", ending)])
    target = stores.pop(into)
    merge(*stores.values(), target)
    [record] = read_records(target.root)
    assert set(record.endings.values()) == {"finished"}


def test_merging_twice_changes_nothing(source, target):
    finish(source.root)
    assert len(merge(source, target).added) == 1
    before = {path: path.read_bytes() for path in target.root.rglob("*") if path.is_file()}
    assert not merge(source, target).added
    assert {path: path.read_bytes() for path in target.root.rglob("*") if path.is_file()} == before


def test_a_conflict_names_the_experiment_and_nothing_is_written(source, target):
    finish(source.root, "hsd")
    for store, seed in ((target, 1), (source, 2)):
        save(store.root, make_experiment(), ranks(seed))
    a, b = ranks(1).columns(), ranks(2).columns()
    differing = sum(any(a[name][user] != b[name][user] for name in a) for user in range(USERS))
    with pytest.raises(StoreError, match="ml-100k/sasrec/none/seed 1") as caught:
        merge(source, target)
    assert f"nothing of {source.root} was merged" in str(caught.value)
    assert len(list(target.experiments())) == 1
    assert f"validation ranks of {differing} of {USERS} users" in str(caught.value)


def test_other_costs_are_no_conflict_and_the_target_keeps_its_own(source, target):
    ours = finish(target.root)
    save(source.root, ours.experiment, ours.ranks("test"), curve=[0.5])
    assert merge(source, target).equal == [ours.key]
    assert target.load(ours.key).curve == ours.curve


def test_a_damaged_experiment_is_not_merged(source, target):
    (finish(source.root).folder / "curve.json").write_text("[]")
    with pytest.raises(StoreError, match=r"nothing of .* was merged"):
        merge(source, target)


def test_decisions_take_the_place_of_their_counts(source, target, tmp_path):
    stored = finish(source.root, "hsd")
    publish(source, tmp_path / "p", [stored], COMMIT)
    unpack(tmp_path / "p" / "ml-100k.parquet", target)
    assert target.load(stored.key).decisions("test") is None
    assert merge(source, target).added == [stored.key]
    assert target.load(stored.key).decisions("test") is not None
    assert target.load(stored.key).drops("test").share == pytest.approx(
        1 - stored.decisions("test").keep.mean()
    )


def test_failures_and_beginnings_are_merged_where_nothing_has_finished(source, target):
    finish(target.root)
    for method in ("none", "hsd"):
        source.record_failure(make_experiment(method), "out of memory")
        work = source.work(make_experiment(method).key)
        work.mkdir(parents=True)
        (work / "checkpoint").write_bytes(b"1")
    merge(source, target)
    key = make_experiment("hsd").key
    assert list(target.failed()) == [key]
    assert target.work(key).exists()
    assert not target.work(make_experiment().key).exists()


def test_one_experiment_in_two_folders_is_refused(source, target):
    stored = finish(source.root)
    shutil.copytree(stored.folder, stored.folder.with_name(f"again-{stored.key[:12]}"))
    with pytest.raises(StoreError, match=f"it holds {stored.key[:12]} twice"):
        merge(source, target)
    assert not list(target.experiments())


def test_more_of_an_experiment_goes_to_the_folder_that_is_there(source, target, tmp_path):
    stored = finish(source.root, "hsd")
    publish(source, tmp_path / "p", [stored], COMMIT)
    unpack(tmp_path / "p" / "ml-100k.parquet", target)
    held = target.load(stored.key).folder
    held.rename(held.with_name(f"named-otherwise-{stored.key[:12]}"))
    assert merge(source, target).added == [stored.key]
    [found] = target.experiments()
    assert found.folder.name == f"named-otherwise-{stored.key[:12]}"
    assert found.decisions("test") is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"better_all": np.full(USERS, 1000, np.int32)}, "40 users have a rank beyond the number"),
        ({"ties_unseen": np.full(USERS, -7, np.int32)}, "a count is negative"),
    ],
)
def test_impossible_ranks_are_not_merged(source, target, change, message):
    save(source.root, make_experiment(), replace(ranks(), **change), validation=ranks())
    with pytest.raises(StoreError, match=message):
        merge(source, target)


def test_a_result_under_the_key_of_other_settings_is_not_merged(source, target):
    stored = finish(source.root)
    result = ExperimentResult(
        {phase: stored.ranks(phase) for phase in PHASES}, stored.curve, stored.metadata
    )
    other = make_experiment(seed=2)
    source.write(other.key, other.label, stored.content, result)
    with pytest.raises(StoreError, match="its key is not that of its settings"):
        merge(source, target)


def test_what_is_merged_can_be_removed_though_its_origin_could_not(source, target):
    folder = finish(source.root).folder
    folder.chmod(0o555)
    try:
        merge(source, target)
    finally:
        folder.chmod(0o755)
    [found] = target.experiments()
    assert found.folder.stat().st_mode & 0o200
