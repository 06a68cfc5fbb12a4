"""What the verbs print."""

import json
import logging
import re

import pytest
from command import CARD, called
from typer.testing import CliRunner

from bench.cli.main import app
from bench.plan.spec import shipped
from bench.runs.store import Store
from bench.version import __version__

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a card and a finished run in it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "card.yaml").write_text(CARD)
    done = run(folder)
    assert done.returncode == 0, done.stderr
    (folder / "first.txt").write_text(done.stdout)
    return folder


def run(folder, *more, seeds=("1",)):
    models = ("--backbone", "sasrec", "gru4rec", "--method", "none", "--seeds", *seeds)
    words = ("--dataset", "./card.yaml", *models)
    settings = ("--jobs", "1", "--set", "epochs=1", "sasrec.dropout=0.5")
    return called("run", *words, *settings, *more, cwd=folder)


def written(home):
    """When each result was written."""
    return {p: p.stat().st_mtime_ns for p in (home / "runs" / "experiments").rglob("*")}


def test_a_run_prints_the_table_and_a_second_computes_nothing(home):
    first = (home / "first.txt").read_text()
    before = written(home)
    again = run(home)
    assert re.search(r"NDCG@10", first)
    assert {"GRU4Rec", "SASRec"} <= set(re.findall(r"\w+", first))
    assert again.stdout == first
    assert "2 experiments: 2 reused" in again.stderr
    assert written(home) == before


def test_settings_reach_the_cells(home):
    experiments = {
        stored.experiment.backbone: stored.experiment
        for stored in Store(home / "runs").experiments()
    }
    assert experiments["sasrec"].backbone_settings["dropout"] == 0.5
    assert experiments["gru4rec"].training.epochs == experiments["sasrec"].training.epochs == 1
    assert experiments["sasrec"].protocol.max_length == 8


def test_the_plan_shows_status_key_and_estimate_and_runs_nothing(home):
    before = written(home)
    done = run(home, "--plan", seeds=("1", "2"))
    lines = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    keys = {
        stored.experiment.label: stored.key[:12] for stored in Store(home / "runs").experiments()
    }
    for label, key in keys.items():
        assert key in lines[label]
        assert "done" in lines[label]
    assert re.search(r"missing +\d+ s \(h\)", lines["tiny/sasrec/none/epochs=1/seed 2"])
    assert "4 experiments, 2 of them to run on the data at hand: about" in done.stdout
    assert "h = median of finished experiments" in done.stdout
    assert written(home) == before


def test_a_plan_without_the_data_still_shows_the_cells(tmp_path):
    words = ("--dataset", "beauty", "--method", "none", "--backbone", "sasrec", "caser")
    done = called("run", *words, "--plan", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("data missing") == 2
    assert "beauty: data set 'beauty' is not in" in done.stdout


def test_a_plan_tells_what_cannot_be_split_from_what_is_not_here(tmp_path):
    (tmp_path / "card.yaml").write_text(CARD)
    words = ("--dataset", "./card.yaml", "--method", "none", "--backbone", "sasrec")
    splits = ("--split", "leave-one-out", "temporal")
    done = called("run", *words, *splits, "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [re.split(r"  +", row) for row in done.stdout.splitlines() if "/sasrec/" in row]
    assert [(row[0].partition("/sasrec/")[2], row[2]) for row in rows] == [
        ("none/seed 1", "missing"),
        ("none/temporal/seed 1", "cannot be split"),
    ]
    assert "has no times, which a split by time needs" in done.stdout


def test_ls_runs(home):
    done = called("ls", "runs", cwd=home)
    assert [line.split("  ")[1] for line in done.stdout.splitlines()] == [
        "tiny/gru4rec/none/epochs=1/seed 1",
        "tiny/sasrec/none/epochs=1/seed 1",
    ]
    assert called("ls", "runs", "--store", "absent", cwd=home).stderr == "no runs\n"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("methods", {"none"}),
        ("backbones", {"gru4rec", "sasrec", "caser"}),
        ("datasets", {"beauty", "sports", "toys", "ml-100k", "planted"}),
        ("formats", {"sequences", "recbole", "amazon", "movielens", "table", "planted"}),
        ("specs", set(shipped())),
    ],
)
def test_ls(kind, names):
    done = RUNNER.invoke(app, ["ls", kind])
    assert done.exit_code == 0
    listed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert names <= set(listed)
    assert all(listed.values())


def test_ls_alone_names_what_there_is(tmp_path):
    done = RUNNER.invoke(app, ["ls", "--store", str(tmp_path)])
    assert done.exit_code == 0
    named = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line[:1].strip())
    assert "hsd, iadsr" in named["methods"]
    assert ":" not in named["methods"]
    assert named["runs"] == "0 finished experiments"


def test_ls_in_json(tmp_path):
    def read(*words):
        return json.loads(RUNNER.invoke(app, ["ls", *words, "--json"]).stdout)

    methods = read("methods")
    assert {"none", "hsd:compat"} <= {row["name"] for row in methods}
    assert all(row["summary"] for row in methods)
    everything = read("--store", str(tmp_path))
    assert everything["methods"] == [row["name"] for row in methods]
    assert everything["runs"] == []


def test_doctor_in_json(monkeypatch):
    for section in ("_machine", "_data"):  # which import torch and read data
        monkeypatch.setattr(f"bench.cli.doctor.{section}", lambda _: [("a", "b")])
    sections = json.loads(RUNNER.invoke(app, ["doctor", "--json"]).stdout)
    assert list(sections) == ["versions", "machine", "folders", "data"]
    assert sections["versions"]["bench"] == __version__
    assert sections["data"] == {"a": "b"}


def test_validate_counts_the_cells():
    # Four data sets, five seeds; eleven methods and controls on three backbones, two frameworks.
    done = RUNNER.invoke(app, ["validate", "paper"])
    assert done.stdout == f"paper: fine, {4 * 5 * (11 * 3 + 2)} experiments\n"


def test_doctor_names_what_a_bug_report_needs(home):
    (home / "file").touch()
    done = called("doctor", "--store", "file", cwd=home)
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert {"python", "torch", "device", "cores", "store", "cache", "data"} <= set(lines)
    assert "is a file" in lines["store"]
    assert "GiB free" in lines["cache"]
    assert "not usable: data set 'beauty' is not in" in lines["beauty"]
    assert "600 users" in lines["planted"]


@pytest.mark.parametrize(
    ("flags", "level"), [((), 0), (("-v",), 20), (("-q",), 40), (("--debug",), 10)]
)
def test_flags_set_how_much_is_logged(monkeypatch, flags, level):
    monkeypatch.setattr(logging.getLogger("bench"), "level", 0)
    assert RUNNER.invoke(app, [*flags, "ls", "specs"]).exit_code == 0
    assert logging.getLogger("bench").level == level


@pytest.mark.parametrize("group", ["", "data", "store", "track", "import", "export"])
def test_lists_of_commands_cut_no_sentence(group):
    done = RUNNER.invoke(app, [*group.split(), "--help"], terminal_width=80)
    lines = done.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert lines
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("verb", ["run", "ls", "validate", "doctor", "report"])
def test_every_help_has_examples(verb):
    done = RUNNER.invoke(app, [verb, "--help"])
    assert done.exit_code == 0
    assert f"  bench {verb}" in done.stdout.split("Examples:")[1]


def test_an_interrupted_verb_says_so(monkeypatch, tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.cli.ls.shipped", interrupt)
    done = called("ls", "specs", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
