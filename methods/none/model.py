"""The bare backbone."""

from __future__ import annotations

from torch import Tensor

from bench.methods.parts.surprise import losses_given_earlier, popularity_losses
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .config import NoneConfig


class BareBackbone(Method):
    """Next-item cross-entropy on the backbone's states, at every predicted position.

    It removes nothing. Its noise score of an interaction is its own loss of it, a control for
    denoisers: what the trained backbone did not expect.
    """

    def __init__(self, config: NoneConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        del config
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss
        popularity = popularity_losses(data.train, data.sizes.n_items)
        self.register_buffer("popularity", popularity, persistent=False)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the single part ``next_item``."""
        vectors, targets = self.predict(batch)
        return {"next_item": self.next_item_loss(vectors, self.item_vectors(), targets)}

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute the vectors that predict, ``[M, S]``, and their targets, ``[M]``, row by row."""
        x, predicted = self.backbone.embed(batch.items), batch.predicted
        states = self.backbone.encode_predicting(
            x, batch.valid, batch.targets, batch.users, predicted
        )
        return self.backbone.project(states), batch.targets.flatten()[predicted]

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last item, ``[B, D]``."""
        x = self.backbone.embed(batch.items)
        return self.backbone.project(self.backbone.encode_last(x, batch.valid, batch.users))

    def item_vectors(self) -> Tensor:
        """Return the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Keep everything; score interactions by their cross-entropy given those before.

        The first of a row has none before it: its score is that of the items' popularity.
        """
        popularity: Tensor = self.get_buffer("popularity")
        score = losses_given_earlier(self.backbone, batch)
        score[:, 0] = popularity[batch.items[:, 0]]
        return Denoised(batch.valid, score)
