"""HSD's gates: who is dropped, how probably, and where the gradient goes."""

import math
from dataclasses import replace

import pytest
import torch
from hsd_toys import SLOTS, WIDTH, config, mask, shaken

from bench.methods.hsd.diagnostics import GateStatistics
from bench.methods.hsd.gates import GateOutput, HSDGates


def gates(**changes):
    return HSDGates(config(**changes), WIDTH, SLOTS)


def output(valid, sequence, item):
    return GateOutput(torch.stack([sequence, item], 2), valid, torch.zeros(len(valid)))


def random_output(lengths, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    pair = scale * torch.randn(2, len(lengths), SLOTS, 2, generator=generator)
    return output(mask(lengths), *pair)


def test_a_slot_goes_where_both_gates_prefer_noise():
    valid = mask([4, 2], 4)
    sequence = torch.tensor([[[0, 1.0], [1, 0], [0, 1], [1, 1]], [[0, 1], [1, 0], [0, 1], [0, 1]]])
    item = torch.tensor([[[0, 1.0], [0, 1], [1, 0], [0, 1]], [[0, 1], [1, 0], [0, 1], [0, 1]]])
    given = output(valid, sequence, item)
    expected = [[False, True, True, True], [False, True, False, False]]
    assert gates().decide(given).tolist() == expected
    quiet = torch.zeros(2, 2, 4, 2)
    assert (gates().sample(given, 0.5, quiet) > 0).tolist() == expected


def test_samples_follow_the_noise_slot_by_slot():
    given, noise = random_output([7, 3, 5]), torch.randn(2, 3, SLOTS, 2)
    keep = gates(keep_one=False).sample(given, 0.5, noise)
    for row in range(3):
        for slot in range(SLOTS):
            votes = [
                (logits[row, slot] + part[row, slot]).argmax() == 1
                for logits, part in zip((given.sequence, given.item), noise, strict=True)
            ]
            assert keep[row, slot] == float(given.valid[row, slot] and not all(votes))


@pytest.mark.parametrize("logits", ["prob", "raw"])
def test_the_score_is_the_probability_of_a_drop(logits):
    model = shaken(gates(gate_logits=logits, keep_one=False)).eval()
    given = model(torch.randn(1, SLOTS, WIDTH), mask([5]), torch.randn(1, WIDTH))
    repeated = GateOutput(
        *(value.expand(20_000, *value.shape[1:]) for value in vars(given).values())
    )
    torch.manual_seed(0)
    dropped = 1 - model.sample(repeated, 0.5).mean(0)[:5]
    score = given.score()[0, :5]
    assert ((dropped - score).abs() < 4.5 * (score * (1 - score) / 20_000).sqrt()).all()
    sequence, item = given.noise_probabilities.unbind(-1)
    torch.testing.assert_close(given.score(), sequence * item)


def test_drop_probabilities_are_exact_at_the_corners():
    """A gate on sigmoid outputs calls noise with a probability in 0.269 .. 0.731."""
    corner = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    sequence = output(mask([2], 2), corner, corner).noise_probabilities[..., 0]
    low, high = 1 / (1 + math.e), math.e / (1 + math.e)
    torch.testing.assert_close(sequence, torch.tensor([[low, high]]))
    product = output(mask([2], 2), corner, corner).score()
    torch.testing.assert_close(product, torch.tensor([[low**2, high**2]]))
    assert (round(low**2, 4), round(high**2, 4)) == (0.0723, 0.5344)


def test_someone_survives_and_only_where_all_would_go():
    lengths = [1, 7, 3, 4]
    given = output(
        mask(lengths),
        torch.tensor([0.0, 9.0]).repeat(4, SLOTS, 1),
        torch.tensor([0.0, 9.0]).repeat(4, SLOTS, 1),
    )
    given.item[1, 2, 1] = 5.0
    given.item[3, 1] = torch.tensor([9.0, 0.0])
    survivors = [[0, 0], [1, 2], [2, 2], [3, 1]]
    assert torch.nonzero(gates().decide(given)).tolist() == survivors
    sampled = gates().sample(given, 0.5, torch.zeros(2, 4, SLOTS, 2))
    assert torch.nonzero(sampled).tolist() == survivors
    assert not gates(keep_one=False).decide(given)[0].any()
    assert gates(keep_one=False).sample(given, 0.5, torch.zeros(2, 4, SLOTS, 2))[:3].sum() == 0


def test_padding_is_never_kept():
    given = random_output([3, 1, 7], scale=3.0)
    for seed in range(20):
        torch.manual_seed(seed)
        keep = gates().sample(given, 0.5)
        assert keep[~given.valid].abs().sum() == 0
        assert ((keep == 0) | (keep == 1)).all()
        assert (keep.sum(1) >= 1).all()
    assert not gates().decide(given)[~given.valid].any()


@pytest.mark.parametrize("keep_one", [True, False])
def test_logits_at_padding_change_nothing(keep_one):
    model, noise = gates(keep_one=keep_one), torch.randn(2, 3, SLOTS, 2)
    given = random_output([3, 1, 6])
    logits = given.logits.masked_fill(~given.valid[..., None, None], 0).requires_grad_()
    other = given.logits.where(given.valid[..., None, None], 1e3 * given.logits).requires_grad_()
    found = []
    for each in (logits, other):
        judged, statistics = replace(given, logits=each), GateStatistics()
        keep = model.sample(judged, 0.5, noise)
        (gradient,) = torch.autograd.grad(keep.cumsum(1).sum(), each)
        statistics.add(judged, keep)
        found.append([keep, gradient, model.decide(judged), statistics.sums])
    for one, two in zip(*found, strict=True):
        assert one.equal(two)


def test_a_gate_learns_only_where_the_other_votes_noise():
    given = random_output([7, 7])
    sequence, item = given.sequence.requires_grad_(), given.item.requires_grad_()
    noise = torch.randn(2, 2, SLOTS, 2)
    keep = gates(keep_one=False).sample(output(given.valid, sequence, item), 0.5, noise)
    keep.sum().backward()
    for own, other, part in ((sequence, item, noise[1]), (item, sequence, noise[0])):
        votes = ((other + part).argmax(-1) == 1).detach()
        assert votes.any()
        assert (~votes).any()
        assert (own.grad.abs().sum(-1) > 0).equal(votes)


def test_the_gradient_is_that_of_the_relaxed_gates():
    given, noise = random_output([5]), torch.randn(2, 1, SLOTS, 2)
    sequence = given.sequence.clone().requires_grad_()
    keep = gates(keep_one=False).sample(output(given.valid, sequence, given.item), 0.3, noise)
    keep.sum().backward()
    soft = given.sequence.clone().requires_grad_()
    voted = ((given.item + noise[1]).argmax(-1) == 1) & given.valid
    relaxed = torch.softmax((soft + noise[0]) / 0.3, -1)[..., 1]
    (-(relaxed * voted)).sum().backward()
    torch.testing.assert_close(sequence.grad, soft.grad)
