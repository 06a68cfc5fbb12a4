"""HSD's signals against torch's own layers, padded as in the paper's code and row by row."""

import pytest
import torch
from hsd_toys import SLOTS, WIDTH, config, mask, shaken
from torch import nn

from bench.methods.hsd.gates import HSDGates
from bench.methods.hsd.signals import PositionNorm
from bench.methods.parts.ragged import Ragged


def official(gates, x, m, query, training):
    """Sections 3.1 and 3.2 of the specification, in torch's layers, over padding and all.

    Returns sequence and item probabilities and reconstruction errors.
    """
    sequence, item = gates.sequence, gates.item
    lstm = sequence.lstm.lstm
    m = m[..., None].float()
    z1 = sum(lstm(x * m)[0].chunk(2, -1)) * m
    z2 = sum(lstm(z1)[0].chunk(2, -1))
    errors = ((z2 * m - x * m) ** 2).sum((1, 2)) / m.sum((1, 2))
    convolution = nn.Conv2d(SLOTS, SLOTS, (2, 1))
    convolution.weight.data = torch.stack(
        [sequence.mix_reconstructed, sequence.mix_original], -1
    ).data[..., None]
    convolution.bias.data = sequence.mix_bias.data
    s = torch.relu(convolution(torch.stack([z2, x], 2)).squeeze(2))
    a_sequence = torch.sigmoid(s @ sequence.output.weight.T) * m
    norm = nn.BatchNorm1d(SLOTS).train(training)
    norm.weight.data, norm.bias.data = item.norm.weight.data, item.norm.bias.data
    f = norm(x) * m
    hidden = m * (f @ item.key.weight.T) + item.query(query)[:, None]
    return a_sequence, torch.sigmoid(m * (torch.tanh(hidden) @ item.output.weight.T)), errors


def by_row(gates, x, m, query):
    """The same for one row after the other without its padding, in evaluation."""
    found = []
    for row, real, q in zip(x, m, query, strict=True):
        n = int(real.sum())
        alone = HSDGates(config(), WIDTH, n).eval()
        for name, parameter in alone.named_parameters():
            whole = dict(gates.named_parameters())[name].data
            square = "mix_" in name and whole.dim() == 2
            parameter.data = whole[:n, :n] if square else whole[: len(parameter)]
        lstm, sequence = gates.sequence.lstm.lstm, gates.sequence
        e = row[:n]
        z1 = sum(lstm(e[None])[0].chunk(2, -1))
        z2 = sum(lstm(z1)[0].chunk(2, -1))[0]
        mixed = torch.stack(
            [
                sequence.mix_bias[i]
                + sum(
                    sequence.mix_reconstructed[i, j] * z2[j] + sequence.mix_original[i, j] * e[j]
                    for j in range(n)
                )
                for i in range(n)
            ]
        )
        scores = torch.relu(mixed) @ sequence.output.weight.T
        norm = gates.item.norm
        f = e / (1 + 1e-5) ** 0.5 * norm.weight[:n, None] + norm.bias[:n, None]
        hidden = torch.tanh(f @ gates.item.key.weight.T + gates.item.query(q))
        found.append((scores, hidden @ gates.item.output.weight.T, ((z2 - e) ** 2).sum() / n))
    return found


@pytest.mark.parametrize("training", [False, True])
def test_official_padding_equals_torchs_padded_layers(training):
    gates = shaken(HSDGates(config(pads="official"), WIDTH, SLOTS)).train(training)
    x, query, valid = torch.randn(5, SLOTS, WIDTH), torch.randn(5, WIDTH), mask([7, 1, 3, 5, 2])
    output = gates(x, valid, query)
    sequence, item, errors = official(gates, x, valid, query, training)
    torch.testing.assert_close(output.sequence[valid], sequence[valid])
    torch.testing.assert_close(output.item, item)
    torch.testing.assert_close(output.reconstruction, errors)


def test_without_padding_both_readings_agree():
    masked, plain = (HSDGates(config(pads=p), WIDTH, SLOTS) for p in ("masked", "official"))
    plain.load_state_dict(shaken(masked).state_dict())
    x, query, valid = torch.randn(4, SLOTS, WIDTH), torch.randn(4, WIDTH), mask([SLOTS] * 4)
    first, second = masked(x, valid, query), plain(x, valid, query)
    for name, value in vars(first).items():
        torch.testing.assert_close(value, getattr(second, name))


