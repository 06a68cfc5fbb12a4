"""Which experiments a report shows: those of the last run, or of what is named."""

import csv
import io
import itertools
import re

import pytest
from made_up_store import make_experiment, save, tables_of
from typer.testing import CliRunner

from bench.api import load
from bench.cli.main import app
from bench.errors import ConfigError
from bench.plan.experiment import IMPORTED
from bench.plan.grid import PlannedExperiment
from bench.plan.protocol import Protocol
from bench.plan.spec import Spec
from bench.plan.training import TrainingConfig
from bench.reports.comparison import comparison_keys
from bench.reports.report import render
from bench.reports.request import Request
from bench.reports.results import read_results
from bench.reports.tables.configuration import find_configuration
from bench.reports.tables.contrasts import matched_bases
from bench.runs import record
from bench.runs.store import Store
from bench.settings import Settings


@pytest.fixture
def root(tmp_path, monkeypatch):
    ticks = itertools.count(1)
    monkeypatch.setattr(record.time, "time", lambda: float(next(ticks)))
    return tmp_path / "runs"


def go(
    root,
    methods=("none",),
    *,
    epochs=30,
    name="paper",
    seeds=(1,),
    tuned=False,
    budget=None,
    **changes,
):
    """Finish a run of made-up experiments; return its record and its keys."""
    dataset = changes.get("dataset", "ml-100k")
    shared = {"budget": budget} if budget else {"training": {"epochs": epochs}}
    content = {
        "name": name,
        "datasets": [dataset],
        "backbones": ["sasrec"],
        "methods": list(methods),
        "seeds": list(seeds),
        **shared,
    }
    training = Spec.parse(content, name).complete_training
    experiments = [
        make_experiment(method, seed=seed, training=training, **changes)
        for seed in seeds
        for method in methods
    ]
    for experiment in experiments:
        save(root, experiment, [1, 2, 3])
    plan = [PlannedExperiment(experiment, dataset) for experiment in experiments]
    spent = record.Search(trials=8, pruned=2, seconds=1234.5, default=0.1, best=0.2)
    searches = [spent for _ in plan] if tuned else None
    begun = record.begin_record(root, Spec.parse(content, name), plan, [], searches)
    return begun, [experiment.key for experiment in experiments]


def chosen(root, **choice):
    return set(comparison_keys(Store(root), **choice) or ())


def test_without_runs_everything_is_shown(root):
    save(root, make_experiment(), [1])
    assert comparison_keys(Store(root)) is None


def test_the_last_run_is_shown_with_earlier_ones_of_the_same_settings_and_data(root):
    _, first = go(root, ["none"])
    go(root, ["none", "hsd"], epochs=3)  # a smoke test
    go(root, ["none"], dataset="beauty", fingerprint="b" * 64)
    _, last = go(root, ["hsd"], name="other")
    assert chosen(root) == {*first, *last}


def test_runs_of_two_budgets_are_two_comparisons(root):
    go(root, ["none"], budget="paper")
    _, last = go(root, ["hsd"], budget="quick")
    assert chosen(root) == set(last)


def test_a_whole_label_means_its_experiment_though_the_last_run_has_such_a_row(root):
    """The last run's row has no other budget beside it, and so no setting in its name."""
    for budget in ("paper", "quick"):
        go(root, ["none"], budget=budget)
    [found] = find_configuration(Store(root), "ml-100k/sasrec/none", {})
    assert found.experiment.training.epochs == 200
    [found] = find_configuration(Store(root), "none, sasrec", {})
    assert found.experiment.training.epochs < 200


def test_a_run_given_again_is_the_last(root):
    begun, first = go(root, ["none"])
    record.end_record(root, begun, [])
    go(root, ["hsd"], epochs=3)
    go(root, ["none"])
    assert chosen(root) == {*first}


def test_code_of_an_earlier_run_does_not_mix_in(root):
    _, before = go(root, ["none", "hsd"], code="a" * 64)
    _, after = go(root, ["none"], code="b" * 64)
    assert chosen(root) == {after[0], before[1]}


def test_what_is_not_shown_need_not_be_whole(root):
    go(root, ["none"])
    other = save(root, make_experiment("imported:x", dataset="beauty", code=IMPORTED), [1, 2])
    (Store(root).load(other.key).folder / "metadata.json").write_text("{")
    assert len(chosen(root)) == 1


