"""The comparison with RecBole: its arithmetic and its refusals; no verdict on speed."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import compare_recbole
import pytest
import recbole_peer
import torch
from compare_recbole import (
    METRICS,
    Side,
    our_experiment,
    read_peer,
    run_peer,
    table,
    write_atomic_inter,
)

from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.errors import BenchError, ConfigError

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
    settings = {"MAX_ITEM_LIST_LENGTH": 5}
    yield {"event": "start", "model": "BERT4Rec", "targets": 7, "settings": settings}
    for number, (training, evaluation, figure) in enumerate(epochs):
        yield {
            "event": "epoch",
            "epoch": number,
            "training_seconds": training,
            "evaluation_seconds": evaluation,
            "validation": {"ndcg@10": figure},
        }
    if end:
        test = dict.fromkeys(METRICS.values(), 0.5)
        yield {"event": "end", "test": test, "peak_memory_bytes": 3 * 2**20}


@pytest.fixture
def side(tmp_path):
    def write(epochs=EPOCHS, end=True):
        path = tmp_path / "out.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in lines(epochs, end)))
        return Side.read(path)

    return write


def options(*words):
    return compare_recbole.parser().parse_args(list(words))


def test_a_side_is_read_as_it_was_written(side):
    theirs = side()
    assert (theirs.targets, theirs.peak_memory_bytes) == (7, 3 * 2**20)
    assert theirs.test["HR@10"] == 0.5
    assert theirs.best_validation == 0.3


def test_time_to_a_figure_counts_training_and_evaluation_until_it_is_reached(side):
    found = side()
    assert (found.epochs_to(0.1), found.seconds_to(0.1)) == (1, 5.0)
    assert (found.epochs_to(0.25), found.seconds_to(0.25)) == (2, 10.0)
    assert (found.epochs_to(0.4), found.seconds_to(0.4)) == (None, None)


def test_the_table_divides_theirs_by_ours(side):
    rows = {what: figures for what, *figures in table([side([(40.0, 9.0, 0.25)]), side()])}
    assert rows["seconds per epoch"] == ["40.0", "4.0", "10.00"]  # medians
    assert rows["seconds per full ranking"] == ["9.0", "3.0", "3.00"]
    assert rows["seconds to RecBole 1.2.1's best validation"] == ["49.0", "10.0", "4.90"]
    assert rows["test HR@10"] == ["0.5000", "0.5000", "1.00"]


def test_one_side_alone_has_no_ratio(side):
    assert table([side()])[0] == ["seconds per epoch", "4.0"]


def test_a_figure_that_is_never_reached_has_no_ratio(side):
    [row] = [row for row in table([side([(1.0, 1.0, 0.9)]), side()]) if row[0] == "epochs to it"]
    assert row[2:] == ["not reached", "-"]


def test_a_run_that_was_cut_off_is_named(side):
    with pytest.raises(BenchError, match="has no end: that run was cut off"):
        side(end=False)


def test_the_peer_reads_the_same_histories(tmp_path):
    write_atomic_inter(DATA, tmp_path)
    rows = (tmp_path / "toy" / "toy.inter").read_text().splitlines()
    assert rows[0] == "user_id:token\titem_id:token\ttimestamp:float"
    assert rows[1:] == ["a\ty\t0", "a\tx\t1", "a\tz\t2", "b\tz\t0", "b\ty\t1", "b\tx\t2"]


@pytest.mark.process
def test_the_peer_is_run_as_asked(tmp_path):
    """A stand-in for Python writes what it was asked and RecBole's figures."""
    python = tmp_path / "python"
    rows = "".join(json.dumps(row) + "\n" for row in lines(EPOCHS))
    python.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\nwords = sys.argv[1:]\n"
        f"pathlib.Path({str(tmp_path / 'asked')!r}).write_text('\\n'.join(words))\n"
        f"pathlib.Path(words[words.index('--out') + 1]).write_text({rows!r})\n"
    )
    python.chmod(0o755)
    words = ["--python", str(python), "--epochs", "9", "--peer-epochs", "4", "--threads", "2"]
    found = run_peer(options(*words), DATA, "caser", 5)
    assert found.validation == [0.1, 0.3, 0.2]
    script, *asked = (tmp_path / "asked").read_text().splitlines()
    given = dict(zip(asked[::2], asked[1::2], strict=True))
    assert script.endswith("benchmarks/recbole_peer.py")
    assert (given["--model"], given["--name"], given["--max-length"]) == ("Caser", "toy", "5")
    assert (given["--epochs"], given["--threads"], given["--batch"]) == ("4", "2", "2048")


