"""Caser (Tang and Wang, WSDM 2018), computed for all positions of a sequence at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.ragged import lay_out
from bench.model.backbone import Backbone, Sizes

from .config import CaserConfig


class Caser(Backbone):
    """Horizontal filters with max over time, vertical filters, one fully connected layer.

    The output of a horizontal filter at one place is shared by every window that covers the place,
    so each filter runs once along the sequence and the maximum slides over its outputs: windows are
    never copied. Empty positions of a window hold zeros, as padding does. See ``README.md``.
    """

    def __init__(self, config: CaserConfig, sizes: Sizes) -> None:
        width = config.embedding_size
        super().__init__(sizes, width, width)
        self.window = config.window
        self.from_start = config.short_windows == "start"
        self.output_relu = config.output_activation == "relu"
        self.horizontal = nn.ModuleList(
            nn.Conv1d(width, config.horizontal, height) for height in range(1, config.window + 1)
        )
        self.vertical = nn.Linear(config.window, config.vertical, bias=config.vertical_bias)
        features = config.horizontal * config.window + config.vertical * width
        self.dropout = nn.Dropout(config.dropout)
        self.connect = nn.Linear(features, width)
        self.users = nn.Embedding(sizes.n_users, width) if config.user_embedding else None
        self.output = nn.Linear(2 * width if config.user_embedding else width, width)
        nn.init.normal_(self.items.weight, std=1.0 / width)
        if self.users is not None:
            nn.init.normal_(self.users.weight, std=1.0 / width)
        if config.initialisation == "xavier":
            for layer in (self.connect, self.output):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.zero_padding()

    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Convolve the window that ends at each position; see :meth:`Backbone.encode`.

        Raises
        ------
        ValueError
            The user embedding is on and ``users`` is None.
        """
        if self.from_start:
            features = self._features_from_start(x)
        else:
            features = self._features(functional.pad(x, (0, 0, self.window - 1, 0)))
        # Everything below works position by position, so padding may be left out.
        tokens = lay_out(valid)
        z = functional.relu(self.connect(self.dropout(tokens.take(features))))
        if self.users is not None:
            if users is None:
                raise ValueError("Caser with a user embedding needs the users of the batch")
            z = torch.cat([z, self.users(tokens.repeat_rows(users))], -1)
        found: Tensor = self.output(z)
        if self.output_relu:
            found = functional.relu(found)
        return tokens.put(found)

    def encode_last(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Convolve the last window only; see :meth:`Backbone.encode_last`."""
        length = valid.sum(1).clamp_min(1)
        begin = length - self.window
        if self.from_start:
            begin = begin.clamp_min(0)
        steps = begin[:, None] + torch.arange(self.window, device=x.device)
        inside = (steps >= 0) & (steps < length[:, None])
        taken = x.gather(1, steps.where(inside, 0)[:, :, None].expand(-1, -1, x.shape[2]))
        recent = taken * inside[:, :, None]
        ends = steps == length[:, None] - 1
        rows = torch.arange(len(x), device=x.device)
        return self.encode(recent, ends, users)[rows, length - 1 - begin]

    def _features(self, x: Tensor) -> Tensor:
        """Compute the features of every whole window, ``[B, L - w + 1, F]``."""
        return torch.cat([self._slide_horizontal(x), self._slide_vertical(x)], -1)

    def _features_from_start(self, x: Tensor) -> Tensor:
        """Compute the features at every position, ``[B, L, F]``; zeros follow short windows."""
        longest, window = x.shape[1], self.window
        first = functional.pad(x[:, :window], (0, 0, 0, max(0, window - longest)))
        seen = torch.ones(window - 1, window, dtype=x.dtype, device=x.device).tril()
        short = (first[:, None] * seen[..., None]).flatten(0, 1)
        features = self._features(short).view(len(x), window - 1, self.connect.in_features)
        return (
            features[:, :longest]
            if longest < window
            else torch.cat([features, self._features(x)], 1)
        )

    def _slide_horizontal(self, x: Tensor) -> Tensor:
        found = []
        for height, convolution in enumerate(self.horizontal, start=1):
            along = functional.relu(convolution(x.transpose(1, 2)))
            found.append(functional.max_pool1d(along, self.window - height + 1, stride=1))
        return torch.cat(found, 1).transpose(1, 2)

    def _slide_vertical(self, x: Tensor) -> Tensor:
        over_time: Tensor = self.vertical(x.unfold(1, self.window, 1))
        return over_time.flatten(-2)
