"""Removal of a batch's transitions from a graph (README.md, "Graphs")."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.model.shapes import is_static


class Perturbation(nn.Module):
    """The stored edges that each user made; not part of a checkpoint.

    Parameters
    ----------
    offsets, edges
        Result of :func:`bench.methods.dcrec.counting.edges_by_user`.
    """

    offsets: Tensor
    edges: Tensor
    owners: Tensor

    def __init__(self, offsets: NDArray[np.int64], edges: NDArray[np.int64]) -> None:
        super().__init__()
        self.register_buffer("offsets", torch.from_numpy(offsets), persistent=False)
        self.register_buffer("edges", torch.from_numpy(edges), persistent=False)
        owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        self.register_buffer("owners", torch.from_numpy(owners), persistent=False)

    def kept(self, users: Tensor, stored: int) -> Tensor:
        """Return the edges that none of some users made; loops are always kept.

        An edge is removed no matter who else made it too.

        Parameters
        ----------
        users
            int64 ``[B]``; repetitions have no effect.
        stored
            M, number of edges of the graph.

        Returns
        -------
        Tensor
            bool ``[M]``, newly allocated.
        """
        if is_static(users.device):
            everyone = torch.zeros(len(self.offsets) - 1, dtype=torch.bool, device=users.device)
            removed = everyone.index_fill(0, users, True)[self.owners]
            kept = torch.ones(stored + 1, dtype=torch.bool, device=users.device)
            # The entry behind the last stands for what no user of the batch owns.
            return kept.index_fill(0, self.edges.where(removed, stored), False)[:-1]
        users = torch.unique(users)
        start = self.offsets[users]
        count = self.offsets[users + 1] - start
        before = count.cumsum(0) - count
        index = torch.arange(int(count.sum()), device=users.device)
        owned = index + torch.repeat_interleave(start - before, count)
        kept = torch.ones(stored, dtype=torch.bool, device=users.device)
        return kept.index_fill(0, self.edges[owned], False)
