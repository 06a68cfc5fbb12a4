"""GRU4Rec (Hidasi et al., ICLR 2016) with a linear map to the size of the item embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.model.backbone import Backbone, Sizes
from bench.model.shapes import is_static

from .config import GRU4RecConfig
from .recurrence import gru_layer, time_order


class GRU4Rec(Backbone):
    """Embedding dropout, stacked GRU, linear map from H to D.

    A causal state never sees the padding after it, so a GPU runs torch's own layers on the padded
    frame, without a look at the lengths. Batches mix short and long histories: a CPU runs the same
    layers on the real tokens in time order, which is faster there.
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
            if not is_static(x.device):
                return self._in_time_order(x, valid)
            states: Tensor = self.gru(self.dropout(x))[0]
            return states

    def _in_time_order(self, x: Tensor, valid: Tensor) -> Tensor:
        flat_index, sizes = time_order(valid)
        z: Tensor = self.dropout(x.flatten(0, 1).index_select(0, flat_index))
        for layer in range(self.gru.num_layers):
            w_ih, w_hh = (getattr(self.gru, f"weight_{kind}_l{layer}") for kind in ("ih", "hh"))
            z = gru_layer(z, w_ih, w_hh, sizes)
        states = z.new_zeros(valid.numel(), self.state_size).index_copy_(0, flat_index, z)
        return states.view(*valid.shape, self.state_size)

    def project(self, states: Tensor) -> Tensor:
        """Map ``[..., H]`` to ``[..., D]``."""
        projected: Tensor = self.output(states)
        return projected
