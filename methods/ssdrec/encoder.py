"""Global relation encoder: item and user vectors from their neighbours (see README.md)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.graphs import Graphs
from bench.methods.parts.sparse import SparseMatrix

_SLOPE = 0.2


class RelationEncoder(nn.Module):
    """One layer of message passing over all relations (README.md, equations 1 and 2).

    The mean over relations of ``[A ; g_R] W`` is taken before the matrix, which is linear. The
    incompatible relation is its own transpose, so its incoming and outgoing messages are equal and
    their softmax weights sum to one: attention is computed for transitions only.

    Parameters
    ----------
    graphs
        Result of :func:`bench.methods.ssdrec.relations.build_relations`.
    width
        D, size of an embedding.
    dropout
        Dropout rate of each relation's contribution.
    """

    def __init__(self, graphs: Graphs, width: int, dropout: float) -> None:
        super().__init__()
        # Training needs the users of a batch only, so the largest matrices keep no transpose.
        self.interaction = SparseMatrix(graphs["interaction"], transpose=False)
        self.similar = SparseMatrix(graphs["similar"], transpose=False)
        self.dissimilar = SparseMatrix(graphs["dissimilar"], transpose=False)
        self.interacted_by = SparseMatrix(graphs["interacted_by"])
        self.incoming = SparseMatrix(graphs["incoming"])
        self.outgoing = SparseMatrix(graphs["outgoing"])
        self.incompatible = SparseMatrix(graphs["incompatible"])
        self.dropout = dropout
        self.item_scalars = nn.Linear(2, 1)
        self.user_scalars = nn.Linear(2, 1)
        self.incoming_key = nn.Linear(width, width, bias=False)
        self.outgoing_key = nn.Linear(width, width, bias=False)
        self.item_fusion = RelationFusion(width)
        self.user_fusion = RelationFusion(width)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def encode_items(self, items: Tensor, users: Tensor, noise: Tensor | None = None) -> Tensor:
        """Compute E* ``[I + 1, D]``.

        Parameters
        ----------
        items
            E0 ``[I + 1, D]``, row 0 = padding.
        users
            P0 ``[U, D]``.
        noise
            ``[2, I + 1, D]`` uniform in [0, 1), for dropout; drawn if None.
        """
        messages = (self._transitions(items), self.incompatible(items))
        related = self._contributions(items, messages, self.item_scalars, noise)
        encoded: Tensor = self.item_fusion(self.interacted_by(users), related)
        return encoded

    def encode_users(
        self, chosen: Tensor, items: Tensor, users: Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """Compute P* of some users, ``[R, D]``.

        Parameters
        ----------
        chosen
            int64 ``[R]``: the users.
        items, users
            E0 and P0, as in :meth:`encode_items`.
        noise
            ``[2, R, D]`` uniform in [0, 1), for dropout; drawn if None.
        """
        messages = (self.similar.of_rows(chosen, users), self.dissimilar.of_rows(chosen, users))
        related = self._contributions(
            functional.embedding(chosen, users), messages, self.user_scalars, noise
        )
        encoded: Tensor = self.user_fusion(self.interaction.of_rows(chosen, items), related)
        return encoded

    def _transitions(self, items: Tensor) -> Tensor:
        """Combine preceding and following items of each item by attention."""
        incoming, outgoing = self.incoming(items), self.outgoing(items)
        keyed = torch.stack(
            [self.incoming_key(items * incoming), self.outgoing_key(items * outgoing)]
        )
        weights = torch.softmax(_attend(keyed), 0)[..., None]
        return (weights * torch.stack([incoming, outgoing])).sum(0)

    def _contributions(
        self,
        own: Tensor,
        messages: tuple[Tensor, Tensor],
        scalars: nn.Linear,
        noise: Tensor | None,
    ) -> Tensor:
        """Average ``drop(w0 * message + w1 * own + b)`` over the relations, ``[R, D]``."""
        to_message, to_own = scalars.weight.unbind(1)
        base = to_own * own + scalars.bias
        # Expanded before the product, so that the scalar's gradient is summed by relation.
        parts = to_message.expand(2)[:, None, None] * torch.stack(messages) + base
        return fast_dropout(parts, self.dropout if self.training else 0.0, noise).mean(0)


class RelationFusion(nn.Module):
    """Combine the messages of interactions and of other relations (README.md, equation 2).

    Parameters
    ----------
    width
        D, size of an embedding.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.join = nn.Linear(2 * width, width, bias=False)
        self.inner = nn.Linear(width, width, bias=False)
        self.outer = nn.Linear(width, width, bias=False)

    def forward(self, interacted: Tensor, related: Tensor) -> Tensor:
        """Map two ``[R, D]`` to ``[R, D]``: ``sigmoid(([interacted ; related] W_join) W) K``."""
        joined = self.join(torch.cat([interacted, related], -1))
        fused: Tensor = self.outer(self.inner(joined).sigmoid())
        return fused


def _attend(keyed: Tensor) -> Tensor:
    """Compute attention scores ``[..., I + 1]``: sums of leaky values, divided by sqrt(D)."""
    return functional.leaky_relu(keyed, _SLOPE).sum(-1) / math.sqrt(keyed.shape[-1])
