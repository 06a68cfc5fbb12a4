"""DCRec's sequence encoder (see README.md)."""

from __future__ import annotations

from torch import Tensor, nn

from bench.methods.parts.attention import PostNormBlock
from bench.methods.parts.ragged import Ragged

from .config import DCRecConfig

NORM_EPS = 1e-12
"""Epsilon of all layer norms."""


class SequenceEncoder(nn.Module):
    """Bidirectional transformer, as in BERT, read at the last item.

    Every item attends to later ones, so a sequence must end before the target.

    Parameters
    ----------
    config
        Settings of DCRec.
    max_length
        Largest length of a sequence.
    """

    def __init__(self, config: DCRecConfig, max_length: int) -> None:
        super().__init__()
        width = config.embedding_size
        self.positions = nn.Embedding(max_length, width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.blocks = nn.ModuleList(
            PostNormBlock(
                width,
                config.heads,
                config.inner_size,
                dropout=config.hidden_dropout,
                attention_dropout=config.attention_dropout,
                eps=NORM_EPS,
            )
            for _ in range(config.blocks)
        )

    def forward(self, x: Tensor, ragged: Ragged) -> Tensor:
        """Compute the state of each row's last item.

        Parameters
        ----------
        x
            ``[M, D]`` embeddings of the real items.
        ragged
            Layout of the items; position 0 is the oldest.

        Returns
        -------
        Tensor
            ``[B, D]``.
        """
        z = self.dropout(self.norm(x + self.positions(ragged.positions)))
        *earlier, final = self.blocks
        for block in earlier:
            z = block(z, ragged)
        state: Tensor = final.last(z, ragged)  # type: ignore[operator]
        return state
