"""Ranks of every user's held-out target under a trained model."""

from __future__ import annotations

import numpy as np
import torch

from bench.data.dataset import LeaveOneOut
from bench.evaluate.ranks import Counts, block_rows, count_block
from bench.model.batch import Rows, SequenceData
from bench.model.method import Method
from bench.model.samples import blocks, histories
from bench.plan.protocol import Phase
from bench.plan.result import Ranks

POSITIONS_PER_BLOCK = 16_384
"""Padded positions that are encoded at a time."""


class FullRanking:
    """One phase of a split, ready to be ranked after every epoch.

    Parameters
    ----------
    split
        The leave-one-out split.
    phase
        Whose targets are ranked.
    max_length
        Most recent interactions that the model sees.
    device
        Where the model lives.
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
