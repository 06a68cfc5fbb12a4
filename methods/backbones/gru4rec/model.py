"""GRU4Rec (Hidasi et al., ICLR 2016) with a linear map to the size of the item embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.model.backbone import Backbone, Sizes

from .config import GRU4RecConfig
from .recurrence import gru_layer, time_order


class GRU4Rec(Backbone):
    """Embedding dropout, stacked GRU, linear map from H to D.

    No step is computed for padding. Correctness does not need that (a causal state never sees later
    positions), but batches mix short and long histories. A GPU runs torch's own layers on packed
    sequences; a CPU runs the same layers on tokens in time order, which is faster there.
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
        self.zero_padding()

    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Run the recurrent layers; see :meth:`Backbone.encode`."""
        del users
        # In bfloat16 rounding errors would add up over the steps.
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.output.weight.dtype)
            return (
                self._in_time_order(x, valid) if x.device.type == "cpu" else self._packed(x, valid)
            )

    def _in_time_order(self, x: Tensor, valid: Tensor) -> Tensor:
        flat_index, sizes = time_order(valid)
        z: Tensor = self.dropout(x.flatten(0, 1).index_select(0, flat_index))
        for layer in range(self.gru.num_layers):
            w_ih, w_hh = (getattr(self.gru, f"weight_{kind}_l{layer}") for kind in ("ih", "hh"))
            z = gru_layer(z, w_ih, w_hh, sizes)
        states = z.new_zeros(valid.numel(), self.state_size).index_copy_(0, flat_index, z)
        return states.view(*valid.shape, self.state_size)

    def _packed(self, x: Tensor, valid: Tensor) -> Tensor:
        lengths = valid.sum(1).clamp_min(1).cpu()
        packed = pack_padded_sequence(
            self.dropout(x), lengths, batch_first=True, enforce_sorted=False
        )
        states: Tensor = pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=x.shape[1]
        )[0]
        return states

    def project(self, states: Tensor) -> Tensor:
        """Map ``[..., H]`` to ``[..., D]``."""
        projected: Tensor = self.output(states)
        return projected
