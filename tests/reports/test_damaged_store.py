"""Values of another type in the files of a store: sentences, never tracebacks or other figures."""

import json
import shutil

import pytest
from made_up_store import make_experiment, save
from typer.testing import CliRunner

from bench.cli.main import app
from bench.errors import BenchError
from bench.manifest import MANIFEST, seal
from bench.runs.store import Store

VALUES = [None, True, -1, 10**400, float("nan"), float("inf"), "x", [], [1], {"a": 1}]
PLACES = [
    *(("experiment.json", place) for place in ("", "key", "finished", "experiment seed")),
    *(("metadata.json", place) for place in ("", "epochs", "seconds train", "diagnostics")),
    *(("curve.json", place) for place in ("0", "0 seconds", "0 metric")),
    *(("failure", place) for place in ("", "dataset", "when", "attempts")),
]
VERBS = [("ls", "runs"), ("report",), ("diff", "*/none", "*/hsd")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    for method in ("none", "hsd"):
        save(root, make_experiment(method), [1, 2, 3])
    Store(root).record_failure(make_experiment("steam"), "it broke")
    return root


def changed(content, place, value):
    """Plain data with another value at a place: keys and indices, with spaces between."""
    if not place:
        return value
    *outer, last = (int(word) if word.isdigit() else word for word in place.split())
    inner = content
    for word in outer:
        inner = inner[word]
    inner[last] = value
    return content


@pytest.mark.parametrize("case", range(len(PLACES)), ids=lambda case: "-".join(PLACES[case]))
def test_a_value_of_another_type_is_a_sentence_or_is_left_out(case, whole, tmp_path):
    name, place = PLACES[case]
    for number, value in enumerate(VALUES[(case + 1) % 3 :: 3]):
        root = tmp_path / str(number)
        shutil.copytree(whole, root)
        [failure] = (root / "failures").iterdir()
        experiment = Store(root).load(make_experiment().key).folder
        path = failure if name == "failure" else experiment / name
        path.write_text(json.dumps(changed(json.loads(path.read_text()), place, value)))
        (experiment / MANIFEST).unlink()
        seal(experiment)
        verb = VERBS[(case + number + 2) % len(VERBS)]
        done = CliRunner().invoke(app, [*verb, "--store", str(root)])
        assert isinstance(done.exception, BenchError | SystemExit | None), (verb, value)
