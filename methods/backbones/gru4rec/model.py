"""GRU4Rec (Hidasi et al., ICLR 2016) with a linear map back to the item table's width."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from bench.backbone import Backbone, Sizes
from bench.config import Config

from .config import GRU4RecConfig


class GRU4Rec(Backbone):
    """Embedding dropout, stacked GRU, linear map H -> D.

    Right padding needs no packing: a causal state never sees the padding that follows it.
    """

    accepts: ClassVar[type[Config]] = GRU4RecConfig

    def __init__(self, config: GRU4RecConfig, sizes: Sizes) -> None:
        super().__init__(sizes, config.embedding_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.gru = nn.GRU(
            config.embedding_size,
            config.hidden_size,
            num_layers=config.layers,
            bias=False,
            batch_first=True,
        )
        self.output = nn.Linear(config.hidden_size, config.embedding_size)
        nn.init.xavier_normal_(self.items.weight)
        for weight in self.gru.parameters():
            nn.init.xavier_uniform_(weight)
        self.settle()

    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Run the recurrent layers; see :meth:`Backbone.encode`."""
        del valid, users
        states: Tensor = self.gru(self.dropout(x))[0]
        return states

    def project(self, states: Tensor) -> Tensor:
        """Map ``[..., H]`` to ``[..., D]``."""
        projected: Tensor = self.output(states)
        return projected
