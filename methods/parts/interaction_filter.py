"""Methods that remove interactions by a rule fixed before training, and leave the rest alone.

The rule looks at one interaction at a time, so training may predict at every position in one
pass: the input of a target is what the rule leaves of the interactions before it.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .packing import pack, with_survivor


class InteractionFilter(Method):
    """The bare backbone on sequences without the interactions that :meth:`judge` drops.

    Where all interactions before a target would go, the least noisy one stays. Removed
    interactions stay targets, as for every other method.

    Parameters
    ----------
    data, backbone
        As every method's.
    """

    def __init__(self, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss

    @abstractmethod
    def judge(self, users: Tensor, positions: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Decide about interactions one by one.

        Parameters
        ----------
        users, positions, items
            int64 of one shape: whose, which place in the user's whole history, which item.

        Returns
        -------
        tuple of Tensor
            Whether each is dropped (bool), and its noise score in 0 .. 1.
        """

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Give the one part ``next_item``."""
        drop, score = self._judged(batch)
        left = batch.valid & ~drop
        packing = pack(with_survivor(left, score, batch.valid))
        place = left.cumsum(1) - 1
        # Before these targets nothing is left: each becomes a sequence of one item.
        alone = (batch.targets > 0) & (place < 0)
        single = self._least_noisy(batch, score)[alone]
        kept = packing.gather(batch.items)
        lone = torch.nn.functional.pad(single[:, None], (0, kept.shape[1] - 1))
        rows = torch.arange(len(kept), device=kept.device)[:, None].expand_as(alone)
        users = torch.cat([batch.users, batch.users[rows[alone]]])
        states = self._states(torch.cat([kept, lone]), users)
        usual = (batch.targets > 0) & ~alone
        found = torch.cat([states[rows[usual], place[usual]], states[len(kept) :, 0]])
        targets = torch.cat([batch.targets[usual], batch.targets[alone]])
        vectors = self.backbone.project(found)
        return {"next_item": self.next_item_loss(vectors, self.item_vectors(), targets)}

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last survivor, ``[B, D]``."""
        items = pack(self.denoise(batch).keep).gather(batch.items)
        x = self.backbone.embed(items)
        return self.backbone.project(self.backbone.encode_last(x, items > 0, batch.users))

    def item_vectors(self) -> Tensor:
        """Give the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Give the rule's decisions, and the survivor of a history that would lose everything."""
        drop, score = self._judged(batch)
        return Denoised(with_survivor(batch.valid & ~drop, score, batch.valid), score)

    def _judged(self, batch: Batch) -> tuple[Tensor, Tensor]:
        steps = torch.arange(batch.items.shape[1], device=batch.items.device)
        positions = batch.first[:, None] + steps
        return self.judge(batch.users[:, None].expand_as(positions), positions, batch.items)

    @staticmethod
    def _least_noisy(batch: Batch, score: Tensor) -> Tensor:
        """Item with the lowest score up to each position, the most recent among equals."""
        return batch.items.gather(1, score.cummin(1).indices)

    def _states(self, items: Tensor, users: Tensor) -> Tensor:
        return self.backbone.encode(self.backbone.embed(items), items > 0, users)
