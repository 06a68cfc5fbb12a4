"""DuoRec's draws against loops, its loss against one written from the official code's rules."""

import math
from collections import Counter

import pytest
import torch
from small_models import build_backbone
from toys import training_data

from bench.components import METHODS
from bench.data.sequences import Sequences
from bench.methods.duorec.config import DuoRecConfig
from bench.methods.duorec.model import DuoRec
from bench.methods.duorec.positives import SameTarget
from bench.methods.none.config import NoneConfig
from bench.methods.none.model import BareBackbone
from bench.model.backbone import Sizes
from bench.model.batch import Rows, SequenceData

HISTORIES = [[1, 2, 3, 4, 2], [5, 4, 3, 2], [6, 7, 8], [9, 8, 7], [3, 9], [2]]
TRAIN = Sequences.from_lists(HISTORIES)
SIZES = Sizes(n_users=len(HISTORIES), n_items=9, max_length=3)
TARGETS = [(user, at) for user, row in enumerate(HISTORIES) for at in range(1, len(row))]
"""User and place of each interaction that can be a target."""


def slot_of(user, at):
    return sum(map(len, HISTORIES[:user])) + at


def build(config=None, model=DuoRec, dropout=0.0):
    torch.manual_seed(0)
    backbone = build_backbone("sasrec", SIZES, embedding_size=6, dropout=dropout)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(std=0.5)
        backbone.zero_padding()
    data = training_data(SIZES, TRAIN)
    return model(DuoRecConfig() if config is None else config, data, backbone)


def pairs_batch(targets):
    """One row for each target: what precedes it, at most three items."""
    begins = [max(0, at - SIZES.max_length) for _, at in targets]
    flat = [slot_of(user, begin) for (user, _), begin in zip(targets, begins, strict=True)]
    lengths = [at - begin for (_, at), begin in zip(targets, begins, strict=True)]
    users = [user for user, _ in targets]
    rows = Rows(*map(torch.tensor, (users, flat, lengths, [1] * len(targets))))
    return SequenceData(TRAIN).gather(rows)


def test_another_target_with_the_same_item_is_drawn():
    torch.manual_seed(0)
    positives = SameTarget(TRAIN, SIZES.max_length)
    for user, at in TARGETS:
        item = HISTORIES[user][at]
        others = {slot_of(u, a) for u, a in TARGETS if HISTORIES[u][a] == item}
        others = others - {slot_of(user, at)} or {slot_of(user, at)}
        drawn = Counter(positives.draw(torch.full((400,), slot_of(user, at))).tolist())
        assert drawn.keys() == others
        assert min(drawn.values()) > 400 / len(others) / 2


def test_the_history_before_a_target_is_gathered():
    slots = torch.tensor([slot_of(user, at) for user, at in TARGETS])
    items, users = SameTarget(TRAIN, SIZES.max_length).histories(slots)
    found = [[item for item in row if item] for row in items.tolist()]
    assert found == [HISTORIES[user][max(0, at - 3) : at] for user, at in TARGETS]
    assert users.tolist() == [user for user, _ in TARGETS]
    assert all(row[: len(full)] == full for row, full in zip(items.tolist(), found, strict=True))


def info_nce(first, second, temperature, cosine=False, labels=None):
    """The official loss in Python numbers: all but a view and its partner are negatives.

    With labels, views of rows with an equal one are no negatives either.
    """
    views, count = [*first.tolist(), *second.tolist()], len(first)

    def similarity(a, b):
        product = sum(x * y for x, y in zip(a, b, strict=True))
        length = math.hypot(*a) * math.hypot(*b) if cosine else 1.0
        return product / length / temperature

    total = 0.0
    for i, view in enumerate(views):
        partner = (i + count) % (2 * count)
        negatives = [j for j in range(2 * count) if j not in {i, partner}]
        if labels is not None:
            negatives = [j for j in negatives if labels[j % count] != labels[i % count]]
        own = similarity(view, views[partner])
        rest = sum(math.exp(similarity(view, views[j])) for j in negatives)
        total += math.log(math.exp(own) + rest) - own
    return total / (2 * count)


def recorded(method, batch):
    """Losses of a batch, the vectors that predicted and those of the later passes."""
    predicted, later = [], []
    next_item_loss, vectors_of = method.next_item_loss, method._vectors

    def loss(vectors, table, targets):
        predicted.append(vectors.detach().double())
        return next_item_loss(vectors, table, targets)

    def vectors(*given):
        found = vectors_of(*given)
        later.append(found.detach().double())
        return found

    method.next_item_loss, method._vectors = loss, vectors
    return method.losses(batch), predicted[0], later


