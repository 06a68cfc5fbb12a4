"""GRU4Rec (Hidasi et al., ICLR 2016) with a linear map back to the item table's width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.backbone import Backbone, Sizes

from .config import GRU4RecConfig


class GRU4Rec(Backbone):
    """Embedding dropout, stacked GRU, linear map H -> D.

    Sequences are packed, so that no step is computed for padding. Correctness does not need
    it (a causal state never sees what follows), but batches mix short and long histories.
    """

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
        del users
        lengths = valid.sum(1).clamp_min(1).cpu()
        packed = pack_padded_sequence(
            self.dropout(x), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return states

    def project(self, states: Tensor) -> Tensor:
        """Map ``[..., H]`` to ``[..., D]``."""
        projected: Tensor = self.output(states)
        return projected
