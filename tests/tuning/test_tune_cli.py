"""``bench tune`` on the command line: what it shows, and what it refuses."""

import pytest
import typer.main
from typer.testing import CliRunner

from bench.cli.main import app
from bench.errors import BenchError


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run a command in this process; give its output."""
    monkeypatch.setenv("BENCH_STORE", str(tmp_path / "store"))

    def invoke(*words):
        done = CliRunner().invoke(app, list(words))
        if isinstance(done.exception, BenchError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return invoke


def test_the_plan_shows_spaces_and_defaults_and_runs_nothing(bench, tmp_path):
    shown = bench("tune", "planted", "--backbone", "sasrec", "--method", "none", "--plan")
    lines = shown.splitlines()
    assert lines[0].startswith("planted/sasrec/none/")
    assert lines[0].endswith("): 2 settings")
    assert lines[1].startswith("  backbone.dropout = 0.5: {'low': 0.0, 'high': 0.6")
    assert lines[2].startswith("  training.learning_rate = 0.001: {'low': 0.0001, 'high': 0.01")
    assert not (tmp_path / "store" / "tuning").exists()


def test_the_plan_encodes_no_texts(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    words = ("--backbone", "sasrec", "--method", "iadsr", "--encoder", "tfidf")
    assert "  method.theta = " in bench("tune", "planted", *words, "--plan")
    assert (tmp_path / "cache" / "datasets").is_dir()
    assert not (tmp_path / "cache" / "vectors").exists()


def test_what_is_set_is_not_in_the_plan(bench):
    words = ("tune", "planted", "--backbone", "sasrec", "--method", "none", "--plan")
    shown = bench(*words, "--set", "learning_rate=0.01", "sasrec.dropout=0.1")
    assert shown.splitlines()[0].endswith("): 0 settings")


def test_an_empty_ledger_says_so(bench):
    assert bench("tune", "--ledger") == "this store has no studies; run 'bench tune' first\n"


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
def test_wrong_words_are_one_sentence(bench, words, message):
    base = ("tune", "planted", "--backbone", "sasrec", "--no-track")
    with pytest.raises(BenchError) as caught:
        bench(*base, *(words if "--method" in words else (*words, "--method", "none")))
    assert message in str(caught.value)


def test_it_takes_what_run_takes():
    commands = typer.main.get_command(app).commands
    own = {"jobs", "tuned", "plan", "keep", "slurm"}
    shared = {parameter.name for parameter in commands["run"].params} - own
    assert shared <= {parameter.name for parameter in commands["tune"].params}
