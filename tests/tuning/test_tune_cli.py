"""``bench tune`` on the command line: what it shows, and what it refuses."""

import pytest
import typer.main
from command import called, printed, refused

from bench.cli.main import app

PLANTED = ("tune", "planted", "--backbone", "sasrec", "--store", "store")


def test_the_plan_shows_spaces_and_defaults_and_runs_nothing(tmp_path):
    shown = printed(*PLANTED, "--method", "none", "--plan", cwd=tmp_path)
    lines = shown.splitlines()
    assert lines[0].startswith("planted/sasrec/none/")
    assert lines[0].endswith("): 2 settings")
    assert lines[1].startswith("  backbone.dropout = 0.5: {'low': 0.0, 'high': 0.6")
    assert lines[2].startswith("  training.learning_rate = 0.001: {'low': 0.0001, 'high': 0.01")
    assert not (tmp_path / "store" / "tuning").exists()


def test_the_plan_encodes_no_texts(tmp_path):
    words = ("tune", "planted", "--backbone", "sasrec", "--method", "iadsr", "--encoder", "tfidf")
    assert "  method.theta = " in printed(*words, "--plan", cwd=tmp_path)
    (datasets,) = tmp_path.rglob("datasets")
    assert not (datasets.parent / "vectors").exists()


def test_what_is_set_is_not_in_the_plan(tmp_path):
    words = (*PLANTED, "--method", "none", "--plan")
    shown = printed(*words, "--set", "learning_rate=0.01", "sasrec.dropout=0.1", cwd=tmp_path)
    assert shown.splitlines()[0].endswith("): 0 settings")


def test_an_empty_ledger_says_so(tmp_path):
    done = called("tune", "--ledger", "--store", "store", cwd=tmp_path)
    assert done.stderr == "this store has no studies; run 'bench tune' first\n"
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pruner", "medain"), "pruner 'medain' is unknown; did you mean 'median'?"),
        (("--method", "nonesuch"), "unknown method 'nonesuch'"),
        (
            ("--storage", "nonsense"),
            "storage nonsense: the address is neither 'journal:FILE'",
        ),
    ],
)
def test_wrong_words_are_one_sentence(tmp_path, words, message):
    words = words if "--method" in words else (*words, "--method", "none")
    assert message in refused(*PLANTED, "--no-track", *words, cwd=tmp_path)


def test_it_takes_what_run_takes():
    commands = typer.main.get_command(app).commands
    own = {"jobs", "tuned", "plan", "keep", "slurm"}
    shared = {parameter.name for parameter in commands["run"].params} - own
    assert shared <= {parameter.name for parameter in commands["tune"].params}
