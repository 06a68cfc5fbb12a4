"""DCRec's graph encoder: views of all items (README.md, equation 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from bench.methods.parts.dropout import fast_dropout

from .config import DCRecConfig
from .encoder import NORM_EPS
from .graphs import ItemGraph, convolution, edge_dropout_mask


@dataclass(frozen=True, eq=False)
class PassNoise:
    """Random numbers of one pass, uniform in [0, 1); drawn where None.

    Attributes
    ----------
    table
        ``[N, D]``: entries of the item table are dropped where it is below the rate.
    edges
        See :func:`bench.methods.dcrec.graphs.edge_dropout_mask`.
    """

    table: Tensor | None = None
    edges: Tensor | None = None


class GraphEncoder(nn.Module):
    """Convolutions without parameters, averaged with their input, and one layer norm.

    All graphs share the norm. Dropout is a parameter of the pass, not of the module's mode: passes
    for conformity do without it in training, and evaluation never has it.

    Parameters
    ----------
    config
        Settings of DCRec.
    """

    def __init__(self, config: DCRecConfig) -> None:
        super().__init__()
        self.hidden_dropout = config.hidden_dropout
        self.edge_dropout = config.edge_dropout
        self.convolutions = config.convolutions
        self.graph_norm = config.graph_norm
        self.norm = nn.LayerNorm(config.embedding_size, eps=NORM_EPS)

    def forward(
        self,
        table: Tensor,
        graph: ItemGraph,
        kept: Tensor | None = None,
        rows: Tensor | None = None,
        *,
        dropped: bool = False,
        noise: PassNoise = PassNoise(),
    ) -> Tensor:
        """View items through a graph: ``LN((f0 + f1 + ...) / (1 + convolutions) + f0)``.

        Parameters
        ----------
        table
            ``[N, D]`` item embeddings.
        graph
            The stored graph.
        kept
            bool ``[M]``: edges that a perturbation kept; None = all.
        rows
            int64 ``[R]``: items to return; None = all.
        dropped
            Whether entries of the table and edges are dropped.
        noise
            Random numbers for ``dropped``.

        Returns
        -------
        Tensor
            ``[R, D]`` or ``[N, D]``.
        """
        dropout_mask = None
        if dropped:
            table = fast_dropout(table, self.hidden_dropout, noise.table)
            dropout_mask = edge_dropout_mask(
                graph, self.graph_norm, self.edge_dropout, kept, noise.edges
            )
        gather = convolution(graph, self.graph_norm, kept, dropout_mask)
        features, total = table, table
        for _ in range(self.convolutions):
            features = gather(features)
            total = total + features
        mixed = total / (1 + self.convolutions) + table
        viewed: Tensor = self.norm(mixed if rows is None else mixed[rows])
        return viewed