def test_settings_of_a_shared_component_separate_runs(root):
    _, plain = go(root, ["none"])
    experiment = make_experiment("hsd", backbone_settings={"dropout": 0.5})
    changed = {"sasrec": {"dropout": 0.5}}
    spec = {"datasets": ["ml-100k"], "backbones": ["sasrec"], "methods": ["hsd"]}
    spec |= {"training": {"epochs": 30}, "backbone_settings": changed}
    save(root, experiment, [1])
    record.begin_record(root, Spec.parse(spec, "x"), [PlannedExperiment(experiment, "x")], [])
    assert chosen(root) == {experiment.key}
    assert chosen(root, spec="paper") == {*plain}


def test_tuned_runs_are_not_mixed_with_others(root):
    go(root, ["none"])
    _, tuned = go(root, ["hsd"], tuned=True)
    assert chosen(root) == {*tuned}


def test_a_data_set_picks_the_last_run_on_it(root):
    _, toys = go(root, dataset="toys", fingerprint="b" * 64)
    go(root)
    assert chosen(root, datasets=["toys"]) == {*toys}


def test_a_run_or_a_specification_is_named(root):
    first, one = go(root, ["none"])
    second, two = go(root, ["hsd"])
    _, other = go(root, ["none"], epochs=3, name="smoke")
    assert chosen(root, run="paper") == {*two}
    for name in (first.key[:8], f"paper-{first.key[:12]}"):
        assert chosen(root, run=name) == {*one}
    assert chosen(root, spec="paper") == chosen(root, spec="specs/paper.yaml") == {*one, *two}
    assert chosen(root, spec="smoke") == {*other}
    assert comparison_keys(Store(root), run="all") is None
    assert second.key != first.key


def test_conditions_seeds_and_latest_narrow_what_is_chosen(root):
    _, long = go(root, ["none", "hsd"], seeds=(1, 2), code="a" * 64)
    _, again = go(root, ["none"], code="b" * 64)
    _, short = go(root, ["none"], epochs=3)
    assert chosen(root, run="all", where=["epochs=3"]) == {*short}
    assert chosen(root, run="all", where=["training.epochs=3.0", "method=none,hsd"]) == {*short}
    assert chosen(root, run="all", where=["method=hsd"], seeds=[2]) == {long[3]}
    every = {*long, *again, *short}
    assert chosen(root, run="all", latest=True) == every - {long[0]}
    _, listed = go(root, ["hsd"], method_settings={"views": [1, 2]})
    assert chosen(root, run="all", where=["views=[3],[1,2]"]) == {*listed}
    rules = Protocol.parse({"split": "temporal:targets=all", "max_length": 9}, "test")
    _, later = go(root, ["none"], protocol=rules)
    for where in (["split=temporal:targets=all"], ["protocol.max_length=9", "ties=pessimistic"]):
        assert chosen(root, run="all", where=where) == {*later}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"run": "papre"}, "has no run 'papre'; did you mean 'paper'"),
        ({"spec": "default"}, "has no run 'default'"),
        ({"run": "paper", "spec": "paper"}, "a run and a specification exclude each other"),
        ({"where": ["epochs"]}, "--where 'epochs' is not key=value"),
        ({"where": ["epochs="]}, "not key=value"),
        ({"where": ["epoch=3"]}, "no experiment has it; did you mean 'epochs'"),
        ({"where": ["zzz=3"]}, r"no experiment has it; known: .{200,290} \.\.\.$"),
        ({"where": ["method=hsd,x"]}, "no experiment has method=hsd,x; found: none$"),
        ({"where": ["method=none"], "seeds": [7]}, "seed=7 beside the other conditions; found: 1$"),
    ],
)
def test_a_wrong_choice_is_explained(root, choice, message):
    go(root)
    with pytest.raises(ConfigError, match=message):
        chosen(root, **choice)


def test_other_settings_of_a_method_are_another_row_of_the_comparison(root):
    _, usual = go(root, ["none", "hsd"])
    _, changed = go(root, ["hsd"], method_settings={"t": 2})
    assert chosen(root) == {*usual, *changed}


def test_what_has_not_finished_of_the_last_run_is_counted_and_not_replaced(root):
    go(root, ["none", "hsd"], code="a" * 64)
    _, after = go(root, ["none", "hsd"], code="b" * 64)
    (lost,) = (root / "experiments").glob(f"*{after[1][:12]}")
    lost.rename(root / "lost")
    keys = comparison_keys(Store(root))
    assert set(keys) == {*after}
    assert read_results(Store(root), Request(keys=keys))[1] == [
        "Missing: 1 of 2 selected experiments."
    ]
    assert read_results(Store(root), Request(keys=keys, methods=["none"]))[1] == []
    assert read_results(Store(root), Request(keys=keys, methods=["hsd"]))[1] == [
        "Missing: 1 of 1 selected experiments."
    ]


