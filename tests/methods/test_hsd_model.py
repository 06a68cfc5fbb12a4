"""HSD as a whole: what reaches the backbone, what learns, what evaluation may not see."""

import math
from dataclasses import replace

import pytest
import torch
from hsd_toys import SIZES, SLOTS, TRAINING, WIDTH, batch, inputs, model, shaken
from scipy import stats
from torch_layers import load

from bench.components import BACKBONES, METHODS
from bench.methods.hsd.core import HSDDraws
from bench.methods.none.config import NoneConfig
from bench.methods.none.model import BareBackbone

LENGTHS = [7, 1, 3, 5, 2, 6, 1]


def open_gates(method, monkeypatch):
    monkeypatch.setattr(method.core.gates, "decide", lambda output: output.valid)
    monkeypatch.setattr(
        method.core.gates, "sample", lambda output, tau, noise=None: output.valid.float()
    )
    return method


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_open_gates_give_the_plain_backbone(monkeypatch, backbone):
    method, rows = open_gates(model(backbone), monkeypatch), batch(LENGTHS)
    bare = BareBackbone(NoneConfig(), TRAINING, method.backbone).eval()
    torch.testing.assert_close(
        method.user_vectors(rows), bare.user_vectors(rows), rtol=1e-5, atol=1e-6
    )
    prefixes = method.losses(rows)["next_item"]
    torch.testing.assert_close(prefixes, _bare_loss(method, rows), rtol=1e-5, atol=1e-6)


def _bare_loss(method, rows):
    """Cross-entropy of the rows that the curriculum of the first epoch leaves, by torch."""
    targets = rows.targets.sum(1)
    x = method.backbone.embed(rows.items)
    output = method.core.gates(x, rows.valid, method.backbone.embed(targets))
    easiest = output.reconstruction.argsort()[: int(0.8 * len(targets))]
    state = method.backbone.encode_last(x, rows.valid, rows.users)
    scores = method.backbone.scores(state)
    return torch.nn.functional.cross_entropy(scores[easiest], targets[easiest] - 1)


def test_the_backbone_reads_the_survivors_alone():
    """Equal to encoding each row's kept items as a sequence of their own."""
    method, rows = model("gru4rec", gate_logits="raw"), batch(LENGTHS * 6, seed=3)
    keep = method.denoise(rows).keep
    assert (keep != rows.valid).any()
    vectors = method.user_vectors(rows)
    for row in range(len(rows.items)):
        kept = rows.items[row][keep[row]][None]
        state = method.backbone.encode_last(method.backbone.embed(kept), kept > 0)
        torch.testing.assert_close(vectors[row], method.backbone.project(state)[0])


def test_sampled_training_reads_the_survivors_alone():
    method, rows = model("sasrec").train(), batch(LENGTHS)
    targets = rows.targets.sum(1)
    draws = method.core.draw(rows.valid.shape, targets, SIZES.n_items)
    query = method.backbone.embed(targets)
    given = inputs(method, rows)
    parts = method.core.losses(method.backbone, method.next_item_loss, given, targets, draws)
    # Slot statistics are those of the batch: ask again, in the same mode.
    output = method.core.gates(given.embedded, given.valid, query)
    keep = method.core.gates.sample(output, method.core.schedules.tau, draws.gates) > 0
    losses = []
    for row in output.reconstruction.argsort()[: int(0.8 * len(LENGTHS))].tolist():
        kept = rows.items[row][keep[row]][None]
        state = method.backbone.encode_last(method.backbone.embed(kept), kept > 0)
        scores = method.backbone.scores(state)[0]
        losses.append(-scores.log_softmax(0)[targets[row] - 1])
    torch.testing.assert_close(parts["next_item"], torch.stack(losses).mean())