@pytest.mark.parametrize("same_target", ["negatives", "left_out"])
@pytest.mark.parametrize("similarity", ["inner", "cosine"])
@pytest.mark.parametrize("pairs", ["us_x", "us", "un", "su"])
def test_the_losses_are_those_of_the_official_code(pairs, similarity, same_target):
    config = DuoRecConfig(
        pairs=pairs,
        similarity=similarity,
        same_target=same_target,
        temperature=0.7,
        weight=0.3,
        dropout_weight=0.2,
    )
    batch = pairs_batch(TARGETS)
    losses, own, later = recorded(build(config, dropout=0.5).train(), batch)
    labels = None
    if same_target == "left_out":
        labels = [HISTORIES[user][at] for user, at in TARGETS]

    def expected(first, second):
        return info_nce(first, second, 0.7, similarity == "cosine", labels)

    compared = {
        "us_x": {"contrast": lambda again, alike: 0.3 * expected(again, alike)},
        "us": {
            "dropout_contrast": lambda again, alike: 0.2 * expected(own, again),
            "contrast": lambda again, alike: 0.3 * expected(own, alike),
        },
        "un": {"dropout_contrast": lambda again: 0.2 * expected(own, again)},
        "su": {"contrast": lambda alike: 0.3 * expected(own, alike)},
    }[pairs]
    assert losses.keys() == {"next_item", *compared}
    for name, value in compared.items():
        assert losses[name].item() == pytest.approx(value(*later), rel=1e-5)


def test_passes_read_a_history_again_and_one_before_the_same_item():
    method = build().eval()
    _, own, (again, alike) = recorded(method, pairs_batch(TARGETS))
    torch.testing.assert_close(again, own, rtol=1e-4, atol=1e-5)
    for (user, at), vector in zip(TARGETS, alike, strict=True):
        item = HISTORIES[user][at]
        others = [(u, a) for u, a in TARGETS if HISTORIES[u][a] == item and (u, a) != (user, at)]
        histories = [HISTORIES[u][max(0, a - 3) : a] for u, a in others or [(user, at)]]
        possible = [
            method.backbone.encode_last(
                method.backbone.embed(torch.tensor([items])), torch.ones(1, len(items)).bool()
            )[0]
            for items in histories
        ]
        assert any(torch.allclose(vector.float(), one, atol=1e-5) for one in possible)


def test_one_target_of_each_row_is_contrasted():
    """At all positions, the state of the drawn one is that of the history before it."""
    torch.manual_seed(0)
    method = build(DuoRecConfig(pairs="un")).eval()
    rows = Rows(*(torch.tensor(x) for x in ([0, 1, 2], [0, 5, 9], [3, 3, 2], [2, 3, 1])))
    batch = SequenceData(TRAIN).gather(rows)
    drawn = set()
    for _ in range(40):
        places = method._draw(batch.targets > 0)
        assert all(batch.targets[row, place] for row, place in enumerate(places.tolist()))
        drawn.add(tuple(places.tolist()))
    assert len(drawn) == 2 * 3, "every predicted position may be drawn"
    losses, own, (again,) = recorded(method, batch)
    table = {
        tuple(vector): row
        for row, vectors in enumerate(own.split([2, 3, 1]))
        for vector in vectors.round(decimals=4).tolist()
    }
    assert [table[tuple(vector)] for vector in again.round(decimals=4).tolist()] == [0, 1, 2]
    assert losses["dropout_contrast"].item() == pytest.approx(
        0.1 * info_nce(again, again, 1.0), rel=1e-5
    )


def test_without_weight_it_is_the_bare_backbone():
    batch = pairs_batch(TARGETS)
    bare = build(NoneConfig(), BareBackbone)
    without = build(DuoRecConfig(weight=0.0))
    for method in (bare, without):
        sum(method.losses(batch).values()).backward()
    weights = zip(bare.backbone.parameters(), without.backbone.parameters(), strict=True)
    assert all(a.grad.equal(b.grad) for a, b in weights)
    assert without.losses(batch).keys() == {"next_item"}


def test_variants_train():
    for variant in METHODS.get("duorec").variants:
        config = METHODS.get(f"duorec:{variant.name}").parse({}, "here")
        losses = build(config).losses(pairs_batch(TARGETS))
        assert all(part.isfinite() for part in losses.values())
