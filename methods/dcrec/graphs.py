"""A graph of items as tensors, and the weights of one pass over it (README.md, "Graph encoder")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from bench.methods.parts.sparse import SparseMatrix
from bench.model.shapes import is_static

Norm = Literal["single", "double"]


class ItemGraph(nn.Module):
    """Edges of a graph with their stored weights, which are not part of a checkpoint.

    Parameters
    ----------
    matrix
        ``[N, N]`` without duplicates, columns ascending: row i gathers from its columns.

    Attributes
    ----------
    matrix
        The stored weights, and the product with other weights.
    rows
        int64 ``[M]``: target of each stored edge, ascending.
    loop
        bool ``[M]``: edges from a node to itself.
    links
        Number of stored edges between different items.
    all_degrees
        ``[2, N]``: number of stored edges into and out of each node.
    """

    rows: Tensor
    loop: Tensor
    all_degrees: Tensor

    def __init__(self, matrix: sparse.csr_array) -> None:
        super().__init__()
        self.matrix = SparseMatrix(matrix)
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        self.register_buffer("rows", torch.from_numpy(rows), persistent=False)
        loop = rows == matrix.indices
        self.register_buffer("loop", torch.from_numpy(loop), persistent=False)
        self.links = int((~loop).sum())
        everything = torch.ones_like(self.matrix.values)
        self.register_buffer("all_degrees", self.degrees(everything), persistent=False)

    @property
    def nodes(self) -> int:
        """N, number of nodes."""
        return self.matrix.shape[0]

    @property
    def edges(self) -> int:
        """M, number of stored edges, loops included."""
        return self.matrix.nnz

    def degree(self, ends: Tensor, counted: Tensor) -> Tensor:
        """Sum ``counted [M]`` over the edges with each end, ``[N]``; whole numbers stay exact."""
        return counted.new_zeros(self.nodes).index_add_(0, ends, counted)

    def degrees(self, counted: Tensor) -> Tensor:
        """Sum ``counted [M]`` over the edges into and out of each node, ``[2, N]``."""
        return torch.stack(
            [self.degree(ends, counted) for ends in (self.rows, self.matrix.columns)]
        )


@dataclass(frozen=True, eq=False)
class Convolution:
    """Weights of one pass: of the edges, and of an additional loop at every node.

    Attributes
    ----------
    graph
        Graph of the edges.
    values
        ``[M]``.
    loops
        ``[N]``; None = no such loops.
    """

    graph: ItemGraph
    values: Tensor
    loops: Tensor | None

    def __call__(self, features: Tensor) -> Tensor:
        """Gather ``[N, D]`` to ``[N, D]``."""
        gathered: Tensor = self.graph.matrix(features, self.values)
        return gathered if self.loops is None else gathered + self.loops[:, None] * features


def convolution(
    graph: ItemGraph, norm: Norm, kept: Tensor | None = None, dropout_mask: Tensor | None = None
) -> Convolution:
    """Prepare a pass over a graph.

    ``single``: stored weights as they are. ``double``: one more loop of weight 1 at every node,
    then each weight divided by the root of both ends' numbers of edges, whatever their weights;
    removed edges do not count, dropped ones do (DGL's ``GraphConv`` in the official code).

    Parameters
    ----------
    graph
        The stored graph, which is not changed.
    norm
        Normalisation of the weights.
    kept
        bool ``[M]``: edges that a perturbation kept; None = all.
    dropout_mask
        bool ``[M]``: edges that dropout kept; None = all.
    """
    weights = graph.matrix.values
    values = weights if kept is None else weights * kept
    if dropout_mask is not None:
        values = values * dropout_mask
    if norm == "single":
        return Convolution(graph, values, None)
    degrees = graph.all_degrees if kept is None else graph.degrees(kept.to(values.dtype))
    into, out = (1 + degrees).rsqrt()
    values = values * into[graph.rows] * out[graph.matrix.columns]
    return Convolution(graph, values, into * out)


def edge_dropout_mask(
    graph: ItemGraph,
    norm: Norm,
    rate: float,
    kept: Tensor | None = None,
    noise: Tensor | None = None,
) -> Tensor | None:
    """Draw the edges that dropout keeps, loops included; nothing is rescaled.

    ``single`` keeps each edge with probability 1 - rate. ``double`` draws ``rate`` times as many
    edges as there are with replacement and drops those, so that fewer are lost (official code).

    Parameters
    ----------
    graph, norm, kept
        See :func:`convolution`; removed edges are not drawn.
    rate
        Dropout rate; None is returned for 0.
    noise
        Uniform numbers in [0, 1): ``[M]`` for ``single``, one per draw for ``double``.

    Returns
    -------
    Tensor or None
        bool ``[M]``.
    """
    if not rate:
        return None
    if norm == "single":
        noise = torch.rand_like(graph.matrix.values) if noise is None else noise
        return noise >= rate
    device = graph.rows.device
    if is_static(device):
        return _drop_static(graph, rate, kept)
    stored = None if kept is None else torch.nonzero(kept).squeeze(1)
    count = graph.edges if stored is None else len(stored)
    if noise is None:
        noise = torch.rand(int(rate * count), device=device, dtype=torch.float64)
    drawn = (noise * count).long()
    dropout_mask = torch.ones(graph.edges, dtype=torch.bool, device=device)
    return dropout_mask.index_fill(0, drawn if stored is None else stored[drawn], False)


def _drop_static(graph: ItemGraph, rate: float, kept: Tensor | None) -> Tensor:
    """Draw as ``double`` does, from edges whose number depends on a mask."""
    rows = graph.rows
    kept = torch.ones_like(graph.loop) if kept is None else kept
    until = kept.cumsum(0)
    drawn = torch.rand(int(rate * graph.edges), device=rows.device, dtype=torch.float64)
    # The entry behind the last stands for draws that fewer edges do not have.
    chosen = torch.searchsorted(until, (drawn * until[-1]).long() + 1)
    draws = torch.arange(len(drawn), device=rows.device) < (rate * until[-1]).long()
    dropout_mask = torch.ones(graph.edges + 1, dtype=torch.bool, device=rows.device)
    return dropout_mask.index_fill(0, chosen.where(draws, graph.edges), False)[:-1]
