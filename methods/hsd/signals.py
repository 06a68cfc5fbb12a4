"""The two inconsistency signals of HSD, on embeddings and masks.

Both give two scores per slot before their sigmoid: index 0 speaks for clean, index 1 for noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench.methods.parts.bilstm import BiLSTM


class SequenceSignal(nn.Module):
    """Whether an item fits its context, judged by what an auto-encoder makes of it.

    One bidirectional LSTM is applied twice with the same weights, as encoder and decoder; two
    full slot-mixing matrices then join the reconstruction with the original.

    Parameters
    ----------
    width
        D, of the embeddings.
    slots
        Most positions of a sequence.
    dropout
        Of the input and of the mixed slots.
    masked
        Whether padding is kept out of the recurrent and mixing layers; without it every frame
        must have ``slots`` columns, and what its padding holds counts.
    detach_target
        Stop the gradient at what is to be reconstructed.
    """

    def __init__(
        self, width: int, slots: int, dropout: float, *, masked: bool, detach_target: bool
    ) -> None:
        super().__init__()
        self.masked = masked
        self.detach_target = detach_target
        self.dropout = nn.Dropout(dropout)
        self.lstm = BiLSTM(width, width)
        bound = 1 / math.sqrt(2 * slots)
        self.mix_reconstructed = nn.Parameter(torch.empty(slots, slots).uniform_(-bound, bound))
        self.mix_original = nn.Parameter(torch.empty(slots, slots).uniform_(-bound, bound))
        self.mix_bias = nn.Parameter(torch.empty(slots).uniform_(-bound, bound))
        self.output = nn.Linear(width, 2, bias=False)
        nn.init.xavier_normal_(self.output.weight)
        for name, weight in self.lstm.lstm.named_parameters():
            if name in {"weight_ih_l0", "weight_hh_l0"}:
                nn.init.xavier_uniform_(weight)

    def forward(self, embedded: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Score every slot.

        Parameters
        ----------
        embedded
            ``[B, L, D]``.
        valid
            bool ``[B, L]``.

        Returns
        -------
        tuple of Tensor
            Scores ``[B, L, 2]``, zero at padding, and the squared error of the reconstruction
            ``[B]``, summed over D and averaged over a row's real slots.
        """
        mask = valid[..., None]
        clean = embedded.masked_fill(~mask, 0)
        encoded = self._both_ways(self.dropout(clean), valid).masked_fill(~mask, 0)
        rebuilt = self._both_ways(encoded, valid)
        target = clean.detach() if self.detach_target else clean
        error = (rebuilt.masked_fill(~mask, 0) - target).square().sum((1, 2))
        original = clean if self.masked else embedded
        mixed = torch.relu(self.dropout(self._mix(rebuilt, original)))
        scores = self.output(mixed).masked_fill(~mask, 0)
        return scores, error / valid.sum(1).clamp_min(1)

    def _both_ways(self, x: Tensor, valid: Tensor) -> Tensor:
        read = self.lstm(x, valid) if self.masked else self.lstm.over_padding(x)
        return read[0] + read[1]

    def _mix(self, rebuilt: Tensor, original: Tensor) -> Tensor:
        used = rebuilt.shape[1]
        joined = torch.cat(
            [self.mix_reconstructed[:used, :used], self.mix_original[:used, :used]], 1
        )
        return joined @ torch.cat([rebuilt, original], 1) + self.mix_bias[:used, None]


class ItemSignal(nn.Module):
    """Whether an item fits an interest that is given as a query vector.

    Parameters
    ----------
    width, slots, dropout, masked
        As for :class:`SequenceSignal`.
    """

    def __init__(self, width: int, slots: int, dropout: float, *, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.norm = SlotNorm(slots, masked=masked)
        self.dropout = nn.Dropout(dropout)
        self.key = nn.Linear(width, width, bias=False)
        self.query = nn.Linear(width, width)
        self.output = nn.Linear(width, 2, bias=False)
        for layer in (self.key, self.query, self.output):
            nn.init.xavier_normal_(layer.weight)
        nn.init.zeros_(self.query.bias)

    def forward(self, x: Tensor, valid: Tensor, query: Tensor) -> Tensor:
        """Score every slot.

        Parameters
        ----------
        x
            ``[B, L, D]``.
        valid
            bool ``[B, L]``.
        query
            ``[B, D]``.

        Returns
        -------
        Tensor
            ``[B, L, 2]``, zero at padding.
        """
        mask = valid[..., None]
        if self.masked:
            x = x.masked_fill(~mask, 0)
        features = self.dropout(self.norm(x, valid).masked_fill(~mask, 0))
        heard = torch.tanh(self.key(features) + self.query(query)[:, None])
        scores: Tensor = self.output(heard).masked_fill(~mask, 0)
        return scores


class SlotNorm(nn.Module):
    """Batch norm whose features are the slots: statistics over rows and embedding dimensions.

    Parameters
    ----------
    slots
        Most positions of a sequence.
    masked
        Take statistics over real slots only; without it padding counts.
    """

    mean: Tensor
    variance: Tensor
    momentum = 0.1
    epsilon = 1e-5

    def __init__(self, slots: int, *, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.weight = nn.Parameter(torch.ones(slots))
        self.bias = nn.Parameter(torch.zeros(slots))
        self.register_buffer("mean", torch.zeros(slots))
        self.register_buffer("variance", torch.ones(slots))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Normalise ``[B, L, D]`` slot by slot; ``valid`` is bool ``[B, L]``."""
        used = x.shape[1]
        mean, variance = self.mean[:used], self.variance[:used]
        if self.training:
            mean, variance = self._statistics(x, valid if self.masked else valid.new_ones(()))
        scale = self.weight[:used] * torch.rsqrt(variance + self.epsilon)
        return x * scale[:, None] + (self.bias[:used] - mean * scale)[:, None]

    def _statistics(self, x: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance ``[L]`` of a batch; the running ones move towards them."""
        counted = counted.expand(x.shape[:2])[..., None]
        size = counted.sum((0, 2)) * x.shape[2]
        n = size.clamp_min(1)
        mean = x.masked_fill(~counted, 0).sum((0, 2)) / n
        centred = (x - mean[:, None]).masked_fill(~counted, 0)
        variance = centred.square().sum((0, 2)) / n
        self._move(mean.detach(), variance.detach() * n / (n - 1).clamp_min(1), size > 0)
        return mean, variance

    def _move(self, mean: Tensor, variance: Tensor, seen: Tensor) -> None:
        used = len(mean)
        with torch.no_grad():
            for running, new in ((self.mean, mean), (self.variance, variance)):
                moved = running[:used].lerp(new.to(running.dtype), self.momentum)
                running[:used] = moved.where(seen, running[:used])
