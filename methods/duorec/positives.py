"""Histories that precede the same next item (paper, supervised positive sampling)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.data.sequences import Sequences


class SameTarget(nn.Module):
    """Draw, for a training target, another one with the same item, and the history before it.

    Targets are all training interactions but each user's first. They are named by their slots,
    their indices in the flat array of training interactions.

    Parameters
    ----------
    train
        Training interactions.
    max_length
        Most items of a history.
    """

    items: Tensor
    offsets: Tensor
    owner: Tensor
    by_item: Tensor
    place: Tensor
    begin: Tensor
    count: Tensor

    def __init__(self, train: Sequences, max_length: int) -> None:
        super().__init__()
        items = torch.from_numpy(train.items).long()
        offsets = torch.from_numpy(train.offsets.copy())
        owner = torch.repeat_interleave(torch.arange(len(train)), offsets.diff())
        slots = torch.arange(len(items))
        targets = slots[slots > offsets[owner]]
        by_item = targets[items[targets].argsort(stable=True)]
        place = torch.zeros_like(slots)
        place[by_item] = torch.arange(len(by_item))
        count = torch.bincount(items[by_item])
        tensors = {
            "items": items,
            "offsets": offsets,
            "owner": owner,
            "by_item": by_item,
            "place": place,
            "begin": count.cumsum(0) - count,
            "count": count,
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)
        # A fixed width: the longest history drawn would have to be read back from a GPU.
        self.width = min(max_length, max(int(offsets.diff().max()) - 1, 1))

    def draw(self, slot: Tensor) -> Tensor:
        """Draw a target with the same item, each other one equally likely.

        Parameters
        ----------
        slot
            int64 ``[B]``, of targets.

        Returns
        -------
        Tensor
            int64 ``[B]``: slots; the target itself where the item is no other target's.
        """
        item = self.items[slot]
        begin, others = self.begin[item], self.count[item] - 1
        own = self.place[slot] - begin
        drawn = (torch.rand(len(slot), dtype=torch.float64, device=slot.device) * others).long()
        drawn = torch.where(others > 0, drawn + (drawn >= own), own)
        return self.by_item[begin + drawn]

    def histories(self, slot: Tensor) -> tuple[Tensor, Tensor]:
        """Gather the interactions before targets.

        Returns
        -------
        tuple of Tensor
            Right-padded items, int64 ``[B, L]``, and users, int64 ``[B]``.
        """
        user = self.owner[slot]
        start = torch.maximum(self.offsets[user], slot - self.width)
        place = start[:, None] + torch.arange(self.width, device=slot.device)
        return self.items[place.clamp_max(len(self.items) - 1)] * (place < slot[:, None]), user
