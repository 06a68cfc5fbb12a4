"""A backbone on what a file of decisions leaves."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.methods.parts.interaction_filter import InteractionFilter
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import TrainingData

from .config import DecisionsConfig
from .read import read_slots


class FileDecisions(InteractionFilter):
    """Drop and replace the interactions that a file names, in training and at test time.

    A decision applies to an interaction whose user, position and item are those that it was made
    about. A replaced interaction has the other item in its place, whatever the file says on
    keeping it.
    """

    starts: Tensor
    item: Tensor
    dropped: Tensor
    score: Tensor
    replacement: Tensor

    def __init__(self, config: DecisionsConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(data, backbone)
        self.all_targets = config.targets == "all"
        slots = read_slots(config, data)
        # A replaced interaction is dropped, and the other item is no interaction of the data; in
        # the last slots, whose item is not known, the two are not told apart.
        dropped = ~slots.keep | ((slots.replacement > 0) & (slots.item > 0))
        columns = {**vars(slots), "dropped": dropped, "score": slots.score.astype("float32")}
        for name in ("starts", "item", "dropped", "score", "replacement"):
            self.register_buffer(name, torch.from_numpy(columns[name]), persistent=False)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the single part ``next_item``; 0 where no target is left."""
        edited = self._edited(batch)
        predicted = edited.predicted
        if not len(predicted):
            return {"next_item": 0.0 * self.item_vectors().sum()}
        return super().losses(edited.sized(predicted, batch.size))

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last remaining interaction, ``[B, D]``."""
        return super().user_vectors(self._edited(batch))

    def decide(self, users: Tensor, positions: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Look up decisions and scores; what the file does not name stays, with score 0."""
        slot, known = self._slots(users, positions, items)
        return known & self.dropped[slot], self.score[slot].where(known, 0.0)

    def _slots(self, users: Tensor, positions: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slot of each interaction, and whether it is the one of the file."""
        slot = self.starts[users] + positions
        inside = slot < self.starts[users + 1]
        slot = slot.clamp_max(len(self.item) - 1)
        same = (self.item[slot] == items) | (self.item[slot] == 0)
        return slot, inside & same & (items > 0)

    def _replaced(self, users: Tensor, positions: Tensor, items: Tensor) -> Tensor:
        slot, known = self._slots(users, positions, items)
        other = self.replacement[slot]
        return other.where(known & (other > 0), items)

    def _edited(self, batch: Batch) -> Batch:
        """Replace items, and remove or replace targets."""
        steps = torch.arange(batch.items.shape[1], device=batch.items.device)
        positions = batch.first[:, None] + steps
        users = batch.users[:, None].expand_as(positions)
        items, targets = self._replaced(users, positions, batch.items), batch.targets
        if not self.all_targets:
            other = self._replaced(users, positions + 1, targets)
            gone = self.decide(users, positions + 1, targets)[0] & (other == targets)
            targets = other.masked_fill(gone, 0)
        return Batch(batch.users, items, targets, batch.flat_index, batch.first)
