"""The corrector: one operation per position, and the items to insert (see README.md)."""

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
    """Operation head and insertion generator on the states of the shared encoder.

    Parameters
    ----------
    config
        Settings of STEAM.
    """

    def __init__(self, config: STEAMConfig) -> None:
        super().__init__()
        self.protect_last = config.protect_last
        self.head = nn.Linear(config.embedding_size, 3)
        self.generator = InsertionGenerator(config)

    def losses(
        self, encoder: SharedEncoder, states: Tensor, truth: Corrupted, loss: NextItemLoss
    ) -> tuple[Tensor, Tensor]:
        """Compute L_op and L_ins of corrupted segments (README.md, equation 3).

        Parameters
        ----------
        encoder
            Shared encoder, which holds the item table.
        states
            ``[M, D]`` of the real positions of ``truth.items``, row by row.
        truth
            The corruption.
        loss
            Loss of the run over all classes.

        Returns
        -------
        tuple of Tensor
            Two scalars; L_ins is 0 without insertions.
        """
        operations = truth.operations[truth.items > 0]
        deciding = functional.cross_entropy(self.head(states), operations)
        if not len(truth.missing):
            return deciding, states.new_zeros(())
        gaps = torch.nonzero(operations == INSERT).squeeze(1)
        generated = self.generator(encoder, states.index_select(0, gaps), truth.missing)
        table, first = encoder.classes("generator")
        targets = truth.missing[truth.missing > 0]
        return deciding, loss(generated, table, targets - first + 1)

    def decide(self, logits: Tensor, ragged: Ragged) -> Tensor:
        """Return keep, delete or insert, int64 ``[M]``, from ``logits [M, 3]``."""
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
            Shared encoder.
        items
            int64 ``[B, W]``, right-padded with 0.
        longest
            Largest length of a result; the last items are kept.
        edits
            Decisions to apply.
        """
        ragged = Ragged(items > 0)
        states = encoder(items, ragged)
        decided = ragged.put(self.decide(self.head(states), ragged))
        shape = (*items.shape, self.generator.longest)
        tokens = torch.zeros(shape, dtype=torch.long, device=items.device)
        if edits in {"all", "insert"}:
            gaps = ragged.take(decided) == INSERT
            generated = self.generator.decode(encoder, states[gaps])
            # EOS, padding and MASK are not items; the official softmax may choose them.
            tokens[decided == INSERT] = generated * (generated < encoder.end)
        keep = (decided != DELETE) | (edits in {"insert", "none"})
        return apply_edits(items, keep, tokens, longest)
