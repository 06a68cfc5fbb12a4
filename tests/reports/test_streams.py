"""Streams that are closed, full or of another code page end no command in a traceback."""

import io
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from made_up_store import make_experiment, save
from typer.testing import CliRunner

from bench.cli.main import app, main
from bench.runs.run_one import ExperimentOutcome
from bench.runs.store import Store
from bench.version import __version__

A, B = "ml-100k/sasrec/hsd", "ml-100k/sasrec/none"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("streams") / "Война"
    rng = np.random.default_rng(4)
    for method, skill in {"none": 0.05, "hsd": 0.12}.items():
        for seed in (1, 2):
            save(root, make_experiment(method, "sasrec", seed), rng.geometric(skill, 200))
    return root


def code(*words, monkeypatch, stdout, stderr=None):
    """Run a command with these streams and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, words)])
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(
    "words",
    [("run", "planted"), ("report", "--store"), ("diff", A, B, "--store")],
    ids=lambda words: words[0],
)
def test_a_code_page_without_our_characters(words, store, monkeypatch):
    done = [
        ExperimentOutcome(stored.key, "Война", "finished") for stored in Store(store).experiments()
    ]
    failed = [ExperimentOutcome("0" * 64, "ends", "failed", "with \N{UPWARDS ARROW}")]
    monkeypatch.setattr("bench.api.execute.execute_spec", lambda *_, **__: done + failed)
    streams = [io.TextIOWrapper(io.BytesIO(), "cp1252", "strict") for _ in range(2)]
    words = (*words, store) if words[-1] == "--store" else (*words, "--store", store)
    ended = code(*words, monkeypatch=monkeypatch, stdout=streams[0], stderr=streams[1])
    shown, told = (stream.buffer.getvalue().decode("cp1252") for stream in streams)
    assert "NDCG@10" in shown
    assert "Traceback" not in told
    assert ended == (1 if words[0] == "run" else 0)
    assert words[0] != "run" or "failed: ends: with ?" in told


def test_standard_output_that_is_full(monkeypatch):
    stream = io.StringIO()
    with suppress(OSError), Path("/dev/full").open("w") as full:
        assert code("ls", "methods", monkeypatch=monkeypatch, stdout=full, stderr=stream) == 2
    assert stream.getvalue().startswith("error: cannot write the output: No space left on device")


class Full(io.StringIO):
    def write(self, _):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stderr", [None, Full()])
def test_standard_error_that_is_closed_or_full(monkeypatch, stderr):
    assert code("ls", "no", monkeypatch=monkeypatch, stdout=io.StringIO(), stderr=stderr) == 2


def said(*words, monkeypatch):
    """Return the exit code and what standard error got."""
    stream = io.StringIO()
    ended = code(*words, monkeypatch=monkeypatch, stdout=io.StringIO(), stderr=stream)
    return ended, stream.getvalue()


def test_values_send_no_escape_sequences(monkeypatch):
    ended, text = said("run", "a\x1b[31mb", monkeypatch=monkeypatch)
    assert ended == 2
    assert text.startswith("error: 'ab' is neither a file")


def test_the_version():
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"bench {__version__}\n")


def test_a_traceback_is_shown_where_it_is_asked_for(monkeypatch):
    ended, text = said("run", "nothing", monkeypatch=monkeypatch)
    assert (ended, len(text.splitlines())) == (2, 1)
    ended, text = said("--debug", "run", "nothing", monkeypatch=monkeypatch)
    assert text.startswith("Traceback")
    assert text.splitlines()[-1].startswith("error: 'nothing' is neither a file")
