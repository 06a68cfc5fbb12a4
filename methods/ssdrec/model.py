"""SSDRec (Zhang et al., ICDE 2024) on any backbone of the harness."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bench.methods.hsd.core import Draws, HSDCore, Inputs
from bench.methods.parts.graphs import Graphs, cached, edge_counts, refuse_empty
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .augment import Augmenter, Noise
from .config import SSDRecConfig
from .cooccurrence import co_occurrence
from .encoder import RelationEncoder
from .insertion import Sequence, untouched
from .official import OfficialAugmenter
from .relations import GraphSettings, mine
from .tally import GradientNorms, Tally

SPARE_SLOTS = 2
"""For the two insertions, so that sequences of full length are augmented too."""
REMEDIES = {
    "interaction": "use data with training interactions",
    "outgoing": "lower ssdrec's c_min, or use data in which items are met together more often",
    "incompatible": "lower ssdrec's c_min or raise its hot_items",
    "dissimilar": "raise ssdrec's hot_users",
}


@dataclass(frozen=True, eq=False)
class Chance:
    """Random numbers of a training step but for the dropout of HSD and backbone; None = drawn.

    Attributes
    ----------
    items, users
        ``[2, I + 1, D]`` and ``[2, B, D]`` uniform in [0, 1): dropout of the relation encoder.
    augmentation
        For positions and items.
    denoising
        For HSD's gates and its negatives.
    """

    items: Tensor | None = None
    users: Tensor | None = None
    augmentation: Noise | None = None
    denoising: Draws | None = None


class SSDRec(Method):
    """Train on prefixes: encode relations, insert, refine, then HSD; evaluate without insertion."""

    def __init__(self, config: SSDRecConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss
        sizes, width = data.sizes, backbone.embedding_size
        graphs = build_graphs(config, data)
        self.edges = edge_counts(graphs)
        self.official = config.stages == "official"
        slots = sizes.max_length + (0 if self.official else SPARE_SLOTS)
        self.core = HSDCore(config, sizes.n_users, width, slots, data.seed)
        self.encoder = RelationEncoder(graphs, width, config.graph_dropout)
        augmenter = OfficialAugmenter if self.official else Augmenter
        self.augmenter = augmenter(
            width, config.context_fuse, config.rho_logits, config.rho_temperature
        )
        self.tally = Tally(data.train, sizes.n_items)
        self.norms = GradientNorms(
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
            lambda *_: self._forget()
        )

    def train(self, mode: bool = True) -> SSDRec:
        """Switch between training and evaluation; vectors of relations are computed anew."""
        self._forget()
        super().train(mode)
        return self

    def begin_epoch(self, epoch: int) -> None:
        """Move HSD's schedules, and count anew."""
        self.core.begin_epoch(epoch)
        self.tally.reset()
        self.norms.reset()

    def losses(self, batch: Batch, chance: Chance = Chance()) -> dict[str, Tensor]:
        """Give ``next_item``, ``reconstruction`` and ``interest``."""
        items, users = self._tables()
        encoded = self.encoder.encode_items(items, users, chance.items)
        own = self.encoder.encode_users(batch.users, items, users, chance.users)
        sequence = self._sequence(batch, encoded, own)
        augmented = None
        if self.config.insertion:
            tau = self.core.schedules.tau
            augmented = self.augmenter(sequence, encoded, tau, chance.augmentation)
            sequence = augmented.sequence
        inputs = self._inputs(batch, sequence, self._around(batch, encoded, own))
        # One target a row, after its last item.
        targets = batch.targets.sum(1)
        losses = self.core.losses(
            self.backbone, self.next_item_loss, inputs, targets, chance.denoising
        )
        if augmented is not None:
            self.tally.add(augmented, self.core.sampled)
        return losses

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last survivor of the original history, ``[B, D]``."""
        return self.core.user_vectors(self.backbone, self._evaluated(batch))

    def item_vectors(self) -> Tensor:
        """Give the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Give the gates' preference and the probability that a sample drops, per interaction."""
        decided = self.core.denoise(self._evaluated(batch))
        width = batch.items.shape[1]
        return Denoised(decided.keep[:, :width], decided.score[:, :width])

    def diagnostics(self) -> dict[str, float | int | str]:
        """Give edges of each relation, how augmentation went, and HSD's diagnostics."""
        edges = {f"edges_{name}": count for name, count in self.edges.items()}
        return {
            **edges,
            **self.tally.diagnostics(),
            **self.norms.diagnostics(),
            **self.core.diagnostics(),
        }

    def _forget(self) -> None:
        """Drop vectors of relations that other weights gave."""
        self._encoded = None

    def _tables(self) -> tuple[Tensor, Tensor]:
        """E0 ``[I + 1, D]`` with the padding row of HSD, and P0 ``[U, D]``."""
        items = self.backbone.item_vectors()
        pad = items.new_zeros(items.shape[1]) if self.core.pad is None else self.core.pad
        return torch.cat([pad[None], items]), self.core.users.weight

    def _sequence(self, batch: Batch, encoded: Tensor, own: Tensor | None) -> Sequence:
        """Look up E* and add the user's P*, shared out among the row's items.

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
            items = functional.pad(items, (0, self.core.slots - items.shape[1]))
        x = encoded.index_select(0, items.flatten()).view(*items.shape, -1)
        if own is not None:
            x = x + _shared_out(own, batch)
        return untouched(items, x)

    def _around(self, batch: Batch, encoded: Tensor, own: Tensor | None) -> Tensor | None:
        """Give what stands at padding, ``[B, 1, D]``, where that is official; else None."""
        if not self.official:
            return None
        pad = encoded[:1, None].expand(len(batch.users), -1, -1)
        return pad if own is None else pad + _shared_out(own, batch)

    def _inputs(self, batch: Batch, sequence: Sequence, around: Tensor | None) -> Inputs:
        """Hand a sequence to HSD, which reads graph-encoded vectors in its item-level signal."""
        embedded, valid = self.core.fill(self.backbone.embed(sequence.items), sequence.valid)
        missing = valid.shape[1] - sequence.x.shape[1]
        x = functional.pad(sequence.x, (0, 0, 0, missing))
        if around is not None:
            x = x.where(valid[..., None], around)
            # The mask from before the insertion hides the newest items behind it.
            valid = valid & functional.pad(batch.valid, (0, valid.shape[1] - batch.valid.shape[1]))
        return Inputs(
            users=batch.users,
            valid=valid,
            embedded=embedded,
            read=x,
            original=None if self.official else sequence.original,
        )

    def _evaluated(self, batch: Batch) -> Inputs:
        """Hand the original history to HSD, as in evaluation."""
        encoded, users = self._encode_all()
        # The official code leaves the user out here, though it trains with it.
        own = None if self.official else users[batch.users]
        sequence = self._sequence(batch, encoded, own)
        return self._inputs(batch, sequence, self._around(batch, encoded, own))

    def _encode_all(self) -> tuple[Tensor, Tensor]:
        """E* and P* of everything, computed once between two changes of mode."""
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


def _shared_out(own: Tensor, batch: Batch) -> Tensor:
    """Divide P* of the rows' users ``[B, D]`` by the rows' lengths, ``[B, 1, D]``."""
    return (own / batch.valid.sum(1, keepdim=True).clamp_min(1))[:, None]


def build_graphs(config: SSDRecConfig, data: TrainingData) -> Graphs:
    """Mine the relations, or read what an earlier run has mined.

    Raises
    ------
    ConfigError
        A relation has no edge.
    """
    settings = GraphSettings(
        max_length=data.sizes.max_length,
        c_min=config.c_min,
        hot_items=config.hot_items,
        hot_users=config.hot_users,
        user_neighbours=config.user_neighbours,
        official=config.stages == "official",
    )
    n_items = data.sizes.n_items
    graphs = cached(
        "ssdrec",
        data.cache,
        data.train,
        {"n_items": n_items, **asdict(settings)},
        lambda: mine(data.train, n_items, settings),
        (mine, co_occurrence),
    )
    refuse_empty(graphs, REMEDIES)
    return graphs
