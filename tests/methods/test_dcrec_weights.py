"""Conformity weights and auxiliary losses of DCRec."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bench.methods.dcrec.conformity import conformity_channels, conformity_weights, cosine
from bench.methods.dcrec.contrast import Grace, infonce, prior_divergence
from bench.methods.dcrec.fusion import ViewFusion

ROWS = 7


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_cosines_are_numpys_and_zero_vectors_have_none():
    a, b = normal(ROWS, 5), normal(ROWS, 5, seed=1)
    b[2] = 0
    x, y = a.numpy(), b.numpy()
    lengths = np.linalg.norm(x, axis=1) * np.maximum(np.linalg.norm(y, axis=1), 1e-300)
    np.testing.assert_allclose(cosine(a, b).numpy(), (x * y).sum(1) / lengths, atol=1e-12)
    assert cosine(a, b)[2] == 0


def test_a_zero_vector_gets_no_gradient_and_gives_no_nan():
    a, b = normal(3, 4).requires_grad_(), torch.zeros(3, 4, dtype=torch.float64).requires_grad_()
    cosine(a, b).sum().backward()
    assert a.grad.eq(0).all()
    assert b.grad.eq(0).all()


def test_channels_equal_equation_2():
    x, x2, own, foreign = (normal(ROWS, 4, seed=seed) for seed in range(4))
    expected = [
        functional.cosine_similarity(*pair) for pair in ((x, x2), (own, foreign), (x, foreign))
    ]
    torch.testing.assert_close(conformity_channels(x, x2, own, foreign), torch.stack(expected))


def test_weights_by_hand():
    # sigmoid(0) = 0.5 is least, sigmoid(log 3) = 0.75 most, sigmoid(log(5/3)) = 0.625 halfway.
    means = torch.tensor([0, math.log(3), math.log(5 / 3)], dtype=torch.float64)
    weights = conformity_weights(means.expand(3, 3), 0.5, torch.tensor([2, 2, 2]))
    torch.testing.assert_close(weights.omega, torch.tensor([0, 1, 0.5], dtype=torch.float64))
    torch.testing.assert_close(weights.psi, torch.tensor([1, 0, 0.5], dtype=torch.float64))


@settings(max_examples=50)
@given(st.integers(2, 40), st.floats(0.1, 0.9), st.integers(0, 10**6))
def test_weights_have_their_mean_and_their_least_is_zero(rows, mean, seed):
    found = normal(3, rows, seed=seed).tanh()
    weights = conformity_weights(found, mean, torch.full((rows,), 3))
    assert weights.omega.isfinite().all()
    assert weights.omega.min() == 0
    assert weights.omega.mean().item() == pytest.approx(mean)
    assert weights.psi.min() == 0
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    again = conformity_weights(found[:, order], mean, torch.full((rows,), 3))
    torch.testing.assert_close(again.omega, weights.omega[order])


@pytest.mark.parametrize("rows", [1, 5])
def test_rows_that_agree_all_get_the_mean(rows):
    found = torch.full((3, rows), 0.3, requires_grad=True)
    weights = conformity_weights(found, 0.4, torch.ones(rows, dtype=torch.long))
    torch.testing.assert_close(weights.omega, torch.full((rows,), 0.4))
    assert weights.psi.eq(0).all()
    weights.omega.sum().backward()
    assert found.grad.isfinite().all()


def test_a_first_item_may_have_a_weight_of_its_own():
    found, lengths = normal(3, ROWS), torch.tensor([1, 2, 1, 4, 5, 6, 7])
    plain, ruled = (
        conformity_weights(found, 0.5, lengths),
        conformity_weights(found, 0.5, lengths, 0.3),
    )
    torch.testing.assert_close(ruled.omega[lengths > 1], plain.omega[lengths > 1])
    assert ruled.omega[lengths == 1].tolist() == [0.3, 0.3]
    torch.testing.assert_close(ruled.psi, ruled.omega.max() - ruled.omega)


def test_infonce_is_the_formula():
    p, q = normal(ROWS, 4).numpy(), normal(ROWS, 4, seed=1).numpy()
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (p, q)]
    e = np.exp(unit[0] @ unit[1].T / 0.6)
    expected = -np.log(1e-8 + np.diag(e) / e.sum(1))
    found = infonce(torch.from_numpy(p), torch.from_numpy(q), 0.6)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_grace_is_symmetric_and_counts_negatives_of_both_views():
    torch.manual_seed(0)
    grace = Grace(4).double()
    p, q = normal(ROWS, 4), normal(ROWS, 4, seed=1)
    with torch.no_grad():
        u, v = (functional.normalize(grace.project(x)).numpy() for x in (p, q))
        found = grace(p, q, 0.5).numpy()
        torch.testing.assert_close(grace(q, p, 0.5), torch.from_numpy(found))
    across, first, second = (np.exp(x @ y.T / 0.5) for x, y in ((u, v), (u, u), (v, v)))
    for row in range(ROWS):
        one = across[row].sum() + first[row].sum() - first[row, row]
        two = across[:, row].sum() + second[row].sum() - second[row, row]
        own = across[row, row]
        expected = -(math.log(own / one) + math.log(own / two)) / 2
        assert found[row] == pytest.approx(expected)


def test_the_prior_is_a_sorted_draw():
    omega, noise = normal(ROWS).abs(), normal(ROWS, seed=5)
    noise[0] = -9.0  # below the floor
    phi = np.sort(np.maximum(0.5 + 0.1 * noise.numpy(), 1e-8))
    logs = np.sort(omega.numpy())
    logs = logs - np.log(np.exp(logs).sum())
    expected = (phi * (np.log(phi) - logs)).sum() / ROWS
    assert prior_divergence(omega, 0.5, noise).item() == pytest.approx(expected)


def test_the_gradient_of_the_prior_is_that_of_equation_6():
    omega, noise = normal(ROWS).abs().sort().values.requires_grad_(), normal(ROWS, seed=5)
    phi = (0.5 + 0.1 * noise).clamp_min(1e-8).sort().values
    prior_divergence(omega, 0.5, noise).backward()
    expected = (phi.sum() * torch.softmax(omega.detach(), 0) - phi) / ROWS
    torch.testing.assert_close(omega.grad, expected)


def test_fusion_is_an_attention_over_views():
    torch.manual_seed(0)
    fusion = ViewFusion(4).double()
    torch.nn.init.normal_(fusion.map)
    torch.nn.init.normal_(fusion.query)
    views = normal(ROWS, 3, 4)
    shares = fusion.shares(views)
    torch.testing.assert_close(shares.sum(-1), torch.ones(ROWS, dtype=torch.float64))
    a, w = fusion.query.detach(), fusion.map.detach()
    for row in range(ROWS):
        score = torch.stack([q @ w @ a for q in views[row]]).exp()
        expected = (score[:, None] * views[row]).sum(0) / score.sum()
        torch.testing.assert_close(fusion(views)[row].detach(), expected)
    same = normal(ROWS, 1, 4).expand(ROWS, 3, 4)
    torch.testing.assert_close(fusion(same), same[:, 0])