def test_all_three_losses_by_hand():
    changes = {"curriculum_rate": 0.0, "weight_reconstruction": 0.5, "weight_interest": 0.25}
    method, rows = model(interest_reduction="mean", **changes), batch(LENGTHS)
    targets = rows.targets.sum(1)
    draws = method.core.draw(rows.valid.shape, targets, SIZES.n_items)
    given = inputs(method, rows)
    parts = method.core.losses(method.backbone, method.next_item_loss, given, targets, draws)
    output = method.core.gates(given.embedded, given.valid, method.backbone.embed(targets))
    torch.testing.assert_close(parts["reconstruction"], 0.5 * output.reconstruction.mean())
    expected = []
    for row, n in enumerate(LENGTHS):
        interest = method.core.users.weight[rows.users[row]]
        negative = method.backbone.items.weight[draws.negatives[row]]
        margins = given.embedded[row, :n] @ interest - negative @ interest
        expected.append(-torch.nn.functional.logsigmoid(margins).mean())
    torch.testing.assert_close(parts["interest"], 0.25 * torch.stack(expected).mean())


def test_only_original_slots_count_in_the_interest_loss():
    method, rows = model(), batch([4, 5])
    given = inputs(method, rows)
    original = given.valid.clone()
    original[:, 1] = False
    targets = rows.targets.sum(1)
    draws = method.core.draw(rows.valid.shape, targets, SIZES.n_items)
    found = []
    for embedded in (given.embedded, given.embedded.clone()):
        if found:
            embedded[:, 1] = 7.0
        changed = replace(given, embedded=embedded, original=original)
        parts = method.core.losses(method.backbone, method.next_item_loss, changed, targets, draws)
        found.append(parts["interest"])
    assert torch.equal(found[0], found[1])


def test_negatives_are_uniform_over_all_items_but_the_target():
    method, targets = model(), torch.full((40_000,), 17)
    torch.manual_seed(0)
    drawn = method.core.draw(torch.Size([40_000, 1]), targets, SIZES.n_items).negatives
    counts = torch.bincount(drawn, minlength=SIZES.n_items + 1)
    assert counts[0] == counts[17] == 0
    others = counts[counts > 0].numpy()
    assert len(others) == SIZES.n_items - 1
    assert stats.chisquare(others).pvalue > 1e-3


def test_the_next_item_loss_alone_teaches_both_gates():
    off = {"weight_reconstruction": 0.0, "weight_interest": 0.0, "curriculum_rate": 0.0}
    method, rows = model(**off).train(), batch(LENGTHS * 30)
    torch.manual_seed(0)
    sum(method.losses(rows).values()).backward()
    signals = method.core.gates
    for weight in (
        signals.sequence.output.weight,
        signals.sequence.mix_reconstructed,
        signals.sequence.mix_original,
        signals.sequence.lstm.lstm.weight_hh_l0,
        signals.item.output.weight,
        signals.item.key.weight,
        signals.item.query.weight,
    ):
        assert weight.grad.abs().sum() > 0
    assert method.backbone.items.weight.grad[0].abs().sum() == 0


def test_dropped_slots_get_no_gradient():
    off = {"weight_reconstruction": 0.0, "weight_interest": 0.0, "curriculum_rate": 0.0}
    method, rows = model(**off), batch(LENGTHS)
    kept = {}
    sample = method.core.gates.sample

    def remember(output, tau, noise=None):
        kept["keep"] = sample(output, tau, noise)
        kept["keep"].retain_grad()
        return kept["keep"]

    method.core.gates.sample = remember
    torch.manual_seed(1)
    sum(method.losses(rows).values()).backward()
    keep = kept["keep"]
    assert (keep.grad[keep == 0] == 0).all()
    assert (keep.grad[(keep == 1)] != 0).any()
    assert ((keep == 0) & rows.valid).any()


def test_training_asks_with_the_target_or_the_user():
    rows = batch(LENGTHS)
    other = replace(rows, targets=rows.targets % SIZES.n_items + (rows.targets > 0))
    for query, changes in (("target", True), ("user", False)):
        method, seen = model(train_query=query), []
        judge = method.core.gates.forward
        method.core.gates.forward = lambda *a, j=judge, s=seen: s.append(j(*a)) or s[-1]
        for given in (rows, other):
            torch.manual_seed(0)
            method.losses(given)
        assert (not torch.equal(seen[0].item, seen[1].item)) == changes
        assert torch.equal(seen[0].sequence, seen[1].sequence)


