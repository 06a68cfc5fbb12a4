"""What a run asked for, and how its experiments ended, is kept once for each distinct run."""

import pytest
from fake_experiments import planned

from bench.errors import StoreError
from bench.plan.spec import Spec
from bench.runs.record import begin_record, end_record, read_records
from bench.runs.run_one import ExperimentOutcome

SPEC = Spec.parse({"name": "a/b", "datasets": ["planted"], "backbones": ["sasrec"]}, "here")
PLAN = [planned(seed) for seed in (2, 1)]


def outcomes(*endings):
    return [
        ExperimentOutcome(
            entry.experiment.key,
            entry.experiment.label,
            ending,
            "why" if ending == "failed" else "",
        )
        for entry, ending in zip(PLAN, endings, strict=True)
    ]


def go(root, *endings):
    record = begin_record(root, SPEC, PLAN, ["bench", "run"])
    end_record(root, record, outcomes(*endings))
    [after] = read_records(root)
    return after


def test_a_run_is_noted_before_it_ends(tmp_path):
    begun = begin_record(tmp_path, SPEC, PLAN, ["bench", "run", "x.yaml"])
    assert list(read_records(tmp_path)) == [begun]
    assert begun.spec == {"name": "a/b", "datasets": ["planted"], "backbones": ["sasrec"]}
    assert begun.experiments == [entry.experiment.key for entry in PLAN]
    assert begun.labels == ["toy/sasrec/none/seed 2", "toy/sasrec/none/seed 1"]
    assert (begun.command, begun.ended, begun.endings) == (["bench", "run", "x.yaml"], None, {})
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [f"a-b-{begun.key[:12]}.json"]


def test_given_again_it_goes_on_in_the_same_file(tmp_path):
    first = go(tmp_path, "finished", "failed")
    assert first.endings == {PLAN[0].experiment.key: "finished", PLAN[1].experiment.key: "failed"}
    again = go(tmp_path, "reused", "finished")
    assert again.begun == first.begun
    assert again.ended > first.ended
    assert again.endings == {PLAN[0].experiment.key: "reused", PLAN[1].experiment.key: "finished"}


def test_a_run_that_only_reads_the_store_changes_nothing(tmp_path):
    first = go(tmp_path, "finished", "finished")
    again = go(tmp_path, "reused", "reused")
    assert again.asked >= first.asked
    assert again.model_copy(update={"asked": first.asked}) == first


def test_what_was_removed_and_fails_when_it_runs_again_has_failed(tmp_path):
    go(tmp_path, "finished", "finished")
    again = go(tmp_path, "reused", "failed")
    assert again.endings == {PLAN[0].experiment.key: "finished", PLAN[1].experiment.key: "failed"}


def test_other_experiments_or_another_specification_are_another_run(tmp_path):
    begin_record(tmp_path, SPEC, PLAN, [])
    begin_record(tmp_path, SPEC, PLAN[:1], [])
    begin_record(tmp_path, SPEC.with_changes({"seeds": [3]}, "here"), PLAN, [])
    assert len(list(read_records(tmp_path))) == 3


def test_a_file_that_is_no_record_is_named(tmp_path):
    begin_record(tmp_path, SPEC, PLAN, [])
    [path] = (tmp_path / "runs").iterdir()
    path.write_text('{"key": 1}')
    with pytest.raises(StoreError, match=r"is missing or damaged .*; delete it"):
        list(read_records(tmp_path))
