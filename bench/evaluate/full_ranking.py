"""Ranks of every user's held-out target under a trained model."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from bench.data.dataset import LeaveOneOut
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
        The leave-one-out split.
    phase
        ``validation`` or ``test``, whose targets are ranked.
    max_length
        Most recent interactions that the model sees.
    device
        Device of the model.
    """

    def __init__(
        self, split: LeaveOneOut, phase: Phase, max_length: int, device: torch.device
    ) -> None:
        self._history = SequenceData(split.history(phase))
        self._targets = torch.from_numpy(split.targets(phase).astype(np.int64))
        self._blocks = blocks(histories(self._history, max_length), POSITIONS_PER_BLOCK)
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
        users = torch.cat([rows.user for rows in self._blocks])
        order = torch.argsort(users)
        return self._result(Counts(*(column[order] for column in vars(counted).values())))

    @torch.inference_mode()
    def top(self, method: Method, k: int, *, unseen: bool = False) -> TopLists:
        """Compute the k items of highest score for every user.

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
        users, found, scores = [], [], []
        for rows in self._blocks:
            vectors = method.user_vectors(self._history.gather(rows).to(self._device))
            size = block_rows(self._n_items, self._device)
            for start in range(0, len(rows), size):
                part = rows.take(torch.arange(start, min(start + size, len(rows))))
                block = vectors[start : start + size] @ items.T
                if unseen:
                    seen = self._everything_seen(part.user).to(self._device)
                    padded = functional.pad(block, (1, 0))  # column 0 is padding
                    block = padded.scatter_(1, seen, -torch.inf)[:, 1:]
                best = block.topk(min(k, self._n_items), dim=1)
                users.append(part.user)
                found.append(best.indices.cpu() + 1)
                scores.append(best.values.float().cpu())
        order = torch.argsort(torch.cat(users))
        lists = torch.cat(found)[order]
        n_users, length = lists.shape
        return TopLists(
            user=np.repeat(np.arange(n_users, dtype=np.int32), length),
            rank=np.tile(np.arange(1, length + 1, dtype=np.int32), n_users),
            item=lists.flatten().to(torch.int32).numpy(),
            score=torch.cat(scores)[order].flatten().numpy(),
        )

    def _count(self, method: Method, rows: Rows, items: torch.Tensor) -> Counts:
        batch = self._history.gather(rows)
        vectors = method.user_vectors(batch.to(self._device))
        size = block_rows(self._n_items, self._device)
        parts = []
        for start in range(0, len(rows), size):
            part = rows.take(torch.arange(start, min(start + size, len(rows))))
            counts = count_block(
                vectors[start : start + size],
                items,
                self._targets[part.user].to(self._device),
                self._everything_seen(part.user).to(self._device),
            )
            parts.append(counts)
        joined = Counts.concatenate(parts)
        return Counts(*(column.cpu() for column in vars(joined).values()))

    def _everything_seen(self, users: torch.Tensor) -> torch.Tensor:
        """Gather whole histories: what a long user saw before the model's window is seen too."""
        length = self._history.lengths[users]
        start = self._history.offsets[users]
        rows = Rows(users, start, length, torch.zeros_like(length))
        return self._history.gather(rows).items

    def _result(self, counts: Counts) -> Ranks:
        columns = {name: column.to(torch.int32).numpy() for name, column in vars(counts).items()}
        return Ranks(
            target=self._targets.to(torch.int32).numpy(),
            target_count=self._popularity[self._targets].to(torch.int32).numpy(),
            history_length=self._history.lengths.to(torch.int32).numpy(),
            candidates_all=np.full(len(self._targets), self._n_items, dtype=np.int32),
            **columns,
        )