def test_tuned_rows_are_another_budget_and_need_no_equal_settings(root):
    go(root, ["none", "hsd"])
    _, base = go(root, ["none"], tuned=True, backbone_settings={"dropout": 0.1})
    _, best = go(root, ["random-drop"], tuned=True, backbone_settings={"dropout": 0.4})
    (table,) = tables_of(root)
    blocks = [{key for row in block.rows for key in row.keys} for block in table.blocks]
    assert {*base, *best} in blocks
    assert sorted(block.title for block in table.blocks) == [
        "ml-100k (not tuned)",
        "ml-100k (tuned)",
    ]
    rows = table.blocks[blocks.index({*base, *best})].rows
    kinds = {
        row.identity[1]: base.kind
        for row, base in zip(rows, matched_bases(rows, "HR@5"), strict=True)
    }
    assert kinds == {"none": "self", "random-drop": "matched"}


def test_a_table_says_that_its_rows_are_tuned_where_no_other_rows_are(root):
    go(root, ["none", "hsd"], tuned=True, backbone_settings={"dropout": 0.1})
    text = render(root, Request(tables=("overall", "cost")))
    assert "- ml-100k: each row has the settings that its own search of 8 trials found" in text
    assert re.search(r"\| +Trials \| +Search s \|\n", text)
    assert len(re.findall(r"\| +8 \| +1,234.5 \|\n", text)) == 2
    go(root, ["none"], epochs=20)
    text = render(root)
    assert "- ml-100k (tuned): each row has" in text
    assert text.count("its own search") == 1


def test_an_experiment_of_a_tuned_and_another_run_is_compared_in_both(root):
    # Tuning found that the default settings of the bare backbone are the best.
    plain, default = go(root, ["none", "hsd"])
    base = default[0]
    go(root, ["none"], tuned=True)
    _, best = go(root, ["hsd"], tuned=True, backbone_settings={"dropout": 0.4})
    for keys in (plain.experiments, [base, *best]):
        (table,) = tables_of(root, keys=keys)
        (block,) = table.blocks
        assert [row.keys for row in block.rows] == [[keys[1]], [base]]
        assert [one.place for one in matched_bases(block.rows, "HR@5")] == [1, None]
    (table,) = tables_of(root)
    assert {
        block.title: {key for row in block.rows for key in row.keys} for block in table.blocks
    } == {"ml-100k (not tuned)": {*default}, "ml-100k (tuned)": {base, *best}}
    (table,) = tables_of(root, keys=[base])
    assert [block.title for block in table.blocks] == ["ml-100k"]


def test_the_verb_and_the_python_interface_choose_alike(root):
    _, one = go(root, ["none"])
    _, two = go(root, ["none"], epochs=3)

    def verb(*words):
        words = ["report", "--store", str(root), "--format", "csv", *words]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return {key for key in (*one, *two) if key in done.output}

    results = load(root, settings=Settings.from_environment(track=False))
    for words, python in (
        ((), results),
        (("--run", "all"), results.filter()),
        (("--run", "all", "--where", "epochs=30"), results.filter(where=["epochs=30"])),
        (("--spec", "paper", "--seeds", "1"), results.filter(spec="paper", seed=1)),
    ):
        assert verb(*words) == set(" ".join(python.table()["keys"]).split())
    assert verb() == {*two}
    assert verb("--run", "all") == {*one, *two}


def test_the_python_table_has_the_order_of_the_verb(root):
    go(root, ["none", "hsd"])
    done = CliRunner().invoke(app, ["report", "--store", str(root), "--format", "csv"])
    printed = [line["method"] for line in csv.DictReader(io.StringIO(done.output))]
    assert printed == ["none", "hsd"], "Base before HSD"
    settings = Settings.from_environment(track=False)
    assert [*load(root, settings=settings).table()["method"]] == printed


def test_a_notebook_averages_over_seeds_alone(root):
    save(root, make_experiment(seed=1), [1, 99, 99, 99])
    save(root, make_experiment(seed=2), [1, 1, 99, 99])
    save(root, make_experiment(training=TrainingConfig(epochs=3)), [1, 1, 1, 1])
    shown = load(root, settings=Settings.from_environment(track=False))._repr_html_()
    lines = [re.findall("<td>(.*?)</td>", line) for line in shown.split("<tr>")]
    assert sorted(cells[4:6] for cells in lines if cells) == [["1", "1.0000"], ["2", "0.3750"]]
