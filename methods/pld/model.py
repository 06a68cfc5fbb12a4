"""Weights within a user's own losses."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from bench.methods.parts.counter_noise import uniform
from bench.methods.parts.target_weights import KeyWeighting, TargetKey, Targets
from bench.model.backbone import Backbone
from bench.model.method import TrainingData
from bench.model.shapes import is_static

from .config import PLDConfig


class PLD(KeyWeighting):
    """Targets weighted by a softmax over pools of the same row."""

    spread: Tensor

    def __init__(self, config: PLDConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(data, backbone)
        self.config = config
        self.seed = data.seed
        # Another seed than that of the pools: losses dealt in their order would be equal in a pool.
        self.key = TargetKey(config.key, replace(data, seed=data.seed ^ 1))
        # Sums of squares of losses: from the rows' means, and from the batch's.
        self.register_buffer("spread", torch.zeros(2, dtype=torch.float64))

    def begin_epoch(self, epoch: int) -> None:
        """Begin the sums of squares again."""
        super().begin_epoch(epoch)
        self.spread.zero_()

    def weigh(self, targets: Targets) -> Tensor:
        """Compute weights whose sum over a pool is its share of the targets."""
        self._compare(targets)
        count = len(targets.loss)
        if self.current_epoch < self.config.warmup:
            return torch.full_like(targets.loss, 1 / count)
        exponents = -self.key(targets, self.current_epoch) / self.config.tau
        order, pool, place = self.pools(targets)
        # A GPU is not asked how many pools there are, nor how large one is.
        shape = (count, count)
        if not is_static(place.device):
            shape = int(pool[-1]) + 1, int(place.max()) + 1
        padded = exponents.new_full(shape, -torch.inf)
        padded[pool, place] = exponents[order]
        sizes = padded.isfinite().sum(1, keepdim=True)
        weights = torch.empty_like(exponents)
        weights[order] = (torch.softmax(padded, 1) * sizes)[pool, place]
        return weights / count

    def pools(self, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Group targets of a row at random; what is left of a row is a smaller pool.

        The order is a hash of interaction and epoch, so that the generator of training draws what
        it draws for the bare backbone.

        Returns
        -------
        tuple of Tensor
            Order of the targets, and, in that order, the pool of each and its place there; int64.
        """
        epoch = torch.full((), self.current_epoch, device=targets.slot.device)
        order = torch.argsort(uniform(self.seed, targets.slot, epoch))
        order = order[torch.argsort(targets.row[order], stable=True)]
        # Rows are together, in the order of the targets and in this one.
        row, sizes = _rows(targets)
        place = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes)[row]
        if self.config.pool == "row":
            return order, row, place
        place %= self.config.pool
        return order, (place == 0).cumsum(0) - 1, place

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return ``within_user``, the share of the losses' variance within rows, as well."""
        found = super().diagnostics()
        within, total = self.spread.tolist()
        return found | {"within_user": within / total} if total else found

    def _compare(self, targets: Targets) -> None:
        """Add the squares of a batch."""
        loss = targets.loss.double()
        row, sizes = _rows(targets)
        until = torch.nn.functional.pad(loss.cumsum(0)[sizes.cumsum(0) - 1], (1, 0))
        means = (until.diff() / sizes)[row]
        squares = [(loss - means).square().sum(), (loss - loss.mean()).square().sum()]
        self.spread += torch.stack(squares)


def _rows(targets: Targets) -> tuple[Tensor, Tensor]:
    """Return the row of each target and the number of targets of each; no gaps on a CPU."""
    if is_static(targets.row.device):
        sizes = torch.zeros_like(targets.row)
        return targets.row, sizes.index_add(0, targets.row, torch.ones_like(targets.row))
    _, row, sizes = torch.unique_consecutive(targets.row, return_inverse=True, return_counts=True)
    return row, sizes
