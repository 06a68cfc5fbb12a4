"""Caser (Tang and Wang, WSDM 2018), computed for all positions of a sequence at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.model.backbone import Backbone, Sizes

from .config import CaserConfig


class Caser(Backbone):
    """Horizontal filters with max over time, vertical filters, one fully connected layer.

    The output of a horizontal filter at one place is shared by every window that covers the place,
    so each filter runs once along the sequence and the maximum slides over its outputs: windows are
    never copied. Positions before the first item hold zeros, as padding does. See ``README.md``.
    """

    def __init__(self, config: CaserConfig, sizes: Sizes) -> None:
        width = config.embedding_size
        super().__init__(sizes, width, width)
        self.window = config.window
        self.horizontal = nn.ModuleList(
            nn.Conv1d(width, config.horizontal, height) for height in range(1, config.window + 1)
        )
        self.vertical = nn.Linear(config.window, config.vertical, bias=False)
        features = config.horizontal * config.window + config.vertical * width
        self.dropout = nn.Dropout(config.dropout)
        self.connect = nn.Linear(features, width)
        self.users = nn.Embedding(sizes.n_users, width) if config.user_embedding else None
        self.output = nn.Linear(2 * width if config.user_embedding else width, width)
        nn.init.normal_(self.items.weight, std=1.0 / width)
        if self.users is not None:
            nn.init.normal_(self.users.weight, std=1.0 / width)
        self.zero_padding()

    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Convolve the window that ends at each position; see :meth:`Backbone.encode`.

        Raises
        ------
        ValueError
            The user embedding is on and ``users`` is None.
        """
        padded = functional.pad(x, (0, 0, self.window - 1, 0))
        features = torch.cat([self._slide_horizontal(padded), self._slide_vertical(padded)], -1)
        # Everything below works position by position, so padding is left out.
        z = functional.relu(self.connect(self.dropout(features[valid])))
        if self.users is not None:
            if users is None:
                raise ValueError("Caser with a user embedding needs the users of the batch")
            whose = users[:, None].expand_as(valid)[valid]
            z = torch.cat([z, self.users(whose)], -1)
        found: Tensor = self.output(z)
        states = found.new_zeros(*valid.shape, self.state_size)
        states[valid] = found
        return states

    def encode_last(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Convolve the last window only; see :meth:`Backbone.encode_last`."""
        length = valid.sum(1).clamp_min(1)
        steps = length[:, None] - self.window + torch.arange(self.window, device=x.device)
        inside = steps >= 0
        taken = x.gather(1, steps.clamp_min(0)[:, :, None].expand(-1, -1, x.shape[2]))
        recent = taken * inside[:, :, None]
        ends = torch.zeros_like(inside)
        ends[:, -1] = True
        return self.encode(recent, ends, users)[:, -1]

    def _slide_horizontal(self, padded: Tensor) -> Tensor:
        answers = []
        for height, convolution in enumerate(self.horizontal, start=1):
            along = functional.relu(convolution(padded.transpose(1, 2)))
            answers.append(functional.max_pool1d(along, self.window - height + 1, stride=1))
        return torch.cat(answers, 1).transpose(1, 2)

    def _slide_vertical(self, padded: Tensor) -> Tensor:
        over_time: Tensor = self.vertical(padded.unfold(1, self.window, 1))
        return over_time.flatten(-2)
