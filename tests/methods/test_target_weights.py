"""What T-CE, R-CE, PLD and DCF share: the bare backbone's losses, keys, decisions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from weighting_toys import (
    ITEMS,
    LENGTH,
    build,
    dense,
    everything,
    gradients,
    reordered,
    targets,
    training,
)

from bench.data.load import load_dataset
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.evaluate.decisions import read_decisions
from bench.methods.parts.surprise import popularity_losses
from bench.model.batch import Batch, SequenceData
from bench.model.samples import histories
from bench.plan.grid import freeze, grid_points
from bench.plan.spec import Spec
from bench.runs.train import build_method, training_data
from bench.settings import Settings
from bench.training.trainer import Trainer

NEUTRAL = {
    "t-ce": {"rate": 0.0, "ramp": 0},
    "r-ce": {"beta": 0.0},
    "pld": {"tau": 1e30, "warmup": 0},
    "dcf": {"rate": 0.0, "ramp": 0},
}
"""Settings with which a method is the bare backbone."""
NAMES = [*NEUTRAL]
STRONG = {
    "t-ce": {"rate": 0.3, "ramp": 0},
    "r-ce": {"beta": 0.4},
    "pld": {"tau": 1.0, "warmup": 0},
    "dcf": {"rate": 0.3, "ramp": 0, "relabel": "none"},
}


@pytest.mark.parametrize("backbone", ["gru4rec", "sasrec", "caser"])
@pytest.mark.parametrize("name", NAMES)
def test_without_effect_it_is_the_bare_backbone(name, backbone):
    train = training()
    method, bare = (
        build(chosen, train, backbone, epoch=9, **NEUTRAL.get(chosen, {}))
        for chosen in (name, "none")
    )
    batch = everything(train)
    found, expected = (m.losses(batch)["next_item"] for m in (method, bare))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        gradients(method, found), gradients(bare, expected), rtol=1e-4, atol=1e-6
    )
    assert torch.equal(method.user_vectors(batch), bare.user_vectors(batch))


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_flows_through_the_weights(name):
    """The gradient is that of the losses times constants."""
    train = training()
    method = build(name, train, epoch=9, **STRONG[name])
    batch = everything(train)
    loss = method.losses(batch)["next_item"]
    found = dense(method, batch)
    mean = method.weight[batch.flat_index[batch.targets > 0] + 1] / len(found)
    scale = loss.detach() / (found.detach() * mean).sum()
    frozen = (found * mean * scale).sum()
    torch.testing.assert_close(
        gradients(method, loss), gradients(method, frozen), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_rows_changes_nothing(name):
    train = training()
    first, second = (build(name, train, epoch=9, **STRONG[name]) for _ in range(2))
    batch = everything(train)
    losses = [first.losses(batch)["next_item"], second.losses(reordered(batch))["next_item"]]
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(first.weight, second.weight)
    assert first.weight.std() > 0.01


def test_the_loss_of_popularity_by_hand():
    found = popularity_losses(Sequences.from_lists([[1, 1, 3], [1, 2]]), 4)
    expected = [-math.log(count / 9) for count in (4, 2, 2, 1)]
    assert found[1:].tolist() == pytest.approx(expected)


def test_keys_by_hand():
    train = Sequences.from_lists([[1, 1, 3], [1, 2]])
    given = targets([0.5, 2.0, 1.0], item=[1, 3, 2], slot=[1, 2, 4])
    rarity = [-math.log(count / (5 + ITEMS)) for count in (4, 2, 2)]
    expected = {
        "loss": [0.5, 2.0, 1.0],
        "rarity": rarity,
        "excess": [loss - own for loss, own in zip((0.5, 2.0, 1.0), rarity, strict=True)],
    }
    for name, keys in expected.items():
        method = build("r-ce", train, key=name)
        assert method.key(given, 0).tolist() == pytest.approx(keys, rel=1e-5)


def test_random_keys_are_the_losses_dealt_anew_each_epoch():
    train = training(users=60)
    method = build("r-ce", train, key="random")
    count = 200
    loss = torch.rand(count)
    given = targets(loss, slot=torch.arange(count))
    first, second = (method.key(given, epoch) for epoch in (0, 1))
    for keys in (first, second):
        assert torch.equal(keys.sort().values, loss.sort().values)
        assert stats.spearmanr(keys, loss).pvalue > 1e-3
    assert not torch.equal(first, second)
    order = torch.randperm(count)
    other = targets(loss[order], slot=torch.arange(count)[order])
    assert torch.equal(method.key(other, 0), first[order])


def histories_of(sequences):
    data = SequenceData(sequences)
    return data.gather(histories(data, LENGTH))


def probabilities(method, items):
    """Loss of every item of a history but the first, from its prefix alone."""
    found = []
    for end in range(1, len(items)):
        prefix = torch.tensor([items[:end]])
        given = Batch(
            torch.zeros(1, dtype=torch.long),
            prefix,
            torch.zeros_like(prefix),
            torch.arange(end)[None],
            torch.zeros(1, dtype=torch.long),
        )
        scores = method.user_vectors(given)[0] @ method.item_vectors().T
        found.append(-torch.log_softmax(scores.double(), 0)[items[end] - 1].item())
    return found


@pytest.mark.parametrize("name", ["t-ce", "r-ce", "pld"])
def test_scores_are_losses_of_the_trained_model(name):
    train = Sequences.from_lists([[3, 1, 4, 1, 5, 9, 2, 6], [7], [8, 2]])
    method = build(name, train, **STRONG[name])
    score = method.denoise(histories_of(train)).score
    expected = probabilities(method, train[0].tolist())
    assert score[0, 1:].tolist() == pytest.approx(expected, rel=1e-4)
    assert score[0, 0].item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert score[1, 0].item() == pytest.approx(math.log(ITEMS))
    assert score[2, 0].item() == pytest.approx(score[2, 1].item())


@pytest.mark.parametrize("name", NAMES)
def test_decisions_are_those_of_the_training_interactions(name):
    train = training(users=30, longest=20)
    method = build(name, train, epoch=9, **STRONG[name])
    method.losses(everything(train))
    hard = name in {"t-ce", "dcf"}
    dropped = {int(slot) for slot in torch.nonzero(method.weight == 0)}
    assert bool(dropped) == hard
    longer = Sequences.from_lists([[*row.tolist(), 1, 2] for row in train])
    for sequences in (train, longer.without_last(1)):
        batch = histories_of(sequences)
        keep = method.denoise(batch).keep
        for user, row in enumerate(train):
            for column in torch.nonzero(batch.valid[user]).flatten().tolist():
                place = int(batch.first[user]) + column
                training_one = place < len(row)
                expected = not (training_one and int(train.offsets[user]) + place in dropped)
                assert bool(keep[user, column]) == expected


def test_a_history_that_noise_shifted_has_no_decision_after_the_shift():
    train = Sequences.from_lists([[1, 2, 9, 3, 4, 5]])  # 9 was inserted into training alone
    method = build("t-ce", train, rate=0.5, ramp=0)
    method.weight.zero_()
    keep = method.denoise(histories_of(Sequences.from_lists([[1, 2, 3, 4, 5]]))).keep
    assert keep.tolist() == [[False, False, True, True, True]]


def test_diagnostics_by_hand():
    train = training(users=40)
    method = build("r-ce", train, beta=0.3)
    assert method.diagnostics() == {}
    batch = everything(train)
    method.losses(batch)
    found = method.diagnostics()
    loss = dense(method, batch).detach().double().numpy()
    weights = np.exp(-0.3 * loss)
    items = batch.targets[batch.targets > 0].numpy()
    counts = np.bincount(train.items)[items]
    assert found["mean_loss"] == pytest.approx(loss.mean(), rel=1e-5)
    expected = weights.sum() ** 2 / (len(weights) * (weights**2).sum())
    assert found["effective_share"] == pytest.approx(expected, rel=1e-5)
    assert 0 < expected < 1
    assert found["popularity_correlation"] == pytest.approx(
        stats.spearmanr(weights, counts).statistic, abs=1e-6
    )


@pytest.mark.slow
def test_the_loss_beyond_popularity_finds_planted_noise_better_than_the_loss(tmp_path):
    """After some training, on noise that is as popular as the rest."""
    settings = Settings.from_environment()
    data = load_dataset("planted", settings)
    spec = Spec(
        datasets=("planted",),
        backbones=("sasrec",),
        methods=("t-ce",),
        budget="quick",
        training={"epochs": 6},
    )
    experiment = freeze(grid_points(spec)[0], spec, data)
    split = Split.of(data)
    method = build_method(experiment, training_data(experiment, split, settings))
    trainer = Trainer(
        method,
        SequenceData(split.train),
        experiment.training,
        experiment.protocol,
        sampling="positions",
        axes=("planted", 1),
        device=torch.device("cpu"),
    )
    trainer.fit(lambda _: trainer.state.epoch, tmp_path / "c", lambda _: None)
    counts = split.item_counts().astype(np.int32)
    areas = {}
    for key in ("loss", "excess"):
        method.key.name = key
        read = read_decisions(method, split.train, counts, data.max_length, torch.device("cpu"))
        noise = data.noise_in("train")[split.train.offsets[read.user] + read.position]
        later = read.position > 0
        won = stats.mannwhitneyu(read.score[later & noise], read.score[later & ~noise]).statistic
        areas[key] = won / (noise[later].sum() * (~noise[later]).sum())
    assert areas["excess"] > areas["loss"] > 0.5
