"""The corrector: one operation per position, and the items to insert (see README.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.ragged import Padded, Ragged, lay_out
from bench.model.shapes import is_static, where

from .config import STEAMConfig
from .corruption import DELETE, INSERT, Corrupted
from .edits import Corrected, apply_edits
from .encoder import Classes, SharedEncoder
from .generator import InsertionGenerator

Edits = Literal["all", "delete", "insert", "none"]
ClassLoss = Callable[[Tensor, Tensor, Tensor, Classes], Tensor]
"""``(vectors [T, D], items [N], index of each vector's item [T], whose classes) -> mean loss``."""
UNLABELLED = -100
"""Label of padding, which has no operation."""


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
        self,
        encoder: SharedEncoder,
        states: Tensor,
        ragged: Ragged,
        truth: Corrupted,
        loss: ClassLoss,
        size: int,
    ) -> tuple[Tensor, Tensor]:
        """Compute L_op and L_ins of corrupted segments (README.md, equation 3).

        Parameters
        ----------
        encoder
            Shared encoder, which holds the item table.
        states
            ``[M, D]`` of the tokens of ``truth.items``.
        ragged
            Layout of these tokens.
        truth
            The corruption.
        loss
            Loss of the run over all classes.
        size
            Number of items before the corruption.

        Returns
        -------
        tuple of Tensor
            Two scalars; L_ins is 0 without insertions.
        """
        beyond = ragged.valid.shape[1] - truth.operations.shape[1]
        operations = ragged.take(functional.pad(truth.operations, (0, beyond)))
        labels = ragged.take(ragged.valid)
        labels = operations.masked_fill(~labels, UNLABELLED)
        deciding = functional.cross_entropy(self.head(states), labels, ignore_index=UNLABELLED)
        if not len(truth.missing):
            return deciding, states.new_zeros(())
        gaps = where(operations == INSERT, len(truth.missing)).clamp_min(0)
        generated = self.generator(encoder, states.index_select(0, gaps), truth.missing)
        # A run of deletions has fewer items than places, one of which is that of EOS.
        named = where(truth.missing > 0, size)
        if is_static(states.device):
            generated = generated.index_select(0, named.clamp_min(0))
        return deciding, loss(generated, truth.missing.flatten(), named, "generator")

    def decide(self, logits: Tensor, ragged: Ragged) -> Tensor:
        """Return keep, delete or insert, int64 ``[M]``, from ``logits [M, 3]``."""
        if self.protect_last:
            ends = (ragged.starts + ragged.lengths - 1).maximum(ragged.starts)
            if not isinstance(ragged, Padded):
                ends = ends[ragged.lengths > 0]
            logits = logits.clone()
            logits[ends, DELETE] = float("-inf")
        return logits.argmax(-1)

    def correct(
        self,
        encoder: SharedEncoder,
        items: Tensor,
        longest: int,
        edits: Edits = "all",
        size: int | None = None,
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
        size
            Number of items, which a GPU is not asked for; None = as many as the frame may hold.
        """
        ragged = lay_out(items > 0)
        states = encoder(items, ragged)
        decided = ragged.put(self.decide(self.head(states), ragged))
        shape = (*items.shape, self.generator.longest)
        tokens = torch.zeros(shape, dtype=torch.long, device=items.device)
        if edits in {"all", "insert"}:
            gaps = where(decided == INSERT, items.numel() if size is None else size)
            own = ragged.find(gaps.clamp_min(0))
            generated = self.generator.decode(encoder, states.index_select(0, own))
            # EOS, padding and MASK are not items; the official softmax may choose them.
            generated = generated * (generated < encoder.end)
            # The row behind the last is for gaps that there are not.
            tokens = functional.pad(tokens.flatten(0, 1), (0, 0, 0, 1))
            tokens = tokens.index_copy_(0, gaps.where(gaps >= 0, items.numel()), generated)
            tokens = tokens[:-1].view(shape)
        keep = (decided != DELETE) | (edits in {"insert", "none"})
        return apply_edits(items, keep, tokens, longest)
