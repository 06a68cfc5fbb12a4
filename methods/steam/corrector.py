"""The corrector: one operation for each position, and what to insert (sections 4 and 6.1)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.ragged import Ragged
from bench.model.method import NextItemLoss

from .config import STEAMConfig
from .corruption import DELETE, INSERT, Corrupted
from .edits import Corrected, apply_edits
from .encoder import SharedEncoder
from .generator import InsertionGenerator

Edits = Literal["all", "delete", "insert", "none"]


class Corrector(nn.Module):
    """Operation head and insertion generator on the shared encoder's states.

    Parameters
    ----------
    config
        All settings.
    """

    def __init__(self, config: STEAMConfig) -> None:
        super().__init__()
        self.protect_last = config.protect_last
        self.head = nn.Linear(config.embedding_size, 3)
        self.generator = InsertionGenerator(config)

    def losses(
        self, encoder: SharedEncoder, states: Tensor, truth: Corrupted, loss: NextItemLoss
    ) -> tuple[Tensor, Tensor]:
        """Give L_op and L_ins of corrupted segments.

        Parameters
        ----------
        encoder
            Has the item table.
        states
            ``[M, D]`` of the real slots of ``truth.items``, in the order of rows and slots.
        truth
            The corruption.
        loss
            The run's loss over all classes.
        """
        operations = truth.operations[truth.items > 0]
        deciding = functional.cross_entropy(self.head(states), operations)
        if not len(truth.missing):
            return deciding, states.new_zeros(())
        gaps = torch.nonzero(operations == INSERT).squeeze(1)
        written = self.generator(encoder, states.index_select(0, gaps), truth.missing)
        table, first = encoder.classes("generator")
        targets = truth.missing[truth.missing > 0]
        return deciding, loss(written, table, targets - first + 1)

    def decide(self, logits: Tensor, ragged: Ragged) -> Tensor:
        """Choose keep, delete or insert, int64 ``[M]``, from the head's ``logits [M, 3]``."""
        if self.protect_last:
            ends = (ragged.starts + ragged.lengths - 1)[ragged.lengths > 0]
            logits = logits.clone()
            logits[ends, DELETE] = float("-inf")
        return logits.argmax(-1)

    def correct(
        self, encoder: SharedEncoder, items: Tensor, longest: int, edits: Edits = "all"
    ) -> Corrected:
        """Correct sequences once; for evaluation mode, without gradient.

        Parameters
        ----------
        encoder
            Shared.
        items
            int64 ``[B, W]``, right-padded with 0.
        longest
            Most items of a result; the last ones stay.
        edits
            Which decisions are applied.
        """
        ragged = Ragged(items > 0)
        states = encoder(items, ragged)
        decided = ragged.put(self.decide(self.head(states), ragged))
        shape = (*items.shape, self.generator.longest)
        tokens = torch.zeros(shape, dtype=torch.long, device=items.device)
        if edits in {"all", "insert"}:
            gaps = ragged.take(decided) == INSERT
            written = self.generator.decode(encoder, states[gaps])
            # The end is no item; nor are padding and mask, which the official softmax may choose.
            tokens[decided == INSERT] = written * (written < encoder.end)
        keep = (decided != DELETE) | (edits in {"insert", "none"})
        return apply_edits(items, keep, tokens, longest)
