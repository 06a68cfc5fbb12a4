"""STEAM's losses against dense formulas, and which parameters each of them teaches."""

import pytest
import torch
from steam_toys import MASK, N_ITEMS, batch_of, model_of, rows_of
from torch.nn import functional

from bench.methods.parts.ragged import Ragged
from bench.methods.steam.corruption import Corrupted
from bench.methods.steam.model import STEAMDraws

PARTS = ("operation", "insertion", "raw", "corrected")


def drawn(model, batch, seed=0):
    torch.manual_seed(seed)
    return model.draw(batch.items)


def encoded(model, items):
    """States in the frame ``[B, W, D]``."""
    ragged = Ragged(items > 0)
    return ragged.put(model.encoder(items, ragged))


def dense(model, batch, draws):
    """The losses of README.md with masks over whole frames and all classes' scores."""
    table, config = model.encoder.items.weight, model.config
    forbidden = torch.zeros(N_ITEMS + 3, dtype=torch.bool)
    recommended = forbidden.clone()
    if config.classes == "items":
        forbidden[[0, MASK]] = True
        recommended[[0, MASK - 1, MASK]] = True
    truth = draws.corrupted
    real = truth.items > 0
    h = encoded(model, truth.items)
    cost = functional.cross_entropy(
        model.corrector.head(h).transpose(1, 2), truth.operations, reduction="none"
    )
    found = {"operation": (cost * real).sum() / real.sum()}
    total, count, places = 0.0, 0, torch.nonzero(truth.operations == 2)
    for (row, slot), targets in zip(places.tolist(), truth.missing, strict=True):
        wanted = targets[targets > 0]
        inputs = torch.cat([h[row, slot][None], table[wanted[:-1]]])
        inputs = inputs + model.encoder.positions.weight[: len(wanted)]
        ragged = Ragged(torch.ones(1, len(wanted), dtype=torch.bool))
        logits = model.corrector.generator.block(inputs, ragged) @ table.T
        logits = logits.masked_fill(forbidden, -torch.inf)
        total = total + functional.cross_entropy(logits, wanted, reduction="sum")
        count += len(wanted)
    found["insertion"] = total / count

    def named(items, uniform):
        hidden = (uniform[:, : items.shape[1]] < config.mask_rate) & (items > 0)
        masked = items.masked_fill(hidden, MASK)
        ragged = Ragged(masked > 0)
        states = model.recommender(ragged.take(encoded(model, masked)), ragged)
        logits = (ragged.put(states) @ table.T).masked_fill(recommended, -torch.inf)
        cost = -torch.log_softmax(logits, -1).gather(-1, items[..., None]).squeeze(-1)
        return cost[hidden].sum() / hidden.sum()

    found["raw"] = named(batch.items, draws.raw)
    with torch.no_grad():
        corrected = model.corrector.correct(model.encoder, batch.items, model.length)
    found["corrected"] = config.weight_corrected * named(corrected.items, draws.corrected)
    return found


@pytest.mark.parametrize("classes", ["items", "all"])
def test_gathered_losses_equal_the_dense_formulas(classes):
    model = model_of(classes=classes, weight_corrected=0.5, heads=2, encoder_blocks=2)
    model.double()
    batch = batch_of(rows_of())
    draws = drawn(model, batch)
    ours, theirs = model.losses(batch, draws), dense(model, batch, draws)
    assert tuple(ours) == PARTS
    for name in PARTS:
        # The run's loss computes in single precision.
        torch.testing.assert_close(ours[name].double(), theirs[name], rtol=2e-6, atol=1e-6)


