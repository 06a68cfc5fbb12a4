"""One experiment from data to result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_toys import N_ITEMS, Opinionated, dataset, experiment

from bench.components import METHODS
from bench.data.sequences import Sequences
from bench.errors import ConfigError
from bench.evaluate.decisions import read_decisions
from bench.evaluate.metrics import parse_metric, rank_of
from bench.runs import train
from bench.runs.train import run_experiment
from bench.training.device import select_device


def test_a_learnable_pattern_is_learnt(tmp_path):
    result = run_experiment(
        experiment(training={"epochs": 40, "learning_rate": 0.02}), dataset(users=200), tmp_path
    )
    ranks = rank_of(result.ranks["test"], "all", "pessimistic")
    assert parse_metric("HR@5").mean(ranks) > 0.9
    assert result.metadata.best_epoch < result.metadata.epochs


def test_facts_and_ranks_are_complete(tmp_path):
    data = dataset()
    reported = []
    result = run_experiment(experiment(), data, tmp_path, report=reported.append)
    assert [p.epoch for p in reported] == [1, 2, 3]
    assert reported[-1].best == max(row.metric for row in result.curve)
    metadata = result.metadata
    # Every training interaction but each user's first is a target.
    assert metadata.targets_per_epoch == data.n_interactions - 3 * data.n_users
    # Table 31 x 8, two GRU layers of 3 x (8 x 8 + 8 x 8), output 8 x 8 + 8.
    assert metadata.parameters == 31 * 8 + 2 * 384 + 72
    assert set(metadata.seconds) == {"training", "validation", "test", "decisions"}
    assert metadata.peak_memory_bytes > 2**20
    test = result.ranks["test"]
    assert test.target.tolist() == [row[-1] for row in data.sequences]
    assert (test.history_length == data.sequences.lengths - 1).all()
    assert (test.candidates_all == N_ITEMS).all()
    assert (test.better_all + test.ties_all < test.candidates_all).all()
    counts = np.bincount(np.concatenate([row[:-2] for row in data.sequences]), minlength=31)
    assert (test.target_count == counts[test.target]).all()
    assert set(result.decisions) == {"train", "test"}
    assert result.decisions["test"].keep.all()


def test_the_best_epoch_is_chosen_by_the_validation_targets(tmp_path):
    data = dataset()
    result = run_experiment(
        experiment(training={"epochs": 8, "learning_rate": 0.02}), data, tmp_path
    )
    ranks = result.ranks["validation"]
    assert ranks.target.tolist() == [row[-2] for row in data.sequences]
    places = ranks.better_all + ranks.ties_all + 1  # a tie counts against the target
    by_hand = sum(1 / np.log2(place + 1) for place in places if place <= 10) / data.n_users
    figures = [row.metric for row in result.curve]
    best = result.metadata.best_epoch
    assert len(set(figures)) > 1
    assert figures[best] == max(figures) == result.metadata.best_metric
    assert figures[best] == pytest.approx(by_hand)


def test_two_runs_agree_bit_for_bit(tmp_path):
    runs = [run_experiment(experiment(), dataset(), tmp_path / str(n)) for n in range(2)]
    for name, column in runs[0].ranks["test"].columns().items():
        assert (column == runs[1].ranks["test"].columns()[name]).all()
    other = run_experiment(experiment(seed=2), dataset(), tmp_path / "other")
    assert other.curve[0].loss != runs[0].curve[0].loss
    noisy = experiment(dataset=f"{experiment().dataset}+random:0.1")
    same_seeds = run_experiment(noisy, dataset(), tmp_path / "noisy")
    assert same_seeds.curve[-1].loss == runs[0].curve[-1].loss


def test_every_method_draws_the_same_samples(tmp_path, monkeypatch):
    """Axes of the data: what is drawn does not depend on the method (promises P5 and P6)."""
    drawn = []
    original = train.Trainer.samples
    monkeypatch.setattr(
        train.Trainer,
        "samples",
        lambda self, epoch: drawn.append(original(self, epoch)) or drawn[-1],
    )
    for number, backbone in enumerate(("gru4rec", "sasrec")):
        run_experiment(
            experiment(backbone=backbone, training={"epochs": 1}), dataset(), tmp_path / str(number)
        )
    assert torch.equal(drawn[0].start, drawn[-1].start)


def test_prefix_samples_for_the_bare_backbone(tmp_path):
    training = {"samples": "prefixes", "prefixes_per_user": 2}
    metadata = run_experiment(experiment(training=training), dataset(), tmp_path).metadata
    assert metadata.sampling == "prefixes"
    assert metadata.prefixes_per_user == 2
    assert metadata.targets_per_epoch == 2 * 40


def test_samples_that_leak_are_refused():
    entry = METHODS.get("none")
    strict = type(entry)(**(vars(entry) | {"sampling": "prefixes", "either_sampling": False}))
    with pytest.raises(ConfigError, match="would see its own targets"):
        strict.sampling_for("positions")
    assert strict.sampling_for("auto") == strict.sampling_for("prefixes") == "prefixes"


def test_read_outs_follow_the_original_interactions():
    sequences = Sequences.from_lists([[3, 4, 5, 6], [2], [9, 8, 7]])
    counts = np.arange(10, dtype=np.int32)
    out = read_decisions(Opinionated(9), sequences, counts, 3, torch.device("cpu"))
    assert out.user.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert out.position.tolist() == [1, 2, 3, 0, 0, 1, 2]
    assert out.item.tolist() == [4, 5, 6, 2, 9, 8, 7]
    assert out.keep.tolist() == [True, False, True, True, False, True, False]
    assert out.score.tolist() == out.item.tolist()
    assert out.item_count.tolist() == out.item.tolist()


@pytest.mark.parametrize(
    ("name", "message"), [("gpu", "is not a device"), ("meta", "is not supported")]
)
def test_unusable_devices_are_named(name, message):
    with pytest.raises(ConfigError, match=message):
        select_device(name)
