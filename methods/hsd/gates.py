"""HSD's two gates on embeddings and masks: scores, hard samples, decisions.

Everything here works on tensors ``[B, L, ...]`` whose real slots are a prefix of each row; ids,
users and backbones are unknown to it, so that other methods can embed it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.methods.parts.gumbel import gumbel_noise, hard_gumbel_softmax
from bench.methods.parts.packing import with_survivor
from bench.methods.parts.ragged import Ragged

from .config import HSDConfig
from .signals import ItemSignal, SequenceSignal, only

NOISE = 1
"""Index of "noise" among the two classes; 0 is "clean"."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the gates think of each slot.

    Attributes
    ----------
    sequence, item
        ``[B, L, 2]``: what each gate samples from: sigmoid outputs or raw scores.
    valid
        bool ``[B, L]``: real slots.
    reconstruction
        ``[B]``: squared error of the sequence-level auto-encoder, for curriculum and loss.
    """

    sequence: Tensor
    item: Tensor
    valid: Tensor
    reconstruction: Tensor

    def factors(self) -> tuple[Tensor, Tensor]:
        """Probabilities ``[B, L]`` that the sequence and the item gate call a slot noise."""
        return _noise_probability(self.sequence), _noise_probability(self.item)

    def score(self) -> Tensor:
        """Probability ``[B, L]`` that a sample drops the slot: both gates must call it noise."""
        sequence, item = self.factors()
        return sequence * item

    def preferred(self) -> Tensor:
        """Real slots that not both gates prefer to call noise, bool ``[B, L]``."""
        noise = (self.sequence[..., NOISE] > self.sequence[..., 0]) & (
            self.item[..., NOISE] > self.item[..., 0]
        )
        return self.valid & ~noise


class HSDGates(nn.Module):
    """Both signals with their gates.

    Parameters
    ----------
    config
        Reads dropouts, ``gate_logits``, ``pads``, ``keep_one`` and ``detach_target``.
    width
        D, of the embeddings.
    slots
        Most positions of a sequence, insertions included.
    """

    def __init__(self, config: HSDConfig, width: int, slots: int) -> None:
        super().__init__()
        self.masked = config.pads == "masked"
        self.bounded = config.gate_logits == "prob"
        self.keep_one = config.keep_one
        self.sequence = SequenceSignal(
            width,
            slots,
            config.dropout_sequence,
            detach_target=config.detach_target,
        )
        self.item = ItemSignal(width, slots, config.dropout_item)

    def forward(
        self, embedded: Tensor, valid: Tensor, query: Tensor, read: Tensor | None = None
    ) -> Verdict:
        """Judge every slot.

        Parameters
        ----------
        embedded
            ``[B, L, D]`` raw embeddings, for the sequence-level signal.
        valid
            bool ``[B, L]``.
        query
            ``[B, D]`` interest that the item-level signal asks with.
        read
            ``[B, L, D]`` that the item-level signal reads; None = ``embedded``.
        """
        layout = Ragged(valid if self.masked else torch.ones_like(valid))
        real = None if self.masked else layout.take(valid)
        tokens = layout.take(embedded)
        sequence, reconstruction = self.sequence(tokens, layout, real)
        item = self.item(tokens if read is None else layout.take(read), layout, real, query)
        sequence, item = layout.put(only(sequence, real)), layout.put(only(item, real))
        if self.bounded:
            # At padding the sequence gate holds (0, 0) and the item gate (0.5, 0.5).
            sequence = sequence.sigmoid().masked_fill(~valid[..., None], 0)
            item = item.sigmoid()
        return Verdict(sequence, item, valid, reconstruction)

    def sample(self, verdict: Verdict, tau: float | Tensor, noise: Tensor | None = None) -> Tensor:
        """Draw which slots stay, with the gradient of the relaxed gates.

        Parameters
        ----------
        verdict
            Of :meth:`forward`.
        tau
            Temperature of the gradient.
        noise
            ``[2, B, L, 2]`` standard Gumbel for the sequence and the item gate; None draws it.

        Returns
        -------
        Tensor
            ``[B, L]``, exactly 0 or 1; 0 at padding.
        """
        logits = torch.stack([verdict.sequence, verdict.item])
        if noise is None:
            noise = gumbel_noise(logits.shape, logits)
        drawn = hard_gumbel_softmax(logits, tau, noise)[..., NOISE]
        keep = (1 - drawn[0] * drawn[1]) * verdict.valid
        if not self.keep_one:
            return keep
        kept = keep.detach() > 0
        saved = with_survivor(kept, verdict.score().detach(), verdict.valid)
        return keep + (saved & ~kept)

    def decide(self, verdict: Verdict) -> Tensor:
        """Keep without chance, bool ``[B, L]``: a slot goes where both gates prefer noise."""
        keep = verdict.preferred()
        return with_survivor(keep, verdict.score(), verdict.valid) if self.keep_one else keep


def _noise_probability(logits: Tensor) -> Tensor:
    return (logits[..., NOISE] - logits[..., 0]).sigmoid()