@pytest.mark.parametrize("variant", ["hsd", "hsd:compat", "hsd:sampled"])
def test_evaluation_depends_on_the_row_alone(variant):
    """Bit for bit on targets and repetition, closely on neighbours and order."""
    settings = METHODS.get(variant).parse({}, variant).model_dump()
    method, rows = model(**settings), batch(LENGTHS)
    vectors = method.user_vectors(rows)
    torch.manual_seed(99)
    changed = replace(rows, targets=rows.items)
    assert torch.equal(vectors, method.user_vectors(changed))
    order = torch.randperm(len(LENGTHS))
    shuffled = type(rows)(*(tensor[order] for tensor in vars(rows).values()))
    torch.testing.assert_close(method.user_vectors(shuffled), vectors[order])


def test_sampled_gates_average_seeded_draws():
    rows = batch(LENGTHS)
    one, five = (model(eval_gate="sample", eval_draws=draws) for draws in (1, 5))
    plain = model()
    assert not torch.equal(one.user_vectors(rows), plain.user_vectors(rows))
    assert not torch.equal(one.user_vectors(rows), five.user_vectors(rows))
    five.core.seed, other = 6, five.user_vectors(rows)
    assert not torch.equal(five.user_vectors(rows), other), "another seed, another draw"
    five.core.seed = 5
    assert torch.equal(five.user_vectors(rows), other)


def test_a_batch_of_one_trains():
    for lengths in ([1], [SLOTS]):
        method = model().train()
        losses = method.losses(batch(lengths))
        assert all(torch.isfinite(value) for value in losses.values())


def all_noise(method):
    """Gates that are certain of nothing but noise."""
    for output in (method.core.gates.sequence.output, method.core.gates.item.output):
        output.weight.data.zero_()
    method.core.gates.sequence.mix_bias.data.fill_(50.0)
    method.core.gates.sequence.output.weight.data[1] = 50.0
    method.core.gates.item.query.bias.data.fill_(50.0)
    method.core.gates.item.key.weight.data.zero_()
    method.core.gates.item.output.weight.data[1] = 50.0
    return method


@pytest.mark.parametrize("keep_one", [True, False])
def test_rows_that_lose_everything(keep_one):
    method = all_noise(model(gate_logits="raw", keep_one=keep_one))
    rows = batch(LENGTHS)
    assert method.denoise(rows).keep.sum(1).tolist() == [int(keep_one)] * len(LENGTHS)
    vectors = method.user_vectors(rows)
    if keep_one:
        kept = rows.items[method.denoise(rows).keep][:, None]
        x = method.backbone.embed(kept)
    else:  # the official code's backbone then reads one zero vector
        x = torch.zeros(len(LENGTHS), 1, WIDTH)
    state = method.backbone.encode_last(x, torch.ones(len(LENGTHS), 1, dtype=torch.bool))
    torch.testing.assert_close(vectors, method.backbone.project(state))
    losses = method.train().losses(rows)
    assert all(torch.isfinite(value) for value in losses.values())


def test_official_rows_that_lose_everything_attend_to_all_empty_positions():
    """By torch's layers without any mask, on position vectors alone."""
    settings = METHODS.get("hsd:compat").parse({}, "here").model_dump()
    method = all_noise(model("sasrec", **(settings | {"gate_logits": "raw"})))
    method.core.gates.sample = lambda output, tau, noise=None: torch.zeros(output.valid.shape)
    shaken(method.backbone)
    backbone = method.backbone
    z = backbone.norm(backbone.positions.weight)[None]
    for block in backbone.blocks:
        z = torch_layer(block)(z)
    expected = z[0, 0].expand(len(LENGTHS), -1)
    torch.testing.assert_close(method.user_vectors(batch(LENGTHS)), expected)


