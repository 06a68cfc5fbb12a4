"""HSD (Zhang et al., CIKM 2022) on any backbone of the harness."""

from __future__ import annotations

from torch import Tensor

from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .config import HSDConfig
from .core import HSDCore, Inputs


class HSD(Method):
    """Train on prefixes: gates, survivors packed to the front, the backbone unchanged."""

    def __init__(self, config: HSDConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss
        sizes = data.sizes
        self.core = HSDCore(
            config, sizes.n_users, backbone.embedding_size, sizes.max_length, data.seed
        )

    def begin_epoch(self, epoch: int) -> None:
        """Move the schedules."""
        self.core.begin_epoch(epoch)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Give ``next_item``, ``reconstruction`` and ``interest``."""
        # One target a row, after its last item.
        targets = batch.targets.sum(1)
        return self.core.losses(self.backbone, self.next_item_loss, self._inputs(batch), targets)

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last survivor, ``[B, D]``."""
        return self.core.user_vectors(self.backbone, self._inputs(batch))

    def item_vectors(self) -> Tensor:
        """Give the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def diagnostics(self) -> dict[str, float | int | str]:
        """Say how the gates voted, and at which temperature."""
        return self.core.diagnostics()

    def denoise(self, batch: Batch) -> Denoised:
        """Give the gates' preference and the probability that a sample drops, per interaction."""
        decided = self.core.denoise(self._inputs(batch))
        width = batch.items.shape[1]
        return Denoised(decided.keep[:, :width], decided.score[:, :width])

    def _inputs(self, batch: Batch) -> Inputs:
        embedded, valid = self.core.fill(self.backbone.embed(batch.items), batch.valid)
        return Inputs(batch.users, valid, embedded)