def test_each_row_is_scored_as_if_alone_and_unpadded():
    lengths = [7, 1, 3, 5, 2, 6]
    gates = shaken(HSDGates(config(gate_logits="raw"), WIDTH, SLOTS)).eval()
    x, query, valid = torch.randn(6, SLOTS, WIDTH), torch.randn(6, WIDTH), mask(lengths)
    output = gates(x, valid, query)
    for row, (sequence, item, error) in enumerate(by_row(gates, x, valid, query)):
        n = lengths[row]
        torch.testing.assert_close(output.sequence[row, :n], sequence)
        torch.testing.assert_close(output.item[row, :n], item)
        torch.testing.assert_close(output.reconstruction[row], error)
        assert output.sequence[row, n:].abs().sum() == output.item[row, n:].abs().sum() == 0


def test_the_item_signal_may_read_other_embeddings():
    gates = shaken(HSDGates(config(), WIDTH, SLOTS)).eval()
    x, other, query = torch.randn(2, SLOTS, WIDTH), torch.randn(2, SLOTS, WIDTH), torch.randn(2, 6)
    valid = mask([4, 7])
    mixed = gates(x, valid, query, other)
    assert torch.equal(mixed.sequence, gates(x, valid, query).sequence)
    assert torch.equal(mixed.item, gates(other, valid, query).item)


def test_probabilities_stay_in_range_and_say_nothing_at_padding():
    gates = shaken(HSDGates(config(), WIDTH, SLOTS), std=9.0).eval()
    valid = mask([7, 2, 4])
    output = gates(9 * torch.randn(3, SLOTS, WIDTH), valid, torch.randn(3, WIDTH))
    for gate in (output.sequence, output.item):
        assert gate.shape == (3, SLOTS, 2)
        assert (gate >= 0).all()
        assert (gate <= 1).all()
        assert (gate[~valid] == 0.5).all()
    score = output.score()[valid]
    assert score.min() >= 0.0723
    assert score.max() <= 0.5345


def test_garbage_at_padding_changes_nothing_in_training_or_evaluation():
    gates = shaken(HSDGates(config(), WIDTH, SLOTS))
    x, query, valid = torch.randn(3, SLOTS, WIDTH), torch.randn(3, WIDTH), mask([7, 2, 4])
    spoilt = torch.where(valid[..., None], x, torch.full_like(x, float("nan")))
    for training in (True, False):
        gates.train(training)
        found = []
        for given in (x, spoilt):
            leaf = given.clone().requires_grad_()
            output = gates(leaf, valid, query)
            gates.zero_grad()
            (output.reconstruction.sum() + output.score().sum()).backward()
            slopes = [parameter.grad for parameter in gates.parameters()]
            found.append([*vars(output).values(), leaf.grad, *slopes])
        for first, second in zip(*found, strict=True):
            assert torch.equal(first, second)


def test_slot_norm_is_torchs_batch_norm_where_all_slots_are_full():
    ours, theirs = shaken(PositionNorm(SLOTS)).train(), nn.BatchNorm1d(SLOTS).train()
    theirs.weight.data, theirs.bias.data = ours.weight.data, ours.bias.data
    ragged = Ragged(mask([SLOTS] * 4))
    for _ in range(3):
        x = 2 + 3 * torch.randn(4, SLOTS, WIDTH)
        torch.testing.assert_close(ragged.put(ours(ragged.take(x), ragged)), theirs(x))
    torch.testing.assert_close(ours.mean, theirs.running_mean)
    torch.testing.assert_close(ours.variance, theirs.running_var)
    x = torch.randn(4, SLOTS, WIDTH)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ragged.put(ours(ragged.take(x), ragged)), theirs(x))


def test_slot_norm_counts_real_slots_only():
    norm, x, valid = PositionNorm(4).train(), torch.randn(3, 4, WIDTH), mask([1, 3, 2], 4)
    ragged = Ragged(valid)
    normed = ragged.put(norm(ragged.take(x), ragged))
    for slot in range(3):
        real = x[valid[:, slot], slot]
        expected = (real - real.mean()) / (real.var(unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(normed[valid[:, slot], slot], expected)
        torch.testing.assert_close(norm.mean[slot], 0.1 * real.mean())
        torch.testing.assert_close(norm.variance[slot], 0.9 + 0.1 * real.var())
    assert (norm.mean[3], norm.variance[3]) == (0, 1), "no row was that long"


@pytest.mark.parametrize("detach", [False, True])
def test_the_reconstruction_target_passes_gradient_unless_detached(detach):
    gates = shaken(HSDGates(config(detach_target=detach), WIDTH, SLOTS)).eval()
    for weight in gates.sequence.lstm.parameters():
        weight.data.zero_()  # nothing is rebuilt: only the target depends on the input
    x = torch.randn(1, SLOTS, WIDTH, requires_grad=True)
    error = gates(x, mask([3]), torch.randn(1, WIDTH)).reconstruction
    error.sum().backward()
    expected = torch.zeros_like(x) if detach else 2 * x.detach() * mask([3])[..., None] / 3
    torch.testing.assert_close(x.grad, expected)
