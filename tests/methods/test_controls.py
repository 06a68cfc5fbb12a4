"""Controls: exact rates, one survivor, and training that equals filtering each prefix."""

import numpy as np
import pytest
import torch
from hsd_toys import SIZES, SLOTS, batch
from scipy import stats
from small_models import build_backbone, build_method
from toys import training_data

from bench.components import BACKBONES
from bench.data.sequences import Sequences
from bench.methods.popularity_drop.model import noise_scores
from bench.model.backbone import Sizes
from bench.model.batch import Batch, SequenceData
from bench.model.samples import histories, windows

CONTROLS = ("random-drop", "popularity-drop", "popularity-drop:popular")


def training_histories(users=60, items=40, seed=0):
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, items + 1)
    lengths = generator.integers(1, 20, users)
    drawn = generator.choice(items, lengths.sum(), p=weights / weights.sum()) + 1
    return Sequences.from_lengths(lengths, drawn.astype(np.int32))


def control(name, train, backbone="gru4rec", seed=3, **settings):
    torch.manual_seed(0)
    sizes = Sizes(len(train), SIZES.n_items, 30)
    built = build_backbone(backbone, sizes, embedding_size=6, dropout=0.0)
    return build_method(name, training_data(sizes, train, seed), built, **settings).eval()


def everything(train, length=30):
    data = SequenceData(train)
    return data.gather(histories(data, length))


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("rate", [0.0, 0.25, 0.6, 1.0])
def test_the_rate_is_what_was_asked_for(name, rate):
    train = training_histories(users=400)
    method, rows = control(name, train, rate=rate), everything(train)
    drop, score = method._decide_batch(rows)
    share = drop[rows.valid].float().mean().item()
    counts = np.bincount(train.items)
    chance = 4 * (rate * (1 - rate) / len(train.items)) ** 0.5
    margin = chance if name == "random-drop" else counts.max() / 2 / len(train.items)
    assert abs(share - rate) <= margin + 1e-12
    assert ((score[rows.valid] >= 0) & (score[rows.valid] <= 1)).all()
    assert torch.equal(drop[rows.valid], score[rows.valid] > 1 - rate)


@pytest.mark.parametrize("name", CONTROLS)
def test_one_interaction_survives_and_it_is_the_least_noisy(name):
    train = training_histories()
    method, rows = control(name, train, rate=1.0), everything(train)
    decided = method.denoise(rows)
    assert (decided.keep.sum(1) == 1).all()
    for row in range(len(rows.items)):
        scores = decided.score[row, : int(rows.valid[row].sum())].tolist()
        last_of_lowest = max(s for s, value in enumerate(scores) if value == min(scores))
        assert decided.keep[row].nonzero().item() == last_of_lowest


def test_a_random_decision_belongs_to_the_interaction():
    """Whatever window, batch or epoch shows it."""
    train = training_histories()
    method = control("random-drop", train, rate=0.5)
    rows, data = everything(train), SequenceData(train)
    whole = {
        (int(user), int(place)): bool(dropped)
        for user, dropped_row, valid in zip(
            rows.users, method._decide_batch(rows)[0], rows.valid, strict=True
        )
        for place, dropped in enumerate(dropped_row[valid])
    }
    for epoch in range(2):
        generator = torch.Generator().manual_seed(epoch)
        seen = data.gather(windows(data, 4, generator, last_only=False))
        drop = method._decide_batch(seen)[0]
        for row, slot in torch.nonzero(seen.valid).tolist():
            key = int(seen.users[row]), int(seen.first[row]) + slot
            assert whole[key] == bool(drop[row, slot])
    assert not torch.equal(
        control("random-drop", train, seed=4, rate=0.5)._decide_batch(rows)[0],
        method._decide_batch(rows)[0],
    )


def test_random_decisions_are_independent_of_the_place():
    train = Sequences.from_lists([[1] * 20] * 500)
    drop = control("random-drop", train, rate=0.3)._decide_batch(everything(train))[0]
    for table in (drop.sum(0), drop.sum(1)[:400].view(20, 20).sum(1)):
        assert stats.chisquare(table.numpy()).pvalue > 1e-3


def test_popularity_scores_by_hand():
    counts = np.array([0, 1, 6, 0, 2, 1])  # padding, then items 1 .. 5
    ties = np.array([0, 0.9, 0, 0.5, 0.5, 0.1])
    # Rarest first: 3 (0), 5 and 1 (1 each, 5 before 1), 4 (2), 2 (6); ten in all.
    rare = [0, 1 - 0.15, 1 - 0.7, 1 - 0, 1 - 0.3, 1 - 0.05]
    assert noise_scores(counts, ties, popular_first=False).tolist() == pytest.approx(rare)
    popular = [0, 1 - 0.95, 1 - 0.3, 1 - 1, 1 - 0.7, 1 - 0.85]
    assert noise_scores(counts, ties, popular_first=True).tolist() == pytest.approx(popular)


@pytest.mark.parametrize("name", CONTROLS[1:])
def test_popularity_drops_one_end_of_the_ranking(name):
    train = training_histories(users=300)
    method = control(name, train, rate=0.4)
    counts = np.bincount(train.items, minlength=SIZES.n_items + 1)[1:]
    dropped = (method.scores[1:] > 1 - 0.4).numpy()
    assert 0 < dropped.sum() < len(dropped)
    if name == "popularity-drop":
        assert counts[dropped].max() <= counts[~dropped].min()
    else:
        assert counts[dropped].min() >= counts[~dropped].max()


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("backbone", [b for b in BACKBONES.names() if BACKBONES.get(b).causal])
def test_training_at_every_position_equals_filtering_each_prefix(name, backbone):
    train = training_histories(users=12, seed=1)
    method, data = control(name, train, backbone, rate=0.6), SequenceData(train)
    rows = data.gather(windows(data, 30, torch.Generator().manual_seed(0), last_only=False))
    expected, targets = [], []
    for row, slot in torch.nonzero(rows.targets).tolist():
        prefix = Batch(
            rows.users[row : row + 1],
            rows.items[row : row + 1, : slot + 1],
            rows.targets[row : row + 1, : slot + 1],
            rows.flat_index[row : row + 1, : slot + 1],
            rows.first[row : row + 1],
        )
        expected.append(method.user_vectors(prefix)[0])
        targets.append(int(rows.targets[row, slot]))
    scores = torch.stack(expected) @ method.item_vectors().T
    reference = torch.nn.functional.cross_entropy(scores, torch.tensor(targets) - 1)
    found = method.losses(rows)["next_item"]
    torch.testing.assert_close(found, reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONTROLS)
def test_dropping_nothing_is_the_bare_backbone(name):
    train = training_histories(users=12)
    method, rows = control(name, train, rate=0.0), batch([SLOTS, 2, 1, 4])
    plain = build_method("none", training_data(SIZES, train), method.backbone).eval()
    assert torch.equal(method.denoise(rows).keep, rows.valid)
    assert torch.equal(method.user_vectors(rows), plain.user_vectors(rows))
    torch.testing.assert_close(method.losses(rows)["next_item"], plain.losses(rows)["next_item"])
