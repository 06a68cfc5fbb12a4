"""R-CE: against generalised cross-entropy, and what normalised weights ignore."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from weighting_toys import build, dense, everything, gradients, targets, training


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0])
def test_without_normaliser_the_gradient_is_that_of_generalised_cross_entropy(beta):
    """Zhang and Sabuncu, NeurIPS 2018: the mean of ``(1 - p^q) / q``."""
    train = training()
    method, batch = build("r-ce", train, beta=beta, normalise="none"), everything(train)
    found = gradients(method, method.losses(batch)["next_item"])
    probabilities = (-dense(method, batch)).double().exp()
    expected = gradients(method, ((1 - probabilities**beta) / beta).mean())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_the_weighted_mean_by_hand():
    train = training()
    method, batch = build("r-ce", train, beta=0.3), everything(train)
    found = method.losses(batch)["next_item"].item()
    losses = dense(method, batch).detach().double().numpy()
    assert found == pytest.approx(np.average(losses, weights=np.exp(-0.3 * losses)), rel=1e-5)


def test_a_constant_added_to_all_losses_changes_no_weight():
    method = build("r-ce", training(), beta=0.3)
    losses = torch.tensor([0.5, 2.0, 9.0, 4.0])
    first, second = (method.weigh(targets(losses + added)) for added in (0, 100))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=0)
    assert first.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("normalise", ["weights", "none"])
def test_the_likelier_of_two_targets_weighs_more(normalise):
    method = build("r-ce", training(), beta=0.5, normalise=normalise)
    weights = method.weigh(targets([1.0, 3.0]))
    assert (weights[0] / weights[1]).item() == pytest.approx(np.exp(0.5 * 2), rel=1e-5)


def test_an_excess_of_any_size_is_finite():
    method = build("r-ce", training(), beta=5.0, normalise="none", key="excess")
    weights = method.weigh(targets([0.0, 500.0], item=[25, 1]))
    assert torch.isfinite(weights).all()
    assert weights[1].item() == pytest.approx(np.exp(-20) / 2, rel=1e-5)
