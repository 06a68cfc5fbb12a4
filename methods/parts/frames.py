"""Encoders whose layers mix all positions of a frame of fixed length.

A filter over time has one weight for each lag or frequency, so the length of the frame is part of
the model: whatever a batch's width, each row lies in a frame of the protocol's maximum length, its
last item in the last position, padding in front.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.dropout import fast_dropout
from bench.model.backbone import Backbone, Sizes

EPS = 1e-12
"""Epsilon of all layer norms."""


class FrameBlock(nn.Module, ABC):
    """A layer that mixes positions, then a feed-forward layer with residual sum and layer norm.

    Parameters
    ----------
    width
        D, size of a position's vector.
    inner
        Hidden size of the feed-forward layer.
    dropout
        Dropout rate of the outputs of both layers.
    """

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.expand = nn.Linear(width, inner)
        self.contract = nn.Linear(inner, width)
        self.norm_feed = nn.LayerNorm(width, eps=EPS)

    @abstractmethod
    def mix(self, z: Tensor, real: Tensor) -> Tensor:
        """Mix all positions: ``[B, N, D]`` to ``[B, N, D]``, residual sum and norm included.

        ``real`` is bool ``[B, N]``: positions that hold an item, a suffix of each row.
        """

    @abstractmethod
    def mix_last(self, z: Tensor, real: Tensor) -> Tensor:
        """Compute :meth:`mix` at the last position only, ``[B, D]``."""

    def forward(self, z: Tensor, real: Tensor) -> Tensor:
        """Transform all positions, ``[B, N, D]``."""
        return self._feed(self.mix(z, real))

    def last(self, z: Tensor, real: Tensor) -> Tensor:
        """Compute the output at the last position only, ``[B, D]``."""
        return self._feed(self.mix_last(z, real))

    def drop(self, z: Tensor) -> Tensor:
        """Apply the block's dropout."""
        return fast_dropout(z, self.dropout if self.training else 0.0)

    def _feed(self, z: Tensor) -> Tensor:
        fed = self.contract(functional.gelu(self.expand(z)))
        output: Tensor = self.norm_feed(z + self.drop(fed))
        return output


class FrameEncoder(Backbone):
    """Positions, layer norm and blocks over frames; not causal.

    Every layer mixes all positions, in both directions around the frame, so that any state but the
    last one has seen later items.

    Parameters
    ----------
    sizes
        Sizes of the data set; ``max_length`` is N, the length of a frame.
    width
        D.
    dropout
        Dropout rate of the embeddings.
    pads
        ``live``: positions without an item hold their position's vector and take part in every
        layer, as in the official codes; ``zero``: they are zero before every block.
    blocks
        The layers.
    """

    causal: ClassVar[bool] = False

    def __init__(
        self,
        sizes: Sizes,
        width: int,
        dropout: float,
        pads: Literal["live", "zero"],
        blocks: list[FrameBlock],
    ) -> None:
        super().__init__(sizes, width, width)
        self.positions = nn.Embedding(sizes.max_length, width)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.dropout = dropout
        self.live = pads == "live"
        self.blocks = nn.ModuleList(blocks)

    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Mix the whole frame; see :meth:`Backbone.encode`."""
        del users
        z, real, shift = self._frame(x, valid)
        for block in self.blocks:
            z = self._without_pads(block(z, real), real)
        steps = torch.arange(x.shape[1], device=x.device)
        slots = (steps + shift).clamp_max(self.sizes.max_length - 1)
        return z.gather(1, slots[..., None].expand(-1, -1, z.shape[2]))

    def encode_last(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Compute the last position's state; see :meth:`Backbone.encode_last`.

        The last block computes this position only.
        """
        del users
        z, real, _ = self._frame(x, valid)
        for block in self.blocks[:-1]:
            z = self._without_pads(block(z, real), real)
        return cast("FrameBlock", self.blocks[-1]).last(z, real)

    def _frame(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embed rows in frames.

        Returns
        -------
        tuple of Tensor
            Frames ``[B, N, D]``; their real positions, bool ``[B, N]``; and the first one of each
            row, int64 ``[B, 1]``.
        """
        length, width = self.sizes.max_length, x.shape[1]
        shift = length - valid.sum(1, keepdim=True)
        steps = torch.arange(length, device=x.device)
        real = steps >= shift
        origin = (steps - shift).clamp(0, width - 1)
        placed = x.gather(1, origin[..., None].expand(-1, -1, x.shape[2])) * real[..., None]
        z = self.norm(placed + self.positions.weight)
        z = fast_dropout(z, self.dropout if self.training else 0.0)
        return self._without_pads(z, real), real, shift

    def _without_pads(self, z: Tensor, real: Tensor) -> Tensor:
        return z if self.live else z * real[..., None]


def filtered(z: Tensor, response: Tensor) -> Tensor:
    """Multiply the spectrum of each channel over time.

    Parameters
    ----------
    z
        ``[B, N, D]``.
    response
        Complex ``[N // 2 + 1, D or 1]``: factors of the frequencies.

    Returns
    -------
    Tensor
        ``[B, N, D]``: the circular convolution of each channel with :func:`kernel`.
    """
    with torch.autocast(z.device.type, enabled=False):
        spectrum = torch.fft.rfft(z.to(response.real.dtype), dim=1)
        filtered: Tensor = torch.fft.irfft(spectrum * response, n=z.shape[1], dim=1)
    return filtered


def kernel(response: Tensor, length: int) -> Tensor:
    """Return the real filter of N lags with a frequency response, ``[N, D or 1]``."""
    lags: Tensor = torch.fft.irfft(response, n=length, dim=0)
    return lags


def filtered_last(z: Tensor, response: Tensor) -> Tensor:
    """Compute :func:`filtered` at the last position only, ``[B, D]``, as a sum over lags."""
    with torch.autocast(z.device.type, enabled=False):
        taps = kernel(response, z.shape[1]).flip(0)
        return (z.to(taps.dtype) * taps).sum(1)


def real_at_ends(response: Tensor, length: int) -> Tensor:
    """Zero what a real signal has no place for: imaginary parts at zero and Nyquist frequency.

    Backends of the inverse transform differ in whether they ignore them.
    """
    at_end = 1 - length % 2
    between = response.real.new_ones(len(response) - 1 - at_end, 1)
    imaginary = response.imag * functional.pad(between, (0, 0, 1, at_end))
    return torch.complex(response.real, imaginary)
