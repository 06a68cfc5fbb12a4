"""The comparison with RecBole: its arithmetic and its refusals; no verdict on speed."""

import json
import sys

import pytest
from typer.testing import CliRunner

from bench.cli.perf import app
from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.errors import BenchError, ConfigError
from bench.perf.compare import Effort, run_peer, table, write_atomic_inter
from bench.perf.side import Side

DATA = Dataset(
    name="toy",
    fingerprint="f" * 64,
    sequences=Sequences.from_lists([[2, 1, 3], [3, 2, 1]]),
    user_ids=["a", "b"],
    item_ids=["x", "y", "z"],
    item_texts=["", "", ""],
    max_length=5,
)
EPOCHS = [(4.0, 1.0, 0.1), (2.0, 3.0, 0.3), (6.0, 5.0, 0.2)]
"""Training seconds, evaluation seconds and validation NDCG@10."""


def lines(epochs, end=True):
    yield {"event": "start", "targets": 7}
    for number, (training, evaluation, figure) in enumerate(epochs):
        yield {
            "event": "epoch",
            "epoch": number,
            "training_seconds": training,
            "evaluation_seconds": evaluation,
            "validation": {"ndcg@10": figure},
        }
    if end:
        yield {"event": "end", "test": {"hit@10": 0.5}, "peak_memory_bytes": 3 * 2**20}


@pytest.fixture
def side(tmp_path):
    def write(name="ours", epochs=EPOCHS, end=True):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in lines(epochs, end)))
        return Side.read(name, path)

    return write


def test_a_side_is_read_as_it_was_written(side):
    ours = side()
    assert (ours.targets, ours.test, ours.peak_memory_bytes) == (7, {"hit@10": 0.5}, 3 * 2**20)
    assert (ours.seconds_per_epoch, ours.seconds_per_evaluation) == (4.0, 3.0)  # medians
    assert ours.best_validation == 0.3


def test_time_to_a_figure_counts_training_and_evaluation_until_it_is_reached(side):
    ours = side()
    assert (ours.epochs_to(0.1), ours.seconds_to(0.1)) == (1, 5.0)
    assert (ours.epochs_to(0.25), ours.seconds_to(0.25)) == (2, 10.0)
    assert (ours.epochs_to(0.4), ours.seconds_to(0.4)) == (None, None)


def test_the_table_divides_theirs_by_ours(side):
    rows = {
        experiments[0]: experiments[1:]
        for line in table("sasrec", side("theirs", [(40.0, 9.0, 0.25)]), side("ours")).splitlines()
        if (experiments := [experiment.strip() for experiment in line.strip("|").split("|")])
    }
    assert rows["sasrec, 7 targets"] == ["theirs", "ours", "ratio"]
    assert rows["seconds per epoch"] == ["40.0", "4.0", "10.00"]
    assert rows["seconds per full ranking"] == ["9.0", "3.0", "3.00"]
    assert rows["seconds to the peer's best validation"] == ["49.0", "10.0", "4.90"]
    assert rows["test hit@10"] == ["0.5000", "0.5000", "1.00"]


def test_a_figure_that_is_never_reached_has_no_ratio(side):
    text = table("sasrec", side("theirs", [(1.0, 1.0, 0.9)]), side("ours"))
    [line] = [line for line in text.splitlines() if "to the peer's best" in line]
    assert [experiment.strip() for experiment in line.strip("|").split("|")][2:] == [
        "not reached",
        "-",
    ]


def test_a_run_that_was_cut_off_is_named(side):
    with pytest.raises(BenchError, match="has no end: that run was cut off"):
        side(end=False)


def test_the_peer_reads_the_same_histories(tmp_path):
    write_atomic_inter(DATA, tmp_path)
    rows = (tmp_path / "toy" / "toy.inter").read_text().splitlines()
    assert rows[0] == "user_id:token\titem_id:token\ttimestamp:float"
    assert rows[1:] == ["0\t2\t0", "0\t1\t1", "0\t3\t2", "1\t3\t0", "1\t2\t1", "1\t1\t2"]


def test_an_environment_without_the_peer_is_named(tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nraise SystemExit('No module named recbole')\n")
    python.chmod(0o755)
    with pytest.raises(BenchError, match=r"could not run its side .*No module named recbole"):
        run_peer(python, DATA, "sasrec", Effort(1, 1, 1, 2048, 1), tmp_path)


def test_a_python_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BenchError, match="absent"):
        run_peer(tmp_path / "absent", DATA, "sasrec", Effort(1, 1, 1, 2048, 1), tmp_path)


def test_a_backbone_that_the_peer_lacks_is_refused():
    result = CliRunner().invoke(app, ["recbole", "--python", "python", "--backbone", "sasrek"])
    assert isinstance(result.exception, ConfigError)
    assert "did you mean 'sasrec'" in str(result.exception)
