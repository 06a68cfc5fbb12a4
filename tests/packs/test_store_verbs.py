"""``bench store`` as users meet it."""

import dataclasses
import json
import os
import time

import numpy as np
import pytest
from command import called, printed, refused
from made_up_store import make_experiment, save
from packs import COMMIT, USERS, finish, ranks

from bench.packs import inventory
from bench.packs.inventory import read_tags
from bench.plan.experiment import IMPORTED
from bench.plan.grid import PlannedExperiment
from bench.plan.spec import Spec
from bench.runs import record
from bench.runs.record import begin_record, end_record
from bench.runs.run_one import ExperimentOutcome
from bench.runs.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    for method in ("none", "hsd"):
        finish(store.root, method)
    finish(store.root, dataset="toys")
    return store


def test_ls_filters_sorts_and_counts(store, tmp_path):
    done = called("store", "ls", "--sort", "metric", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("3 experiments, ")
    figures = [float(line.split("NDCG@10 ")[1].split()[0]) for line in lines[2:-1]]
    assert figures == sorted(figures, reverse=True)
    done = called("store", "ls", "--where", "dataset=ml-100k", "method=hsd", "--json", cwd=tmp_path)
    [entry] = json.loads(done.stdout)
    assert entry["label"] == "ml-100k/sasrec/hsd/seed 1"
    assert entry["size"] == sum(p.stat().st_size for p in store.load(entry["key"]).folder.iterdir())
    assert "did you mean 'method'" in refused("store", "ls", "--where", "metod=x", cwd=tmp_path)


def test_ls_has_no_figure_where_an_import_does_not_decide_it(store, tmp_path):
    unknown = dataclasses.replace(ranks(), better_all=np.full(USERS, -1, np.int32))
    save(store.root, make_experiment("imported:llm", code=IMPORTED), unknown)
    lines = called("store", "ls", "--sort", "metric", cwd=tmp_path).stdout.splitlines()
    assert "NDCG@10 \N{EM DASH}" in lines[-2]
    assert len(lines) == 2 + 4 + 1


def test_a_tag_without_a_name_is_refused(store, tmp_path):
    for words in (["--remove"], ["--where", "method=hsd"]):
        assert "no tag is named" in refused("store", "tag", *words, cwd=tmp_path)


def test_show_prints_the_command_and_the_files(store, tmp_path):
    key = make_experiment("hsd").key
    text = called("store", "show", key[:8], cwd=tmp_path).stdout
    assert "bench run --dataset ml-100k --backbone sasrec --method hsd" in text
    assert "ranks-test.parquet" in text
    for prefix in ("abcdef", ""):
        assert f"no experiment '{prefix}'" in refused("store", "show", prefix, cwd=tmp_path)


def test_rm_shows_first_and_refuses_what_is_tagged(store, tmp_path):
    assert "no experiment is chosen" in refused("store", "rm", cwd=tmp_path)
    assert "(all)" in printed("store", "ls", "--help", cwd=tmp_path)
    assert "(all)" not in printed("store", "rm", "--help", cwd=tmp_path)  # nothing by default
    # The variable of a shell that is not set.
    assert "no experiment ''" in refused("store", "rm", "", "--yes", cwd=tmp_path)
    shown = called("store", "rm", "--where", "dataset=toys", cwd=tmp_path)
    assert "add --yes" in shown.stdout
    assert len(list(store.experiments())) == 3
    called("store", "rm", "--where", "dataset=toys", "--yes", cwd=tmp_path)
    assert len(list(store.experiments())) == 2
    key = make_experiment("hsd").key
    called("store", "tag", "paper", key[:10], cwd=tmp_path)
    assert called("store", "tag", cwd=tmp_path).stdout == "paper  1 experiment\n"
    assert "has the tag 'paper'" in refused("store", "rm", key[:10], "--yes", cwd=tmp_path)
    called("store", "tag", "paper", "--remove", cwd=tmp_path)
    assert called("store", "tag", cwd=tmp_path).stdout.endswith("runs has no tags\n")
    called("store", "rm", key[:10], "--yes", cwd=tmp_path)
    assert [one.experiment.method for one in store.experiments()] == ["none"]


def test_gc_removes_what_no_run_and_no_tag_names(store, tmp_path):
    kept, tagged = make_experiment(), make_experiment(dataset="toys")
    spec = Spec.parse({"name": "s", "datasets": ["ml-100k"], "methods": ["none"]}, "s")
    begin_record(store.root, spec, [PlannedExperiment(kept, "ml-100k")], ["bench"])
    called("store", "tag", "paper", tagged.key, cwd=tmp_path)
    for key in (kept.key, "d" * 64):
        store.work(key).mkdir(parents=True)
    store.record_failure(make_experiment("steam"), "x")
    imported = finish(store.root, "imported:llm", code=IMPORTED).key
    half = store.root / "experiments" / ".a-bbbbbbbbbbbb.1.0123abcd.tmp"
    half.mkdir()
    os.utime(half, (time.time() - 9999,) * 2)
    shown = called("store", "gc", cwd=tmp_path).stdout
    lines = [line.split("  ")[0] for line in shown.splitlines()[:-1]]
    folder = store.load(make_experiment("hsd").key).folder
    assert sorted(lines) == sorted(
        [
            f"experiments/{folder.name}",
            f"experiments/{half.name}",
            f"failures/{make_experiment('steam').key}.json",
            f"work/{kept.key}",
            f"work/{'d' * 64}",
        ]
    )
    assert folder.is_dir()
    called("store", "gc", "--yes", cwd=tmp_path)
    assert {one.key for one in store.experiments()} == {kept.key, tagged.key, imported}
    assert called("store", "gc", cwd=tmp_path).stdout == "nothing to remove\n"


def test_gc_leaves_what_a_process_runs(store, tmp_path):
    key = "e" * 64
    store.work(key).mkdir(parents=True)
    with store.locked(key) as mine:
        assert mine
        assert "removed 2 of 3" not in called("store", "gc", "--yes", cwd=tmp_path).stdout
        assert store.work(key).is_dir()


def test_gc_removes_superseded_runs_only_where_asked(tmp_path, monkeypatch):
    store = Store(tmp_path / "runs")
    ticks = iter(range(1, 100))
    monkeypatch.setattr(record.time, "time", lambda: float(next(ticks)))
    spec = Spec.parse({"name": "s", "datasets": ["ml-100k"], "methods": ["none"]}, "s")
    for code in ("a", "b"):
        experiment = make_experiment(code=code * 64)
        finish(store.root, code=code * 64)
        run = begin_record(store.root, spec, [PlannedExperiment(experiment, "ml-100k")], ["bench"])
        end_record(store.root, run, [ExperimentOutcome(experiment.key, "", "finished")])
    assert called("store", "gc", cwd=tmp_path).stdout == "nothing to remove\n"
    failed = [ExperimentOutcome(experiment.key, "", "failed")]
    end_record(store.root, run, failed)
    done = called("store", "gc", "--superseded", cwd=tmp_path)
    assert done.stdout == "nothing to remove\n"  # the later run has not replaced the earlier one
    end_record(store.root, run, [ExperimentOutcome(experiment.key, "", "finished")])
    called("store", "gc", "--superseded", "--yes", cwd=tmp_path)
    assert [one.experiment.code[0] for one in store.experiments()] == ["b"]
    assert len(list((store.root / "runs").iterdir())) == 1


def test_gc_keeps_the_run_that_was_asked_for_last(tmp_path, monkeypatch):
    """Older code that was checked out again, whose run has nothing left to do."""
    store = Store(tmp_path / "runs")
    ticks = iter(range(1, 100))
    monkeypatch.setattr(record.time, "time", lambda: float(next(ticks)))
    spec = Spec.parse({"name": "s", "datasets": ["ml-100k"], "methods": ["none"]}, "s")
    for code in ("a", "b", "a"):
        experiment = make_experiment(code=code * 64)
        finish(store.root, code=code * 64)
        run = begin_record(store.root, spec, [PlannedExperiment(experiment, "ml-100k")], ["bench"])
        end_record(store.root, run, [ExperimentOutcome(experiment.key, "", "finished")])
    called("store", "gc", "--superseded", "--yes", cwd=tmp_path)
    assert [one.experiment.code[0] for one in store.experiments()] == ["a"]


def test_pack_unpack_and_merge(store, tmp_path):
    called("store", "pack", "all.zip", cwd=tmp_path)
    called("store", "pack", "--published", "out", "--commit", COMMIT, cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "ml-100k.parquet",
        "toys.parquet",
    ]
    done = called("store", "unpack", "all.zip", "--store", "again", cwd=tmp_path)
    assert done.stdout == "all.zip: 3 experiments added, 0 already there\n"
    done = called("store", "unpack", "out/toys.parquet", "--store", "again", cwd=tmp_path)
    assert done.stdout == "out/toys.parquet: 0 experiments added, 1 already there\n"
    done = called("store", "merge", "again", cwd=tmp_path)
    assert done.stdout == "again: 0 experiments added, 3 already there\n"
    assert "not a results store" in refused("store", "merge", "absent", cwd=tmp_path)
    assert "absent.zip" in refused("store", "unpack", "absent.zip", cwd=tmp_path)
    assert "either" in refused("store", "pack", cwd=tmp_path)


def test_gc_leaves_what_is_damaged_or_no_part_of_a_store(store, tmp_path):
    """A damaged experiment may have been imported, or have a tag."""
    for stored in list(store.experiments()):
        with (stored.folder / "experiment.json").open("a") as file:
            file.write(" ")
    for name in ("work/thesis", "experiments/notes"):
        (store.root / name).mkdir(parents=True)
    assert called("store", "gc", "--yes", cwd=tmp_path).stdout == "nothing to remove\n"
    assert "does not exist" in refused("store", "gc", "--store", "rnus", cwd=tmp_path)


def test_what_is_damaged_is_counted_in_a_warning(store, tmp_path, caplog):
    stored = next(store.experiments())
    (stored.folder / "experiment.json").write_text("{}")
    assert "2 experiments, " in called("store", "ls", cwd=tmp_path).stdout
    assert (
        f"1 experiment, damaged or written by another version of bench (first: {stored.folder.name}"
        in caplog.text
    )


def test_a_tag_is_added_to_and_never_lost(store, tmp_path):
    keys = sorted(stored.key for stored in store.experiments())
    for key in keys[:2]:
        called("store", "tag", "paper", key, cwd=tmp_path)
    assert read_tags(store.root) == {"paper": keys[:2]}
    nothing = ("--where", "method=nosuch")
    assert "found: hsd, none" in refused("store", "tag", "paper", *nothing, cwd=tmp_path)
    for verb in (["tag", "paper"], ["pack", "p.zip"], ["ls"]):
        message = refused(
            "store", *verb, *keys[:1][: verb == ["ls"]], "--where", "dataset=x", cwd=tmp_path
        )
        assert "no experiment has dataset=x" in message
    assert read_tags(store.root) == {"paper": keys[:2]}
    assert not (tmp_path / "p.zip").exists()


def test_a_link_is_removed_and_what_it_leads_to_stays(store, tmp_path):
    stored = store.load(make_experiment("hsd").key)
    elsewhere = stored.folder.rename(tmp_path / stored.folder.name)
    stored.folder.symlink_to(elsewhere)
    done = called("store", "rm", stored.key, "--yes", cwd=tmp_path)
    assert "removed 1 of 1" in done.stdout
    assert not stored.folder.is_symlink()
    assert (elsewhere / "ranks-test.parquet").exists()


def test_what_cannot_be_removed_is_not_said_to_be(store, tmp_path, monkeypatch):
    monkeypatch.setattr(inventory, "discard", lambda path: None)
    message = refused("store", "rm", make_experiment("hsd").key, "--yes", cwd=tmp_path)
    assert message.startswith("1 of 1 cannot be removed (first: ")


def test_bytes_that_are_no_text_are_refused(store, tmp_path):
    message = refused("store", "ls", "--store", "caf\udce9", cwd=tmp_path)
    assert (
        message
        == "'caf\N{REPLACEMENT CHARACTER}' is not text in UTF-8; rename it, or set a UTF-8 locale"
    )
