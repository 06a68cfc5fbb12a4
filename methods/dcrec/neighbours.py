"""Means over own and foreign neighbours of every item (README.md, "Conformity weights")."""

from __future__ import annotations

import torch
from torch import Tensor

from .graphs import ItemGraph


def split(graph: ItemGraph, kept: Tensor, loop_is_neighbour: bool = False) -> tuple[Tensor, Tensor]:
    """Split the stored edges of every item by whether a perturbation removed them.

    Parameters
    ----------
    graph
        The transition graph.
    kept
        bool ``[M]``: edges that the perturbation kept.
    loop_is_neighbour
        Whether an item is its own foreign neighbour.

    Returns
    -------
    tuple
        ``(own, foreign)``, bool ``[M]`` each: removed edges, and the others.
    """
    foreign = kept if loop_is_neighbour else kept & ~graph.loop
    return ~kept, foreign


def split_sampled(
    graph: ItemGraph,
    kept: Tensor,
    limit: int,
    loop_is_neighbour: bool = True,
    noise: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Split as the official code does: sample the foreign side, call the remainder own.

    The own side therefore holds foreign neighbours wherever more than ``limit`` are kept; it is
    sampled in turn.

    Parameters
    ----------
    graph, kept, loop_is_neighbour
        See :func:`split`.
    limit
        Largest number of neighbours of a side.
    noise
        Uniform numbers ``[2, M]`` in [0, 1); on each side the smallest of a row are selected.

    Returns
    -------
    tuple
        ``(own, foreign)``, bool ``[M]`` each.
    """
    if noise is None:
        noise = torch.rand(2, graph.edges, device=kept.device)
    neighbour = ~graph.loop | loop_is_neighbour
    foreign = _smallest(graph, neighbour & kept, limit, noise[0])
    return _smallest(graph, neighbour & ~foreign, limit, noise[1]), foreign


def means(graph: ItemGraph, members: Tensor, features: Tensor) -> Tensor:
    """Average features over each item's neighbours.

    One product with a matrix of shares is cheaper than gathering the neighbours of a batch, because
    its structure and that of its gradient exist already.

    Parameters
    ----------
    graph
        The transition graph.
    members
        bool ``[M]``: the edges to average over.
    features
        ``[N, D]``.

    Returns
    -------
    Tensor
        ``[N, D]``; zero where an item has no such neighbour.
    """
    chosen = members.to(features.dtype)
    count = graph.degree(graph.rows, chosen)
    averaged: Tensor = graph.matrix(features, chosen / count.clamp_min(1)[graph.rows])
    return averaged


def _smallest(graph: ItemGraph, allowed: Tensor, limit: int, noise: Tensor) -> Tensor:
    """Select, in every row, the allowed edges with the ``limit`` smallest numbers."""
    order = torch.argsort(noise.where(allowed, 2), stable=True)
    order = order[torch.argsort(graph.rows[order], stable=True)]
    index = torch.arange(graph.edges, device=noise.device)
    rank = index - graph.matrix.starts[graph.rows]
    chosen = torch.zeros_like(allowed).scatter(0, order, rank < limit)
    return chosen & allowed
