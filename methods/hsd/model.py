"""HSD (Zhang et al., CIKM 2022) on any backbone."""

from __future__ import annotations

from torch import Tensor

from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .config import HSDConfig
from .core import HSDCore, HSDInputs


class HSD(Method):
    """Gates, kept interactions packed to the front, an unchanged backbone; trained on prefixes."""

    def __init__(self, config: HSDConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss
        sizes = data.sizes
        self.core = HSDCore(
            config, sizes.n_users, backbone.embedding_size, sizes.max_length, data.seed
        )

    def begin_epoch(self, epoch: int) -> None:
        """Advance the schedules."""
        self.core.begin_epoch(epoch)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``next_item``, ``reconstruction`` and ``interest``."""
        self.core.begin_batch()
        # One target per row, after its last item.
        targets = batch.targets.sum(1)
        return self.core.losses(self.backbone, self.next_item_loss, self._inputs(batch), targets)

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last kept interaction, ``[B, D]``."""
        return self.core.user_vectors(self.backbone, self._inputs(batch))

    def item_vectors(self) -> Tensor:
        """Return the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return mean votes of the gates, and the temperature."""
        return self.core.diagnostics()

    def denoise(self, batch: Batch) -> Denoised:
        """Return the gates' preference and the drop probability of each interaction."""
        decided = self.core.denoise(self._inputs(batch))
        width = batch.items.shape[1]
        return Denoised(decided.keep[:, :width], decided.score[:, :width])

    def _inputs(self, batch: Batch) -> HSDInputs:
        embedded, valid = self.core.pad_frame(self.backbone.embed(batch.items), batch.valid)
        return HSDInputs(batch.users, valid, embedded)
