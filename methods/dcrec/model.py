"""DCRec (Yang et al., WWW 2023): a standalone recommender, trained on prefixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from bench.methods.parts.ragged import Ragged, lay_out
from bench.model.backbone import Backbone, init_normal
from bench.model.batch import Batch
from bench.model.method import Method, TrainingData

from .build import build_graphs
from .config import DCRecConfig
from .conformity import ConformityWeights, conformity_channels, conformity_weights
from .contrast import Grace, infonce, prior_divergence
from .encoder import SequenceEncoder
from .fusion import ViewFusion
from .neighbours import means, split, split_sampled
from .views import GraphEncoder

CHANNELS = ("alpha", "beta", "gamma")
AVERAGED = ("omega_deviation", "edges_removed", *CHANNELS)
"""Quantities that :meth:`DCRec.diagnostics` averages over the batches of the best epoch."""


@dataclass(frozen=True, eq=False)
class Histories:
    """A batch of histories, prepared once for all passes.

    Attributes
    ----------
    items
        int64 ``[B, L]``.
    ragged
        Layout of the real items.
    last
        int64 ``[B]``: the last item, which all graph quantities are about.
    lengths
        int64 ``[B]``: number of items.
    """

    items: Tensor
    ragged: Ragged
    last: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, batch: Batch) -> Histories:
        """Prepare a batch."""
        lengths = batch.valid.sum(1)
        last = batch.items.gather(1, (lengths - 1).clamp_min(0)[:, None]).squeeze(1)
        return cls(batch.items, lay_out(batch.valid), last, lengths)


@dataclass(frozen=True, eq=False)
class GraphViews:
    """Graph views of a training step; all but ``whole`` are ``[B, D]``.

    Attributes
    ----------
    whole
        ``[N, D]``: all items in the transition graph.
    transition, co_interaction
        The rows' last items in both graphs.
    kept
        bool ``[M]``: edges that no user of the batch made; None if not needed.
    """

    whole: Tensor
    transition: Tensor
    co_interaction: Tensor
    kept: Tensor | None


class DCRec(Method):
    """Fuse a sequence view with two graph views; contrast them with conformity weights.

    DCRec drops nothing from a history, so it makes no decisions about interactions.
    """

    statistics: Tensor

    def __init__(
        self, config: DCRecConfig, data: TrainingData, backbone: Backbone | None = None
    ) -> None:
        super().__init__()
        del backbone  # standalone
        self.config = config
        self.next_item_loss = data.next_item_loss
        width, sizes = config.embedding_size, data.sizes
        self.items = nn.Embedding(sizes.n_items + 1, width, padding_idx=0)
        self.encoder = SequenceEncoder(config, sizes.max_length)
        self.graph_encoder = GraphEncoder(config)
        self.fusion = ViewFusion(width)
        self.grace = Grace(width) if config.contrast == "grace" else None
        init_normal(self)
        with torch.no_grad():
            self.items.weight[0].zero_()
        graphs = build_graphs(config, data)
        self.training_graphs, self.evaluation_graphs = graphs.training, graphs.evaluation
        self.perturbation = graphs.perturbation
        self.register_buffer("statistics", torch.zeros(1 + len(AVERAGED)))
        self._evaluation_views: tuple[Tensor, Tensor] | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Reset the statistics."""
        del epoch
        self.statistics.zero_()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``next_item`` and, where they have a weight, ``contrast`` and ``prior``."""
        rows = Histories.of(batch)
        graphs = self._graph_views(batch.users, rows.last)
        transition_view = graphs.transition
        if self.config.hide_target_edge:
            transition_view = self._transition_views(rows.last, graphs.kept, dropped=True)
        fused = self.fusion(
            torch.stack([self._state(rows), transition_view, graphs.co_interaction], 1)
        )
        targets = batch.targets.sum(1)  # one per row, after its last item
        parts = {"next_item": self.next_item_loss(fused, self.item_vectors(), targets)}
        if graphs.kept is not None and self._weighs:
            parts |= self._auxiliary(rows, graphs, self._weights(rows, graphs, graphs.kept))
        return parts

    def user_vectors(self, batch: Batch) -> Tensor:
        """Fuse the views of each history, ``[B, D]``; nothing is perturbed or weighted."""
        rows = Histories.of(batch)
        transition, co_interaction = self._views_of_all_items()
        views = [self._state(rows), transition[rows.last], co_interaction[rows.last]]
        fused: Tensor = self.fusion(torch.stack(views, 1))
        return fused

    def item_vectors(self) -> Tensor:
        """Return the item table, ``[n_items, D]``; padding is never a candidate."""
        self._evaluation_views = None  # called once per evaluation, before any user
        return self.items.weight[1:]

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return numbers of edges between different items, and means of the conformity channels."""
        sides = {"training": self.training_graphs, "evaluation": self.evaluation_graphs}
        edges: dict[str, float | int | str] = {
            f"{side}_{relation}_edges": count
            for side, graphs in sides.items()
            for relation, count in graphs.links().items()
        }
        batches, *sums = self.statistics.tolist()
        if batches:
            found = zip(AVERAGED, sums, strict=True)
            edges |= {f"mean_{name}": total / batches for name, total in found}
        return edges

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; cached views are dropped."""
        self._evaluation_views = None
        return super().train(mode)

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """Load as torch does; cached views are dropped."""
        self._evaluation_views = None
        return super().load_state_dict(*args, **options)

    @property
    def _weighs(self) -> bool:
        return self.config.contrast_weight > 0 or self.config.prior_weight > 0

    def _state(self, rows: Histories) -> Tensor:
        embedded = rows.ragged.take(self.items(rows.items))
        state: Tensor = self.encoder(embedded, rows.ragged)
        return state

    def _graph_views(self, users: Tensor, last: Tensor) -> GraphViews:
        table, graphs = self.items.weight, self.training_graphs
        whole = self.graph_encoder(table, graphs.transition, dropped=True)
        similar = self.graph_encoder(table, graphs.co_interaction, rows=last, dropped=True)
        needed = self._weighs or self.config.hide_target_edge
        kept = self.perturbation.kept(users, graphs.transition.edges) if needed else None
        return GraphViews(whole, whole[last], similar, kept)

    def _transition_views(self, rows: Tensor | None, kept: Tensor | None, dropped: bool) -> Tensor:
        graph = self.training_graphs.transition
        viewed: Tensor = self.graph_encoder(self.items.weight, graph, kept, rows, dropped=dropped)
        return viewed

    def _weights(self, rows: Histories, graphs: GraphViews, kept: Tensor) -> ConformityWeights:
        """Compute conformity from the transition graph with and without the batch's own edges."""
        config, graph = self.config, self.training_graphs.transition
        dropped = config.weights_from == "dropped"
        whole = graphs.whole if dropped else self._transition_views(None, None, dropped)
        perturbed = self._transition_views(rows.last, kept, dropped)
        if config.neighbour_sample is None:
            own, foreign = split(graph, kept, config.loop_is_neighbour)
        else:
            limit, loop = config.neighbour_sample, config.loop_is_neighbour
            own, foreign = split_sampled(graph, kept, limit, loop)
        found = conformity_channels(
            whole[rows.last],
            perturbed,
            means(graph, own, whole)[rows.last],
            means(graph, foreign, whole)[rows.last],
        )
        weights = conformity_weights(
            found, config.conformity, rows.lengths, config.first_item_weight
        )
        self._record(weights.omega, found, kept)
        return weights

    def _auxiliary(
        self, rows: Histories, graphs: GraphViews, weights: ConformityWeights
    ) -> dict[str, Tensor]:
        config, parts = self.config, {}
        if config.contrast_weight:
            compare = self.grace or infonce
            omega, psi = weights.omega, weights.psi
            if config.detach_weights:
                omega, psi = omega.detach(), psi.detach()
            again = self._state(rows)  # another draw of the encoder's dropout
            conformist = compare(again, graphs.transition, config.temperature)
            personal = compare(graphs.transition, graphs.co_interaction, config.temperature)
            contrast = (omega * conformist + psi * personal).mean()
            parts["contrast"] = config.contrast_weight * contrast
        if config.prior_weight:
            prior = prior_divergence(weights.omega, config.conformity)
            parts["prior"] = config.prior_weight * prior
        return parts

    @torch.no_grad()
    def _record(self, omega: Tensor, found: Tensor, kept: Tensor) -> None:
        removed = (~kept).sum() / self.training_graphs.transition.links
        figures = [torch.ones_like(removed), omega.std(correction=0), removed, *found.mean(1)]
        self.statistics += torch.stack(figures)

    def _views_of_all_items(self) -> tuple[Tensor, Tensor]:
        """Compute the views of all items in both graphs, once per evaluation."""
        if self._evaluation_views is not None and not torch.is_grad_enabled():
            return self._evaluation_views
        table, graphs = self.items.weight, self.evaluation_graphs
        views = (
            self.graph_encoder(table, graphs.transition),
            self.graph_encoder(table, graphs.co_interaction),
        )
        if not torch.is_grad_enabled():
            self._evaluation_views = views
        return views