def torch_layer(block):
    layer = torch.nn.TransformerEncoderLayer(
        WIDTH, 2, 256, 0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    )
    return load(layer, block).train()  # the fused inference path pads differently; dropout is 0


def test_the_official_temperature_falls_before_the_fortieth_batch_is_read():
    settings = METHODS.get("hsd:compat").parse({}, "here").model_dump()
    method, rows, seen = model(**settings), batch(LENGTHS), []
    sample = method.core.gates.sample
    method.core.gates.sample = lambda output, tau, noise=None: (
        seen.append(float(tau)) or sample(output, tau, noise)
    )
    method.core.schedules.batches.fill_(38)
    for _ in range(2):
        method.losses(rows)
    assert seen == pytest.approx([0.5, 0.5 * math.exp(-0.04)])


def test_official_padding_learns_as_a_class_of_the_softmax_alone():
    method, rows = model(pads="official", curriculum_rate=0.0), batch(LENGTHS)
    monkey = method.core.gates
    monkey.sample = lambda output, tau, noise=None: output.valid.float()
    targets = rows.targets.sum(1)
    losses = method.losses(rows)
    table = torch.cat([method.core.pad[None], method.backbone.item_vectors()])
    x = method.backbone.embed(rows.items)
    state = method.backbone.encode_last(x, rows.valid, rows.users)
    expected = torch.nn.functional.cross_entropy(method.backbone.project(state) @ table.T, targets)
    torch.testing.assert_close(losses["next_item"], expected)
    given = method._inputs(rows)
    assert given.embedded.shape == (len(LENGTHS), SLOTS, WIDTH)
    assert torch.equal(given.embedded[1, 1:], method.core.pad.expand(SLOTS - 1, WIDTH))
    # The padding row of torch's embedding gets no gradient from look-ups either: what is left is
    # the probability of a class that is never the target, times the vector that scores it.
    (sum(losses.values()) + method.core.evaluate_gates(given).score().sum()).backward()
    vectors = method.backbone.project(state)
    chances = torch.softmax(vectors @ table.T, 1)[:, 0]
    expected = (chances[:, None] * vectors).mean(0)
    torch.testing.assert_close(method.core.pad.grad, expected)


def test_compat_sets_every_divergence_that_it_claims():
    settings = METHODS.get("hsd:compat").parse({}, "here")
    assert (settings.eval_gate, settings.eval_draws) == ("sample", 1)  # 1
    assert settings.gate_logits == "prob"  # 2
    assert settings.train_query == "target"  # 3
    assert not settings.keep_one  # 4
    assert settings.wipe_short_rows  # 5
    assert not settings.detach_target  # 9
    assert settings.pads == "official"  # 10 and 11


def test_diagnostics_average_the_epochs_votes():
    method, rows = model().train(), batch(LENGTHS)
    assert method.diagnostics() == {"temperature": 0.5}
    method.begin_epoch(0)
    targets = rows.targets.sum(1)
    draws = HSDDraws(torch.zeros(2, *rows.valid.shape, 2), torch.ones_like(targets))
    given = inputs(method, rows)
    method.core.losses(method.backbone, method.next_item_loss, given, targets, draws)
    output = method.core.gates(given.embedded, given.valid, method.backbone.embed(targets))
    diagnostics = method.diagnostics()
    real = rows.valid
    assert diagnostics["expected_drop"] == pytest.approx(
        output.score()[real].mean().item(), rel=1e-5
    )
    assert diagnostics["sequence_noise"] == pytest.approx(
        output.noise_probabilities[..., 0][real].mean().item(), rel=1e-5
    )
    dropped = 1 - method.core.gates.decide(output)[real].float().mean().item()
    assert diagnostics["sampled_drop"] == pytest.approx(dropped)
    method.begin_epoch(1)
    assert "sampled_drop" not in method.diagnostics()
