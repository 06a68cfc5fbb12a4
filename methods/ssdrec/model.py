"""SSDRec (Zhang et al., ICDE 2024) on any backbone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from bench.methods.hsd.core import HSDCore, HSDDraws, HSDInputs
from bench.methods.parts.graphs import Graphs, edge_counts, load_or_build, require_edges
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .augment import AugmentationNoise, Augmenter
from .config import SSDRecConfig
from .cooccurrence import co_occurrence
from .diagnostics import AugmentationStatistics, GradientNorms
from .encoder import RelationEncoder
from .insertion import SequenceBatch, without_insertions
from .official import OfficialAugmenter
from .relations import RelationSettings, build_relations

SPARE_POSITIONS = 2
"""Positions for the two insertions, so that sequences of full length are augmented too."""
REMEDIES = {
    "interaction": "use data with training interactions",
    "outgoing": "lower ssdrec's c_min, or use data in which items co-occur more often",
    "incompatible": "lower ssdrec's c_min or raise its hot_items",
    "dissimilar": "raise ssdrec's hot_users",
}


@dataclass(frozen=True, eq=False)
class SSDRecDraws:
    """Random numbers of a training step, dropout of HSD and backbone aside; drawn where None.

    Attributes
    ----------
    items
        ``[2, I + 1, D]`` uniform in [0, 1): dropout of the items' relation encoder.
    users
        ``[2, B, D]`` uniform in [0, 1): dropout of the users' relation encoder.
    augmentation
        Noise of positions and items.
    denoising
        HSD's gates and negatives.
    """

    items: Tensor | None = None
    users: Tensor | None = None
    augmentation: AugmentationNoise | None = None
    denoising: HSDDraws | None = None


class SSDRec(Method):
    """Encode relations, insert, refine, then run HSD; evaluated without insertion."""

    def __init__(self, config: SSDRecConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss
        sizes, width = data.sizes, backbone.embedding_size
        graphs = load_relations(config, data)
        self.edges = edge_counts(graphs)
        self.official = config.stages == "official"
        max_positions = sizes.max_length + (0 if self.official else SPARE_POSITIONS)
        self.core = HSDCore(config, sizes.n_users, width, max_positions, data.seed)
        self.encoder = RelationEncoder(graphs, width, config.graph_dropout)
        augmenter = OfficialAugmenter if self.official else Augmenter
        self.augmenter = augmenter(
            width,
            config.context_fuse,
            config.rho_logits,
            config.rho_temperature,
            config.position_gradient,
        )
        self.statistics = AugmentationStatistics(data.train, sizes.n_items)
        self.gradient_norms = GradientNorms(
            {
                "augmentation": self.augmenter.lstm.lstm.get_parameter("weight_ih_l0"),
                "item_fusion": self.encoder.item_fusion.inner.weight,
                "item_scalars": self.encoder.item_scalars.weight,
                "item_gate": self.core.gates.item.output.weight,
                "item_table": self.backbone.items.weight,
            }
        )
        self._encoded: tuple[Tensor, Tensor] | None = None
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda *_: self._clear_cache()
        )

    def train(self, mode: bool = True) -> SSDRec:
        """Set training or evaluation mode; cached relation vectors are dropped."""
        self._clear_cache()
        super().train(mode)
        return self

    def begin_epoch(self, epoch: int) -> None:
        """Advance HSD's schedules and reset the statistics."""
        self.core.begin_epoch(epoch)
        self.statistics.reset()
        self.gradient_norms.reset()

    def losses(self, batch: Batch, draws: SSDRecDraws = SSDRecDraws()) -> dict[str, Tensor]:
        """Compute ``next_item``, ``reconstruction`` and ``interest``."""
        self.core.begin_batch()
        items, users = self._tables()
        encoded = self.encoder.encode_items(items, users, draws.items)
        own = self.encoder.encode_users(batch.users, items, users, draws.users)
        sequence = self._sequence(batch, encoded, own)
        augmented = None
        if self.config.insertion:
            tau = self.core.schedules.tau
            augmented = self.augmenter(sequence, encoded, tau, draws.augmentation)
            sequence = augmented.sequence
        inputs = self._inputs(batch, sequence, self._padding_vectors(batch, encoded, own))
        if augmented is not None and self.official:
            # Lengths are those after refinement, though the mask is the one from before insertion.
            inputs = replace(inputs, lengths=augmented.lengths(batch.valid.sum(1)))
        # One target per row, after its last item.
        targets = batch.targets.sum(1)
        losses = self.core.losses(
            self.backbone, self.next_item_loss, inputs, targets, draws.denoising
        )
        if augmented is not None:
            self.statistics.add(augmented, self.core.sampled)
        return losses

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last kept interaction of the original history, ``[B, D]``."""
        return self.core.user_vectors(self.backbone, self._evaluated(batch))

    def item_vectors(self) -> Tensor:
        """Return the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Return the gates' preference and the drop probability of each interaction."""
        decided = self.core.denoise(self._evaluated(batch))
        width = batch.items.shape[1]
        return Denoised(decided.keep[:, :width], decided.score[:, :width])

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return edges of relations, rates of augmentation, gradient norms, HSD's diagnostics."""
        edges = {f"edges_{name}": count for name, count in self.edges.items()}
        return {
            **edges,
            **self.statistics.diagnostics(),
            **self.gradient_norms.diagnostics(),
            **self.core.diagnostics(),
        }

    def _clear_cache(self) -> None:
        """Drop relation vectors that were computed with other weights."""
        self._encoded = None

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Return E0 ``[I + 1, D]`` with the padding row of HSD, and P0 ``[U, D]``."""
        items = self.backbone.item_embeddings()
        pad = items.new_zeros(items.shape[1]) if self.core.pad is None else self.core.pad
        return torch.cat([pad[None], items]), self.core.users.weight

    def _sequence(self, batch: Batch, encoded: Tensor, own: Tensor | None) -> SequenceBatch:
        """Look up E* and add the user's P*, divided by the row's length.

        Parameters
        ----------
        batch
            Histories or prefixes.
        encoded
            E* ``[I + 1, D]``.
        own
            P* of the rows' users ``[B, D]``; None leaves them out.
        """
        items = batch.items
        if self.official:
            items = functional.pad(items, (0, self.core.max_positions - items.shape[1]))
        x = encoded.index_select(0, items.flatten()).view(*items.shape, -1)
        if own is not None:
            x = x + _divide_by_length(own, batch)
        return without_insertions(items, x)

    def _padding_vectors(self, batch: Batch, encoded: Tensor, own: Tensor | None) -> Tensor | None:
        """Return the vectors at padding, ``[B, 1, D]``, if padding is official; else None."""
        if not self.official:
            return None
        pad = encoded[:1, None].expand(len(batch.users), -1, -1)
        return pad if own is None else pad + _divide_by_length(own, batch)

    def _inputs(self, batch: Batch, sequence: SequenceBatch, around: Tensor | None) -> HSDInputs:
        """Build HSD's inputs; its item-level signal reads graph-encoded vectors."""
        embedded, valid = self.core.pad_frame(self.backbone.embed(sequence.items), sequence.valid)
        x = sequence.x
        if around is not None:
            x = functional.pad(x, (0, 0, 0, valid.shape[1] - x.shape[1])).where(
                valid[..., None], around
            )
            # The mask from before the insertion hides the newest items behind it.
            valid = valid & functional.pad(batch.valid, (0, valid.shape[1] - batch.valid.shape[1]))
        return HSDInputs(
            users=batch.users,
            valid=valid,
            embedded=embedded,
            read=x,
            original=None if self.official else sequence.original,
        )

    def _evaluated(self, batch: Batch) -> HSDInputs:
        """Build HSD's inputs from the original histories, as in evaluation."""
        encoded, users = self._encode_all()
        # The official code leaves the user out here, though it trains with it.
        own = None if self.official else users[batch.users]
        sequence = self._sequence(batch, encoded, own)
        return self._inputs(batch, sequence, self._padding_vectors(batch, encoded, own))

    def _encode_all(self) -> tuple[Tensor, Tensor]:
        """Return E* and P* of all items and users, computed once between two changes of mode."""
        if self._encoded is not None and not torch.is_grad_enabled():
            return self._encoded
        items, users = self._tables()
        everyone = torch.arange(len(users), device=users.device)
        encoded = (
            self.encoder.encode_items(items, users),
            self.encoder.encode_users(everyone, items, users),
        )
        if not (self.training or torch.is_grad_enabled()):
            self._encoded = encoded
        return encoded


def _divide_by_length(own: Tensor, batch: Batch) -> Tensor:
    """Divide P* of the rows' users ``[B, D]`` by the rows' lengths, ``[B, 1, D]``."""
    return (own / batch.valid.sum(1, keepdim=True).clamp_min(1))[:, None]


def load_relations(config: SSDRecConfig, data: TrainingData) -> Graphs:
    """Build the relations, or read them from the cache.

    Raises
    ------
    ConfigError
        A relation has no edge.
    """
    settings = RelationSettings(
        max_length=data.sizes.max_length,
        c_min=config.c_min,
        hot_items=config.hot_items,
        hot_users=config.hot_users,
        user_neighbours=config.user_neighbours,
        official=config.stages == "official",
    )
    n_items = data.sizes.n_items
    graphs = load_or_build(
        "ssdrec",
        data.cache,
        data.train,
        {"n_items": n_items, **asdict(settings)},
        lambda: build_relations(data.train, n_items, settings),
        (build_relations, co_occurrence),
    )
    require_edges(graphs, REMEDIES)
    return graphs
