"""The two inconsistency signals of HSD on the real tokens of embedded sequences.

Both return two scores per token, before the sigmoid: index 0 for clean, index 1 for noise. If
padding is official, every position of a frame counts as a token, ``real`` marks the items among
them, and the padding vector takes part as it does in the official code.
"""

from __future__ import annotations

import math
import operator

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.bilstm import BiLSTM
from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.ragged import Padded, Ragged


class SequenceSignal(nn.Module):
    """Score how well an item fits its context, with an auto-encoder (README.md, equations 1 to 3).

    One bidirectional LSTM is applied twice with the same weights, as encoder and decoder; two
    ``[L, L]`` matrices then mix the positions of reconstruction and original.

    Parameters
    ----------
    width
        D, size of an item embedding.
    max_positions
        Largest length of a sequence.
    dropout
        Dropout rate of the input and of the mixed positions.
    detach_target
        If True, stop the gradient at the target of the reconstruction.
    """

    def __init__(
        self, width: int, max_positions: int, dropout: float, *, detach_target: bool
    ) -> None:
        super().__init__()
        self.detach_target = detach_target
        self.dropout = dropout
        self.lstm = BiLSTM(width, width)
        bound = 1 / math.sqrt(2 * max_positions)
        self.mix_reconstructed = nn.Parameter(
            torch.empty(max_positions, max_positions).uniform_(-bound, bound)
        )
        self.mix_original = nn.Parameter(
            torch.empty(max_positions, max_positions).uniform_(-bound, bound)
        )
        self.mix_bias = nn.Parameter(torch.empty(max_positions).uniform_(-bound, bound))
        self.output = nn.Linear(width, 2, bias=False)
        nn.init.xavier_normal_(self.output.weight)
        for name, weight in self.lstm.lstm.named_parameters():
            if name in {"weight_ih_l0", "weight_hh_l0"}:
                nn.init.xavier_uniform_(weight)

    def forward(
        self, tokens: Tensor, ragged: Ragged, real: Tensor | None, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Score every token.

        Parameters
        ----------
        tokens
            ``[M, D]``.
        ragged
            Layout of the tokens.
        real
            bool ``[M]``: tokens that hold an item; None = all.
        lengths
            int64 ``[B]``: number of items of each row.

        Returns
        -------
        tuple of Tensor
            Scores ``[M, 2]``, and the squared error of the reconstruction ``[B]``, summed over D
            and averaged over a row's real tokens.
        """
        clean = mask_tokens(tokens, real)
        rebuilt = self._bilstm(
            mask_tokens(self._bilstm(self._dropped(clean), ragged), real), ragged
        )
        target = clean.detach() if self.detach_target else clean
        errors = ragged.sum_rows((mask_tokens(rebuilt, real) - target).square().sum(1))
        mixed = torch.relu(self._dropped(self._mix(rebuilt, tokens, ragged)))
        return self.output(mixed), errors / lengths.clamp_min(1)

    def _dropped(self, tokens: Tensor) -> Tensor:
        return fast_dropout(tokens, self.dropout if self.training else 0.0)

    def _bilstm(self, tokens: Tensor, ragged: Ragged) -> Tensor:
        forward, backward = self.lstm.read(tokens, ragged)
        return forward + backward

    def _mix(self, rebuilt: Tensor, original: Tensor, ragged: Ragged) -> Tensor:
        """Mix positions ``j`` into position ``i`` with weights ``[i, j]``, by length."""
        if isinstance(ragged, Padded):
            used = ragged.valid.shape[1]
            weight = torch.cat(
                [self.mix_reconstructed[:used, :used], self.mix_original[:used, :used]], 1
            )
            stacked = torch.cat([ragged.put(rebuilt), ragged.put(original)], 1)
            rows, _, width = stacked.shape
            bias = self.mix_bias[:used, None].expand(rows, used, width)
            return ragged.take(torch.baddbmm(bias, weight.expand(rows, -1, -1), stacked))
        padded = functional.pad(torch.cat([rebuilt, original], 1), (0, 0, 0, 1))
        mixed, numbers = [], []
        for frame in ragged.groups:
            used = len(frame)
            found = padded.index_select(0, frame.flatten())
            first, second = found.view(*frame.shape, -1).chunk(2, -1)
            stacked = torch.cat([first, second]).flatten(1)
            weight = torch.cat(
                [self.mix_reconstructed[:used, :used], self.mix_original[:used, :used]], 1
            )
            joined = torch.addmm(self.mix_bias[:used, None], weight, stacked)
            numbers.append(frame.flatten())
            mixed.append(joined.view(frame.numel(), -1))
        inside = torch.cat(numbers)
        real = torch.nonzero(inside < len(original)).squeeze(1)
        order = real[inside[real].argsort()]
        return torch.cat(mixed).index_select(0, order)


class ItemSignal(nn.Module):
    """Score how well an item fits an interest, given as a query (README.md, equation 4).

    Parameters
    ----------
    width
        D, size of an item embedding.
    max_positions
        Largest length of a sequence.
    dropout
        Dropout rate of the normalised embeddings.
    """

    def __init__(self, width: int, max_positions: int, dropout: float) -> None:
        super().__init__()
        self.norm = PositionNorm(max_positions)
        self.dropout = dropout
        self.key = nn.Linear(width, width, bias=False)
        self.query = nn.Linear(width, width)
        self.output = nn.Linear(width, 2, bias=False)
        for layer in (self.key, self.query, self.output):
            nn.init.xavier_normal_(layer.weight)
        nn.init.zeros_(self.query.bias)

    def forward(self, tokens: Tensor, ragged: Ragged, real: Tensor | None, query: Tensor) -> Tensor:
        """Score every token, ``[M, 2]``.

        ``query`` is ``[B, D]``; the other parameters are those of :meth:`SequenceSignal.forward`.
        """
        features = mask_tokens(self.norm(tokens, ragged), real)
        features = fast_dropout(features, self.dropout if self.training else 0.0)
        against = ragged.with_rows(operator.add, self.key(features), self.query(query))
        scores: Tensor = self.output(torch.tanh(against))
        return scores


class PositionNorm(nn.Module):
    """Batch norm whose features are the positions: statistics over rows and embedding dimensions.

    Parameters
    ----------
    max_positions
        Largest length of a sequence.
    """

    mean: Tensor
    variance: Tensor
    momentum = 0.1
    epsilon = 1e-5

    def __init__(self, max_positions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(max_positions))
        self.bias = nn.Parameter(torch.zeros(max_positions))
        self.register_buffer("mean", torch.zeros(max_positions))
        self.register_buffer("variance", torch.ones(max_positions))

    def forward(self, tokens: Tensor, ragged: Ragged) -> Tensor:
        """Normalise tokens ``[M, D]`` position by position; padding does not count."""
        used = ragged.valid.shape[1]
        mean, variance = self.mean[:used], self.variance[:used]
        if self.training:
            mean, variance = self._statistics(tokens, ragged)
        scale = self.weight[:used] * torch.rsqrt(variance + self.epsilon)
        shift = self.bias[:used] - mean * scale
        return ragged.with_positions(_scaled, tokens, scale, shift)

    def _statistics(self, tokens: Tensor, ragged: Ragged) -> tuple[Tensor, Tensor]:
        """Return mean and variance ``[L]`` of a batch, and update the running ones."""
        numbers = ragged.valid.sum(0) * tokens.shape[1]
        n = numbers.clamp_min(1)
        mean = ragged.sum_positions(tokens.sum(1)) / n
        centred = ragged.with_positions(operator.sub, tokens, mean)
        variance = ragged.sum_positions(centred.square().sum(1)) / n
        with torch.no_grad():
            # Positions without a token keep their statistics.
            weight = (numbers > 0) * self.momentum
            unbiased = variance * n / (n - 1).clamp_min(1)
            for running, new in ((self.mean, mean), (self.variance, unbiased)):
                running[: len(new)].lerp_(new.to(running.dtype), weight.to(running.dtype))
        return mean, variance


def _scaled(tokens: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return tokens * scale + shift


def mask_tokens(tokens: Tensor, real: Tensor | None) -> Tensor:
    """Zero the tokens that hold no item."""
    return tokens if real is None else tokens.masked_fill(~real[:, None], 0)
