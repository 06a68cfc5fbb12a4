"""The double correction framework: a mean of damped losses, a bound, relabelling."""

from __future__ import annotations

from math import floor

import torch
from torch import Tensor

from bench.methods.parts.surprise import SLICE_ROWS
from bench.methods.parts.target_weights import Targets
from bench.methods.parts.truncation import Ramp, Truncation
from bench.model.backbone import Backbone
from bench.model.method import TrainingData

from .config import DCFConfig

_SMALLEST_LOSS = 1e-6
"""Of a target whose label is flipped; the flipped loss of a certain target is infinite."""


class DCF(Truncation):
    """Truncation by losses over time; a few of the hardest targets are relabelled."""

    damped: Tensor
    visits: Tensor
    learnt: Tensor

    def __init__(self, config: DCFConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(Ramp(config.rate, config.ramp), data, backbone)
        self.config = config
        # Of each training interaction since the memory was cleared: sum of damped losses, visits,
        # and one more than the visits at which it was learnt from.
        self.register_buffer("damped", torch.zeros(len(self.items)))
        self.register_buffer("visits", torch.zeros(len(self.items), dtype=torch.int32))
        self.register_buffer("learnt", torch.ones(len(self.items), dtype=torch.int32))

    def begin_epoch(self, epoch: int) -> None:
        """Clear the memory where an interval begins."""
        super().begin_epoch(epoch)
        if epoch % self.config.interval == 0:
            self.damped.zero_()
            self.visits.zero_()
            self.learnt.fill_(1)

    def objective(self, targets: Targets, vectors: Tensor, loss: Tensor) -> Tensor:
        """Compute the mean loss of the kept and the relabelled targets."""
        kept, top = self.choose(targets)
        trained = len(kept) + len(top)
        weights = torch.zeros_like(targets.loss)
        weights[kept] = 1 / trained
        total = self.weighted(targets, loss, weights)
        if not len(top):
            return total
        return total + self.relabelled(vectors[top], loss[top]).sum() / trained

    def choose(self, targets: Targets) -> tuple[Tensor, Tensor]:
        """Remember the losses of a batch and choose by their means.

        Returns
        -------
        tuple of Tensor
            Indices of the kept targets and of those that are relabelled, int64.
        """
        slot, count = targets.slot, len(targets.slot)
        self.damped[slot] += damp(targets.loss).to(self.damped.dtype)
        self.visits[slot] += 1
        order = self.ascending(self.lower_bounds(slot, self.current_epoch), slot)
        kept = order[: self.kept_count(count)]
        self.learnt[slot[kept]] += 1
        self.note(slot, kept)
        relabelled = self._relabelled_count(count, len(kept))
        return kept, order[count - relabelled :]

    def relabelled(self, vectors: Tensor, loss: Tensor) -> Tensor:
        """Compute the losses of the hardest targets with other labels."""
        if self.config.relabel == "flip":
            return -(-torch.expm1(-loss.clamp_min(_SMALLEST_LOSS))).log()
        if self.config.relabel == "predicted":
            return self.target_loss(vectors, self.item_vectors(), self._best(vectors))
        return loss

    def score(self, loss: Tensor, item: Tensor, slot: Tensor, known: Tensor) -> Tensor:
        """Return the bounds of interactions that are remembered, and damped losses of others."""
        del item
        score = damp(loss)
        place = known.nonzero().squeeze(1)
        place = place[self.visits[slot[place]] > 0]
        score[place] = self.lower_bounds(slot[place], int(self.epoch)).to(score.dtype)
        return score

    def lower_bounds(self, slot: Tensor, epoch: int) -> Tensor:
        """Compute what the mean damped losses of visited interactions are at least."""
        past = min(1.0, epoch / (self.config.sig2_epochs - 1))
        sig2 = self.config.sig2 * (1 - past)
        visits = self.visits[slot].double()
        width = sig2 * (visits + sig2 * (2 * visits).log() / visits.square())
        bounds = self.damped[slot] / visits - width / (self.learnt[slot] + 1 - sig2)
        return bounds.clamp_min(0).to(self.damped.dtype)

    def _relabelled_count(self, count: int, kept: int) -> int:
        if self.config.relabel == "none":
            return 0
        share = self.config.ratio * self.ramp.at(self.current_epoch)
        return min(count - floor((1 - share) * count), count - kept)

    @torch.no_grad()
    def _best(self, vectors: Tensor) -> Tensor:
        table = self.item_vectors()
        parts = torch.split(vectors, SLICE_ROWS)
        return torch.cat([(part @ table.T).argmax(1) for part in parts]) + 1


def damp(loss: Tensor) -> Tensor:
    """Damp losses: ``log(1 + l + l^2 / 2)``."""
    return (1 + loss + loss.square() / 2).log()
