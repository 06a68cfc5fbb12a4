"""Conformity of a row's last interaction (README.md, "Conformity weights")."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.model.shapes import is_static

NORM_EPSILON = 1e-12
"""Vectors no longer than this have no direction: their cosine with anything is 0."""
RANGE_EPSILON = 1e-8
"""Smallest range of the mean channel over a batch at which its rows are distinguished."""


@dataclass(frozen=True, eq=False)
class ConformityWeights:
    """Weights of the two contrasts, each ``[B]`` and non-negative.

    Attributes
    ----------
    omega
        Conformist: weight of sequence against transition graph.
    psi
        Personal: weight of transition graph against co-interaction graph; 0 for the most
        conformist row.
    """

    omega: Tensor
    psi: Tensor


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Compute the cosine of rows, ``[..., D]`` twice to ``[...]``; 0 for a zero vector."""
    product: Tensor = (unit_vectors(a) * unit_vectors(b)).sum(-1)
    return product


def unit_vectors(vectors: Tensor) -> Tensor:
    """Divide rows ``[..., D]`` by their lengths; zero vectors stay zero, without gradient."""
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    zero = ~(length > NORM_EPSILON)
    units: Tensor = (vectors / length.masked_fill(zero, 1)).masked_fill(zero, 0)
    return units


def conformity_channels(item: Tensor, perturbed: Tensor, own: Tensor, foreign: Tensor) -> Tensor:
    """Compare an item with itself in the perturbed graph and with its neighbours.

    Parameters
    ----------
    item, perturbed
        ``[B, D]``: views of each row's last item in the whole and the perturbed graph.
    own, foreign
        ``[B, D]``: means over the neighbours that the batch's users linked to the item, and over
        the others; zero if there are none.

    Returns
    -------
    Tensor
        ``[3, B]``: alpha, influence of the own transitions; beta, consistency with other users;
        gamma, isomorphic property of the subgraph (README.md, equation 2).
    """
    pairs = ((item, perturbed), (own, foreign), (item, foreign))
    if is_static(item.device):
        # A CPU would add the gradients up in another order, and its numbers would change.
        first, second = zip(*pairs, strict=True)
        return cosine(torch.stack(first), torch.stack(second))
    return torch.stack([cosine(a, b) for a, b in pairs])


def conformity_weights(
    found: Tensor, mean: float, lengths: Tensor, first_item_weight: float | None = None
) -> ConformityWeights:
    """Compute weights relative to the batch from channels (README.md, equation 3).

    The sigmoid of the channels' mean is stretched to [0, 1] over the batch and scaled to the given
    mean. If all rows agree, all weights are the mean.

    Parameters
    ----------
    found
        ``[3, B]``, result of :func:`conformity_channels`.
    mean
        mu.
    lengths
        int64 ``[B]``: number of items of each history.
    first_item_weight
        Omega of histories of one item; None = as the others.
    """
    g = torch.sigmoid(found.mean(0))
    lowest, highest = g.amin(), g.amax()
    spread = highest - lowest
    distinguishable = spread > RANGE_EPSILON
    # Both branches of `where` are differentiated: neither may divide by zero.
    stretched = (g - lowest) / spread.where(distinguishable, 1)
    scaled = mean * stretched / stretched.mean().where(distinguishable, 1)
    omega = scaled.where(distinguishable, mean)
    if first_item_weight is not None:
        omega = omega.masked_fill(lengths == 1, first_item_weight)
    return ConformityWeights(omega, omega.max() - omega)
