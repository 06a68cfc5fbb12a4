"""HSD's two gates: scores, hard samples, decisions (README.md, "Gates").

Everything here works on tensors ``[B, L, ...]`` whose real positions are a prefix of each row,
without ids, users or backbones, so that other methods can contain it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from bench.methods.parts.gumbel import gumbel_noise, hard_gumbel_softmax
from bench.methods.parts.packing import keep_at_least_one, without
from bench.methods.parts.ragged import lay_out

from .config import HSDConfig
from .signals import ItemSignal, SequenceSignal, mask_tokens

NOISE = 1
"""Index of "noise" among the two classes; 0 is "clean"."""


@dataclass(frozen=True, eq=False)
class GateOutput:
    """Logits of both gates at each position.

    Attributes
    ----------
    logits
        ``[B, L, 2, 2]`` of the sequence and the item gate: sigmoid outputs or raw scores, of no
        meaning at padding.
    valid
        bool ``[B, L]``: real positions.
    reconstruction
        ``[B]``: squared error of the sequence-level auto-encoder, for curriculum and loss.
    """

    logits: Tensor
    valid: Tensor
    reconstruction: Tensor

    @property
    def sequence(self) -> Tensor:
        """Logits of the sequence gate, ``[B, L, 2]``."""
        return self.logits[:, :, 0]

    @property
    def item(self) -> Tensor:
        """Logits of the item gate, ``[B, L, 2]``."""
        return self.logits[:, :, 1]

    @cached_property
    def noise_probabilities(self) -> Tensor:
        """Probabilities that the sequence and the item gate call noise, ``[B, L, 2]``."""
        return (self.logits[..., NOISE] - self.logits[..., 0]).sigmoid()

    def score(self) -> Tensor:
        """Return the probability ``[B, L]`` that a sample drops a position."""
        sequence, item = self.noise_probabilities.unbind(-1)
        return sequence * item

    def keep_by_argmax(self) -> Tensor:
        """Return the real positions that not both gates call noise, bool ``[B, L]``."""
        noise = self.logits[..., NOISE] > self.logits[..., 0]
        return without(self.valid, noise.all(-1))


class HSDGates(nn.Module):
    """Both signals with their gates.

    Parameters
    ----------
    config
        Settings of HSD.
    width
        D, size of an item embedding.
    max_positions
        Largest length of a sequence, insertions included.
    """

    def __init__(self, config: HSDConfig, width: int, max_positions: int) -> None:
        super().__init__()
        self.masked = config.pads == "masked"
        self.bounded = config.gate_logits == "prob"
        self.keep_one = config.keep_one
        self.sequence = SequenceSignal(
            width,
            max_positions,
            config.dropout_sequence,
            detach_target=config.detach_target,
        )
        self.item = ItemSignal(width, max_positions, config.dropout_item)

    def forward(
        self,
        embedded: Tensor,
        valid: Tensor,
        query: Tensor,
        read: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> GateOutput:
        """Compute the logits of both gates.

        Parameters
        ----------
        embedded
            ``[B, L, D]`` raw embeddings, for the sequence-level signal.
        valid
            bool ``[B, L]``.
        query
            ``[B, D]`` query of the item-level signal.
        read
            ``[B, L, D]`` embeddings for the item-level signal; None = ``embedded``.
        lengths
            int64 ``[B]``: divisors of the reconstruction errors; None = the real positions.
        """
        ragged = lay_out(valid if self.masked else torch.ones_like(valid))
        real = None if self.masked else ragged.take(valid)
        tokens = ragged.take(embedded)
        if lengths is None:
            lengths = ragged.lengths if self.masked else valid.sum(1)
        sequence, reconstruction = self.sequence(tokens, ragged, real, lengths)
        item = self.item(tokens if read is None else ragged.take(read), ragged, real, query)
        both = mask_tokens(torch.cat([sequence, item], 1), real)
        logits = ragged.put(both).view(*valid.shape, 2, 2)
        return GateOutput(logits.sigmoid() if self.bounded else logits, valid, reconstruction)

    def sample(
        self, output: GateOutput, tau: float | Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """Draw which positions are kept, with the gradient of the relaxed gates.

        Parameters
        ----------
        output
            Output of :meth:`forward`.
        tau
            Temperature of the gradient.
        noise
            ``[2, B, L, 2]`` standard Gumbel noise of the sequence and the item gate; drawn if None.

        Returns
        -------
        Tensor
            ``[B, L]``, exactly 0 or 1; 0 at padding.
        """
        logits = output.logits
        if noise is None:
            rows, length = output.valid.shape
            noise = gumbel_noise((2, rows, length, 2), logits)
        drawn = hard_gumbel_softmax(logits, tau, noise.movedim(0, 2))
        first, second = drawn[..., NOISE].unbind(-1)
        keep = (1 - first * second) * output.valid
        if not self.keep_one:
            return keep
        kept = keep.detach() > 0
        saved = keep_at_least_one(kept, output.score().detach(), output.valid)
        return keep + without(saved, kept)

    def decide(self, output: GateOutput) -> Tensor:
        """Decide deterministically, bool ``[B, L]``: drop where both gates prefer noise."""
        keep = output.keep_by_argmax()
        return keep_at_least_one(keep, output.score(), output.valid) if self.keep_one else keep
