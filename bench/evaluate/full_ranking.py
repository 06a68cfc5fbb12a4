"""Ranks of held-out targets under a trained model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from bench.data.split import Split
from bench.evaluate.ranks import Counts, block_rows, count_block
from bench.model.batch import Rows, SequenceData
from bench.model.method import Method
from bench.model.samples import blocks, histories
from bench.plan.protocol import Phase
from bench.plan.result import Ranks, TopLists

POSITIONS_PER_BLOCK = 16_384
"""Padded positions that are encoded at a time."""


class FullRanking:
    """Rank the targets of one phase of a split, after every epoch or once.

    Parameters
    ----------
    split
        Says what is held out.
    phase
        ``validation`` or ``test``, whose targets are ranked.
    max_length
        Most recent interactions that the model sees.
    device
        Device of the model.
    """

    def __init__(self, split: Split, phase: Phase, max_length: int, device: torch.device) -> None:
        self._data = SequenceData(split.dataset.sequences)
        self._places = torch.from_numpy(split.targets_at[phase])
        rows = histories(self._data, max_length, self._places)
        self._users = rows.user
        self._blocks = blocks(rows, POSITIONS_PER_BLOCK)
        self._device = device
        self._n_items = split.n_items
        self._popularity = torch.from_numpy(split.item_counts())

    @torch.inference_mode()
    def rank(self, method: Method) -> Ranks:
        """Rank all targets with the model in evaluation mode.

        Raises
        ------
        TrainingError
            A score is NaN.
        """
        method.eval()
        items = method.item_vectors()
        counted = Counts.concatenate(self._count(method, rows, items) for rows in self._blocks)
        order = torch.argsort(torch.cat([rows.end for rows in self._blocks]))
        return self._result(Counts(*(column[order] for column in vars(counted).values())))

    @torch.inference_mode()
    def top(self, method: Method, k: int, *, unseen: bool = False) -> TopLists:
        """Compute the k items of highest score for the history of every target.

        Parameters
        ----------
        method
            The model; it is put into evaluation mode.
        k
            Length of a list, at most the number of items.
        unseen
            Leave out the items of the user's history.
        """
        method.eval()
        items = method.item_vectors()
        places, found, scores = [], [], []
        for rows in self._blocks:
            vectors = method.user_vectors(self._data.gather(rows).to(self._device))
            size = block_rows(self._n_items, self._device)
            for start in range(0, len(rows), size):
                part = rows.take(torch.arange(start, min(start + size, len(rows))))
                block = vectors[start : start + size] @ items.T
                if unseen:
                    seen = self._everything_seen(part).to(self._device)
                    padded = functional.pad(block, (1, 0))  # column 0 is padding
                    block = padded.scatter_(1, seen, -torch.inf)[:, 1:]
                best = block.topk(min(k, self._n_items), dim=1)
                places.append(part.end)
                found.append(best.indices.cpu() + 1)
                scores.append(best.values.float().cpu())
        order = torch.argsort(torch.cat(places))
        lists = torch.cat(found)[order]
        count, length = lists.shape
        return TopLists(
            user=np.repeat(self._users.to(torch.int32).numpy(), length),
            rank=np.tile(np.arange(1, length + 1, dtype=np.int32), count),
            item=lists.flatten().to(torch.int32).numpy(),
            score=torch.cat(scores)[order].flatten().numpy(),
        )

    def _count(self, method: Method, rows: Rows, items: torch.Tensor) -> Counts:
        batch = self._data.gather(rows)
        vectors = method.user_vectors(batch.to(self._device))
        size = block_rows(self._n_items, self._device)
        parts = []
        for start in range(0, len(rows), size):
            part = rows.take(torch.arange(start, min(start + size, len(rows))))
            counts = count_block(
                vectors[start : start + size],
                items,
                self._data.items[part.end].to(self._device),
                self._everything_seen(part).to(self._device),
            )
            parts.append(counts)
        joined = Counts.concatenate(parts)
        return Counts(*(column.cpu() for column in vars(joined).values()))

    def _everything_seen(self, rows: Rows) -> torch.Tensor:
        """Gather whole histories: what a long user saw before the model's window is seen too."""
        start = self._data.offsets[rows.user]
        return self._data.gather(replace(rows, start=start, length=rows.end - start)).items

    def _result(self, counts: Counts) -> Ranks:
        targets = self._data.items[self._places]
        columns = {
            **vars(counts),
            "target": targets,
            "target_count": self._popularity[targets],
            "history_length": self._places - self._data.offsets[self._users],
            "candidates_all": torch.full_like(targets, self._n_items),
        }
        if not torch.equal(self._users, torch.arange(len(self._data.lengths))):
            columns["user"] = self._users
        return Ranks(**{name: column.to(torch.int32).numpy() for name, column in columns.items()})
