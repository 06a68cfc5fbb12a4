"""Methods that drop interactions by a rule that is fixed before training.

The rule looks at one interaction at a time, so training may predict at every position in one
pass: the input of a target is what the rule keeps of the interactions before it.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData
from bench.model.shapes import is_static

from .packing import Packing, keep_at_least_one, pack


class InteractionFilter(Method):
    """The bare backbone on sequences without the interactions that :meth:`decide` drops.

    If all interactions before a target would be dropped, the least noisy one stays. Dropped
    interactions remain targets, as for every other method.

    Parameters
    ----------
    data
        Training interactions and loss.
    backbone
        Sequence encoder that reads the remaining interactions.
    """

    def __init__(self, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss

    @abstractmethod
    def decide(self, users: Tensor, positions: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Decide about interactions one by one.

        Parameters
        ----------
        users
            int64: user of each interaction.
        positions
            int64, same shape: position in the user's whole history, 0 = first.
        items
            int64, same shape: item, 0 = padding.

        Returns
        -------
        tuple of Tensor
            Whether each is dropped (bool), and its noise score in [0, 1].
        """

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the single part ``next_item``."""
        self.backbone.check_targets(batch.valid, batch.targets)
        drop, score = self._decide_batch(batch)
        left = batch.valid & ~drop
        packing = pack(keep_at_least_one(left, score, batch.valid))
        packed = left.cumsum(1) - 1
        if is_static(left.device):
            found, targets = self._found_in_static_shapes(batch, score, packing, packed)
            vectors = self.backbone.project(found)
            return {"next_item": self.next_item_loss(vectors, self.item_vectors(), targets)}
        # Nothing is left before these targets: each becomes a sequence of one item.
        alone = (batch.targets > 0) & (packed < 0)
        single = self._least_noisy(batch, score)[alone]
        kept = packing.gather(batch.items)
        lone = torch.nn.functional.pad(single[:, None], (0, kept.shape[1] - 1))
        rows = torch.arange(len(kept), device=kept.device)[:, None].expand_as(alone)
        users = torch.cat([batch.users, batch.users[rows[alone]]])
        states = self._states(torch.cat([kept, lone]), users)
        usual = (batch.targets > 0) & ~alone
        found = torch.cat([states[rows[usual], packed[usual]], states[len(kept) :, 0]])
        targets = torch.cat([batch.targets[usual], batch.targets[alone]])
        vectors = self.backbone.project(found)
        return {"next_item": self.next_item_loss(vectors, self.item_vectors(), targets)}

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last remaining interaction, ``[B, D]``."""
        items = pack(self.denoise(batch).keep).gather(batch.items)
        x = self.backbone.embed(items)
        return self.backbone.project(self.backbone.encode_last(x, items > 0, batch.users))

    def item_vectors(self) -> Tensor:
        """Return the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Return the rule's decisions, keeping at least one interaction of each history."""
        drop, score = self._decide_batch(batch)
        return Denoised(keep_at_least_one(batch.valid & ~drop, score, batch.valid), score)

    def _found_in_static_shapes(
        self, batch: Batch, score: Tensor, packing: Packing, packed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the states of all targets and the targets; each has a row of one item as well."""
        predicted = batch.predicted
        row = predicted.div(batch.items.shape[1], rounding_mode="floor")
        place = packed.flatten()[predicted]
        single = self._least_noisy(batch, score).flatten()[predicted]
        alone = self._states(single[:, None], batch.users[row])[:, 0]
        usual = self._states(packing.gather(batch.items), batch.users)[row, place.clamp_min(0)]
        return alone.where(place[:, None] < 0, usual), batch.targets.flatten()[predicted]

    def _decide_batch(self, batch: Batch) -> tuple[Tensor, Tensor]:
        steps = torch.arange(batch.items.shape[1], device=batch.items.device)
        positions = batch.first[:, None] + steps
        return self.decide(batch.users[:, None].expand_as(positions), positions, batch.items)

    @staticmethod
    def _least_noisy(batch: Batch, score: Tensor) -> Tensor:
        """Return the item with the lowest score so far, the most recent among equals."""
        return batch.items.gather(1, score.cummin(1).indices)

    def _states(self, items: Tensor, users: Tensor) -> Tensor:
        return self.backbone.encode(self.backbone.embed(items), items > 0, users)