@pytest.mark.process
def test_an_environment_without_the_peer_is_named(tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nraise SystemExit('No module named recbole')\n")
    python.chmod(0o755)
    with pytest.raises(BenchError, match=r"could not run RecBole .*No module named recbole"):
        run_peer(options("--python", str(python)), DATA, "sasrec", 5)


def test_a_python_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BenchError, match="absent"):
        run_peer(options("--python", str(tmp_path / "absent")), DATA, "sasrec", 5)


def test_a_peer_that_was_trained_before_is_held_against_ours(side, tmp_path):
    side()
    path = tmp_path / "out.jsonl"
    sevens = replace(DATA, sequences=Sequences.from_lists([[1] * 7, [2] * 6, [3, 1]]))
    assert read_peer(path, sevens, "bert4rec", 5).test["HR@10"] == 0.5
    for data, backbone, length in (
        (DATA, "bert4rec", 5),
        (sevens, "caser", 5),
        (sevens, "bert4rec", 6),
    ):
        with pytest.raises(BenchError, match=r"out\.jsonl is BERT4Rec of 7 targets with"):
            read_peer(path, data, backbone, length)


@pytest.mark.parametrize("content", [None, "user,target,rank\n", "[1]\n", '{"event": "end"}\n'])
def test_what_is_no_peer_is_refused_in_one_sentence(content, tmp_path):
    path = tmp_path / "out.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BenchError, match="correct --peer"):
        read_peer(path, DATA, "bert4rec", 5)


def test_a_peer_of_one_model_is_not_set_beside_several():
    with pytest.raises(ConfigError, match="is of one model"):
        compare_recbole.main(options("--peer", "out.jsonl", "--dataset", "planted"))


def test_settings_of_our_side_are_those_of_bench_run():
    words = ["--dataset", "planted", "--method", "none:cloze", "--epochs", "7"]
    made = our_experiment(
        options(*words, "--set", "patience=50", "max_length=20"), "bert4rec", DATA
    )
    assert (made.method, made.training.epochs, made.training.patience) == ("none:cloze", 7, 50)
    assert made.protocol.max_length == 20
    with pytest.raises(ConfigError, match="unknown setting 'patienc'; did you mean 'patience'"):
        our_experiment(options("--dataset", "planted", "--set", "patienc=5"), "sasrec", DATA)


def test_a_backbone_that_the_peer_lacks_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'sasrec'"):
        compare_recbole.main(options("--python", "python", "--backbone", "sasrek"))


@pytest.mark.process
@pytest.mark.slow
def test_our_side_alone_is_trained_and_printed(capsys):
    words = ["--dataset", "planted", "--backbone", "gru4rec", "--epochs", "2", "--threads", "1"]
    compare_recbole.main(options(*words))
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line]
    assert cells[0][1:] == ["this project"]
    shown = {row[0]: row[1] for row in cells[2:]}
    assert shown["epochs to it"] in {"1.0", "2.0"}
    assert 0 <= float(shown["test HR@5"]) <= float(shown["test HR@20"]) <= 1


def test_ranks_of_a_peer_are_whole_and_ties_count_against_the_target(tmp_path):
    # One column for each item behind that of the padding, which is never ranked.
    scores = torch.tensor([[9.0, 3.0, 1.0, 3.0], [9.0, 0.0, 2.0, 1.0]])
    model = SimpleNamespace(eval=lambda: None, device="cpu", full_sort_predict=lambda rows: scores)

    class Rows(dict):
        def to(self, device):
            return self

        def __len__(self):
            return 2

    def names(field, ids):
        return [f"{field[0]}{number}" for number in ids.tolist()]

    class Loader(list):
        dataset = SimpleNamespace(id2token=names)

    users, items = torch.tensor([7, 8]), torch.tensor([3, 2])
    loader = Loader([(Rows(user_id=users), None, torch.tensor([0, 1]), items)])
    recbole_peer._write_ranks(tmp_path / "ranks.csv", model, loader)
    assert (tmp_path / "ranks.csv").read_text().splitlines() == [
        "user,target,rank",
        "u7,i3,2",
        "u8,i2,1",
    ]
