"""Streams that are closed, full or of another code page end no command in a traceback."""

import io
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from command import called
from made_up_store import make_experiment, save

from bench.cli.main import main
from bench.runs.run_one import ExperimentOutcome
from bench.runs.store import Store

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
    monkeypatch.setattr("bench.api.run.execute_spec", lambda *_, **__: done + failed)
    streams = [io.TextIOWrapper(io.BytesIO(), "cp1252", "strict") for _ in range(2)]
    words = (*words, store) if words[-1] == "--store" else (*words, "--store", store)
    ended = code(*words, monkeypatch=monkeypatch, stdout=streams[0], stderr=streams[1])
    shown, said = (stream.buffer.getvalue().decode("cp1252") for stream in streams)
    assert "NDCG@10" in shown
    assert "Traceback" not in said
    assert ended == (1 if words[0] == "run" else 0)
    assert words[0] != "run" or "failed: ends: with ?" in said


def test_standard_output_that_is_full(monkeypatch):
    said = io.StringIO()
    with suppress(OSError), Path("/dev/full").open("w") as full:
        assert code("ls", "methods", monkeypatch=monkeypatch, stdout=full, stderr=said) == 2
    assert said.getvalue().startswith("error: cannot write the output: No space left on device")


class Full(io.StringIO):
    def write(self, _):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stderr", [None, Full()])
def test_standard_error_that_is_closed_or_full(monkeypatch, stderr):
    assert code("ls", "no", monkeypatch=monkeypatch, stdout=io.StringIO(), stderr=stderr) == 2


def test_titles_and_values_send_no_escape_sequences(tmp_path):
    done = called("run", "a\x1b[31mb", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: 'ab' is neither a file")


def test_the_version(tmp_path):
    assert called("--version", cwd=tmp_path).stdout == "bench 0.1.0\n"


def test_a_traceback_is_shown_where_it_is_asked_for(tmp_path):
    assert "Traceback" not in called("run", "nothing", cwd=tmp_path).stderr
    shown = called("--debug", "run", "nothing", cwd=tmp_path).stderr
    assert shown.startswith("Traceback")
    assert shown.splitlines()[-1].startswith("error: 'nothing' is neither a file")