def test_slices_change_neither_losses_nor_gradients():
    whole, sliced = model_of(dropout=0.0), model_of(dropout=0.0)
    batch = batch_of(rows_of())
    for block in (*sliced.encoder.blocks, sliced.recommender, sliced.corrector.generator.block):
        block.max_stored_tokens = 5
    found = []
    for model in (whole, sliced):
        losses = model.losses(batch, drawn(model, batch))
        sum(losses.values()).backward()
        found.append((losses, [p.grad for p in model.parameters()]))
    for name in PARTS:
        torch.testing.assert_close(found[1][0][name], found[0][0][name])
    for ours, theirs in zip(found[1][1], found[0][1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def taught(model, loss):
    """Names of the top parts that a loss reaches, and of the corrector's."""
    model.zero_grad()
    loss.backward(retain_graph=True)
    names = {
        "encoder": model.encoder.blocks,
        "items": model.encoder.items,
        "positions": model.encoder.positions,
        "head": model.corrector.head,
        "generator": model.corrector.generator,
        "recommender": model.recommender,
    }

    def reached(module):
        return any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())

    return {name for name, module in names.items() if reached(module)}


def test_each_loss_teaches_its_own_parts():
    model = model_of().train()
    losses = model.losses(batch_of(rows_of()))
    shared = {"encoder", "items", "positions"}
    assert taught(model, losses["operation"]) == shared | {"head"}
    assert taught(model, losses["insertion"]) == shared | {"generator"}
    # The correction that made the corrected segments is discrete: no gradient reaches it.
    assert taught(model, losses["raw"]) == shared | {"recommender"}
    assert taught(model, losses["corrected"]) == shared | {"recommender"}


def test_the_insertion_loss_reaches_the_encoder_through_the_anchors_state():
    model = model_of(max_inserted=1)
    # With one token and K = 1 the only inputs are states and positions.
    losses = model.losses(batch_of(rows_of()))
    assert "encoder" in taught(model, losses["insertion"])


@pytest.mark.parametrize("classes", ["items", "all"])
def test_padding_learns_only_where_it_is_a_class(classes):
    model = model_of(classes=classes).train()
    sum(model.losses(batch_of(rows_of())).values()).backward()
    moved = model.encoder.items.weight.grad[0].abs().sum() > 0
    assert bool(moved) == (classes == "all")
    assert bool(model.encoder.items.weight[0].abs().sum() > 0) == (classes == "all")


def test_every_parameter_learns():
    model = model_of().train()
    sum(model.losses(batch_of(rows_of())).values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_empty_sets_count_nothing():
    model = model_of().train()
    batch = batch_of([[3], [5, 6]])
    nothing = STEAMDraws(
        Corrupted(batch.items, torch.zeros_like(batch.items), torch.zeros(0, 5, dtype=torch.long)),
        torch.ones(batch.items.shape),
        torch.ones(2, model.length),
    )
    losses = model.losses(batch, nothing)
    assert losses["operation"].item() > 0
    assert [losses[name].item() for name in PARTS[1:]] == [0, 0, 0]
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_segments_that_lose_everything_are_left_out():
    model = model_of().train()
    with torch.no_grad():
        model.corrector.head.weight.zero_()
        model.corrector.head.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    losses = model.losses(batch_of(rows_of()))
    assert losses["corrected"].item() == 0
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_correction_in_training_draws_no_dropout_and_leaves_training_mode():
    model = model_of(dropout=0.5).train()
    batch = batch_of(rows_of())
    first = model.correct(batch.items)
    state = torch.get_rng_state()
    second = model.correct(batch.items)
    assert torch.equal(first.items, second.items)
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert model.recommender.training
    model.eval()
    assert torch.equal(model.correct(batch.items).items, first.items)


def test_late_correction_begins_after_its_epoch():
    model = model_of(correct_after_epoch=2)
    batch = batch_of(rows_of())
    found = []
    for epoch in range(4):
        model.begin_epoch(epoch)
        found.append(model.losses(batch, drawn(model, batch))["corrected"].item())
    assert found[:2] == [0, 0]
    assert found[2] == found[3] > 0


def test_blind_correction_does_not_see_hidden_items():
    model = model_of(correct_masked=True, mask_rate=1.0)
    batch = batch_of(rows_of())
    other = batch_of([[item % N_ITEMS + 1 for item in row] for row in rows_of()])
    seen = []
    original = model.corrector.correct

    def watched(encoder, items, longest, **given):
        seen.append(items)
        return original(encoder, items, longest, **given)

    model.corrector.correct = watched
    for given in (batch, other):
        draws = drawn(model, given)
        model.losses(given, draws)
    assert torch.equal(seen[0], seen[1])
    assert set(seen[0].flatten().tolist()) == {0, MASK}


def test_blind_correction_asks_for_the_items_that_stood_there():
    model = model_of(correct_masked=True)
    batch = batch_of(rows_of())
    draws = drawn(model, batch)
    views = []
    original = model._recommendation_losses

    def watched(states, frame, given, size):
        views.extend(given)
        return original(states, frame, given, size)

    model._recommendation_losses = watched
    model.losses(batch, draws)
    raw, corrected = views
    with torch.no_grad():
        made = model.corrector.correct(model.encoder, raw.items, model.length)
    for row, slot in torch.nonzero(made.items).tolist():
        if not made.inserted[row, slot]:
            source = int(made.anchor[row, slot])
            assert corrected.targets[row, slot] == batch.items[row, source]
            assert corrected.hidden[row, slot] == raw.hidden[row, source]
        else:
            assert corrected.targets[row, slot] == made.items[row, slot]
    assert int(corrected.targets.max()) <= N_ITEMS
