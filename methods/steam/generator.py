"""The insertion generator: which items are missing before a position (README.md, equation 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.ragged import lay_out
from bench.model.shapes import is_static

from .config import STEAMConfig
from .encoder import SharedEncoder, new_block

SLICE_BYTES = 32 * 2**20
"""Memory for scores of all classes at a time on a CPU, in bytes."""
GPU_BYTES = 2**30
"""The same on a GPU."""


class InsertionGenerator(nn.Module):
    """Generate items backwards from a position, one short sequence per position.

    Parameters
    ----------
    config
        Settings of STEAM.
    """

    def __init__(self, config: STEAMConfig) -> None:
        super().__init__()
        self.longest = config.max_inserted
        self.cumulative = config.decode_positions == "cumulative"
        self.dropout = config.dropout
        self.block = new_block(config, causal=True)

    def forward(self, encoder: SharedEncoder, states: Tensor, tokens: Tensor) -> Tensor:
        """Compute the states that predict each true token (teacher forcing).

        Parameters
        ----------
        encoder
            Shared encoder, which holds item table and positions.
        states
            ``[N, D]`` of the positions.
        tokens
            int64 ``[N, K]``, padded with 0 after EOS.

        Returns
        -------
        Tensor
            ``[T, D]``, one for each non-zero token, row by row; of all ``N K`` on a GPU.
        """
        read = encoder.items(tokens[:, :-1])
        inputs = torch.cat([states[:, None], read], 1) + encoder.positions.weight[: self.longest]
        ragged = lay_out(tokens > 0)
        u = fast_dropout(ragged.take(inputs), self.dropout if self.training else 0.0)
        generated: Tensor = self.block(u, ragged)
        return generated

    def decode(self, encoder: SharedEncoder, states: Tensor) -> Tensor:
        """Decode greedily at most K tokens before each position.

        Parameters
        ----------
        encoder
            Shared encoder, which holds item table and positions.
        states
            ``[N, D]``.

        Returns
        -------
        Tensor
            int64 ``[N, K]``: tokens up to and including EOS, zeros after it.
        """
        tokens = torch.zeros(len(states), self.longest, dtype=torch.long, device=states.device)
        active = torch.arange(len(states), device=states.device)
        inputs = states[:, None]
        if is_static(states.device):
            return self._decode_all(encoder, inputs, tokens)
        for step in range(self.longest):
            if not len(active):
                break
            chosen = self._next(encoder, inputs)
            tokens[active, step] = chosen
            unfinished = chosen != encoder.end
            active = active[unfinished]
            read = encoder.items(chosen[unfinished])
            inputs = torch.cat([inputs[unfinished], read[:, None]], 1)
        return tokens

    def _decode_all(self, encoder: SharedEncoder, inputs: Tensor, tokens: Tensor) -> Tensor:
        """Decode as :meth:`decode`; what has ended goes on unseen."""
        going = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
        for step in range(self.longest):
            chosen = self._next(encoder, inputs)
            tokens[:, step] = chosen * going
            going = going & (chosen != encoder.end)
            inputs = torch.cat([inputs, encoder.items(chosen)[:, None]], 1)
        return tokens

    def _next(self, encoder: SharedEncoder, inputs: Tensor) -> Tensor:
        """Choose the token after ``inputs [N, step + 1, D]``, which have no positions yet."""
        count = inputs.shape[1]
        times = torch.ones(count, device=inputs.device)
        if self.cumulative:
            # The official decoder adds the positions of the whole prefix in every step.
            times = torch.arange(count, 0, -1, device=inputs.device)
        placed = inputs + times[:, None] * encoder.positions.weight[:count]
        ragged = lay_out(torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device))
        return argmax_class(
            self.block.last(placed.flatten(0, 1), ragged), *encoder.classes("generator")
        )


def argmax_class(vectors: Tensor, table: Tensor, first: int) -> Tensor:
    """Return the id of the best class for each vector, the first one on ties.

    Parameters
    ----------
    vectors
        ``[N, D]``.
    table
        ``[C, D]``: embeddings of the classes.
    first
        Id of the table's first row.
    """
    most = GPU_BYTES if is_static(table.device) else SLICE_BYTES
    size = max(1, most // (table.element_size() * len(table)))
    found = [(part @ table.T).argmax(1) for part in torch.split(vectors, size)]
    return torch.cat(found) + first
