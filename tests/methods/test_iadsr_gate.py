"""Scores, qualification and the one-draw Gumbel gate."""

import math

import numpy as np
import pytest
import torch
from iadsr_toys import cosine

from bench.methods.iadsr.gate import MEDIAN, consistency, draw, qualified
from bench.methods.iadsr.interests import Interests
from bench.methods.parts.ragged import Ragged


def views(seed=0, lengths=(3, 1, 2), width=5):
    torch.manual_seed(seed)
    tokens = Ragged(torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])
    both = [
        Interests(torch.randn(sum(lengths), width), torch.randn(len(lengths), width))
        for _ in range(2)
    ]
    return tokens, *both


@pytest.mark.parametrize(
    ("which", "terms"), [("both", (0, 1, 2)), ("short", (2,)), ("long", (0, 1))]
)
def test_scores_are_sums_of_cosines(which, terms):
    tokens, ours, semantic = views()
    semantic.short[1], semantic.long[2] = 0, 0
    expected = []
    for place, row in enumerate(tokens.rows.tolist()):
        h, l_t = ours.short[place].numpy(), semantic.short[place].numpy()
        e1, e2 = semantic.long[row].numpy(), ours.long[row].numpy()
        c = [cosine(e1, h), cosine(e2, l_t), cosine(h, l_t)]
        expected.append(sum(c[term] for term in terms))
    ours, semantic = (view.units().at_tokens(tokens) for view in (ours, semantic))
    np.testing.assert_allclose(consistency(ours, semantic, which), expected, atol=1e-6)


def test_users_qualify_by_the_cosine_of_their_long_term_interests():
    _, ours, semantic = views(lengths=(1, 1, 1, 1))
    cosines = [cosine(a.numpy(), b.numpy()) for a, b in zip(ours.long, semantic.long, strict=True)]
    for theta in (-1.0, *(c + d for c in cosines for d in (-1e-4, 1e-4)), 1.1):
        found = qualified(ours.units(), semantic.units(), theta)
        assert found.tolist() == [c >= theta for c in cosines]


def test_a_user_without_any_text_is_not_denoised():
    _, ours, semantic = views()
    semantic.long[1] = 0
    assert qualified(ours.units(), semantic.units(), -1.0).tolist() == [True, False, True]


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_keep_frequency_of_one_gumbel_draw(tau):
    scores = torch.tensor([-3.0, -1.0, MEDIAN, 0.0, 0.5, 2.0, 3.0])
    draws = 40_000
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(len(scores), draws, generator=generator)
    _, keep = draw(scores[:, None].expand(-1, draws), tau, uniform)
    expected = 1 - np.exp(-np.exp(scores.double().numpy()))
    error = np.sqrt(expected * (1 - expected) / draws)
    assert (np.abs(keep.double().mean(1).numpy() - expected) < 4 * error + 1e-9).all()


def test_the_median_is_where_keeping_is_as_likely_as_not():
    assert 1 - math.exp(-math.exp(MEDIAN)) == pytest.approx(0.5, abs=1e-12)
    assert pytest.approx(-0.367, abs=1e-3) == MEDIAN


def test_the_gradient_is_that_of_the_sigmoid():
    score = torch.tensor([0.3, -2.0], requires_grad=True)
    uniform, tau = torch.tensor([0.4, 0.01]), 0.7
    gate, keep = draw(score, tau, uniform)
    assert gate.tolist() == [1.0, 0.0] == keep.float().tolist()
    gate.sum().backward()
    for place, u in enumerate(uniform.tolist()):
        noisy = (score[place].item() - math.log(-math.log(u))) / tau
        soft = 1 / (1 + math.exp(-noisy))
        assert score.grad[place].item() == pytest.approx(soft * (1 - soft) / tau, rel=1e-4)


def test_extreme_noise_gives_numbers():
    score = torch.zeros(2, requires_grad=True)
    gate, keep = draw(score, 1.0, torch.tensor([0.0, 1.0 - 2**-24]))
    gate.sum().backward()
    assert keep.tolist() == [False, True]
    assert torch.isfinite(score.grad).all()


def test_noise_comes_from_torchs_generator():
    score = torch.zeros(1000)
    torch.manual_seed(3)
    _, first = draw(score, 1.0)
    torch.manual_seed(3)
    assert torch.equal(draw(score, 1.0)[1], first)
    assert not torch.equal(draw(score, 1.0)[1], first)
