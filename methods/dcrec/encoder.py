"""DCRec's sequence encoder (its page, section 4.2)."""

from __future__ import annotations

from torch import Tensor, nn

from bench.methods.parts.attention import PostNormBlock
from bench.methods.parts.ragged import Ragged

from .config import DCRecConfig

NORM_EPS = 1e-12
"""Of all layer norms."""


class SequenceEncoder(nn.Module):
    """Bidirectional transformer, as in BERT, read at the last item.

    Every item looks at later ones, so a sequence must end before what is to be predicted.

    Parameters
    ----------
    config
        Sizes and dropout.
    max_length
        Most items of a sequence.
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
        """Give the state of each row's last item.

        Parameters
        ----------
        x
            ``[M, D]`` embeddings of the real items.
        ragged
            Where they stand; position 0 is the oldest.

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
