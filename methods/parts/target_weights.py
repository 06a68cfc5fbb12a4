"""Methods that learn less from targets which are hard to predict.

The history that the backbone reads is never touched. A weight of each target is computed from its
loss, and the weighted losses are minimised.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench.methods.parts.counter_noise import uniform
from bench.methods.parts.surprise import losses_given_earlier, popularity_losses
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

KeyName = Literal["loss", "excess", "rarity", "random"]
"""What targets are compared by; see :class:`TargetKey`."""
_SUMS = ("targets", "loss", "batches", "effective_share")
"""What is summed over an epoch: losses of targets, effective shares of batches."""


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of a batch; all tensors are ``[M]``.

    Attributes
    ----------
    loss
        Without gradient.
    item
        int64.
    slot
        int64: index of the target in the flat array of training interactions.
    row
        int64: row of the batch, ascending.
    """

    loss: Tensor
    item: Tensor
    slot: Tensor
    row: Tensor


class TargetKey(nn.Module):
    """The number by which targets are compared.

    ``loss``: the model's own. ``excess``: the loss beyond that of a model that knows the items'
    popularity alone, which is what every model learns first. Two controls: ``rarity``, the loss of
    the popularity model; ``random``, the losses of the batch dealt to its targets at random.

    Parameters
    ----------
    name
        Which of the four.
    data
        Training interactions, whose items are counted, and the seed.
    """

    rarity: Tensor

    def __init__(self, name: KeyName, data: TrainingData) -> None:
        super().__init__()
        self.name = name
        self.seed = data.seed
        rarity = popularity_losses(data.train, data.sizes.n_items)
        self.register_buffer("rarity", rarity, persistent=False)

    def forward(self, targets: Targets, epoch: int) -> Tensor:
        """Compute the keys of a batch's targets, ``[M]``."""
        if self.name == "random":
            order = torch.argsort(self._dealt(targets.slot, epoch))
            keys = torch.empty_like(targets.loss)
            keys[order] = targets.loss.sort().values
            return keys
        return self.of_interactions(targets.loss, targets.item, targets.slot, epoch)

    def of_interactions(self, loss: Tensor, item: Tensor, slot: Tensor, epoch: int) -> Tensor:
        """Compute keys that depend on no other target; ``random`` is uniform in (0, 1)."""
        if self.name == "loss":
            return loss
        if self.name == "random":
            return self._dealt(slot, epoch).to(loss.dtype)
        rarity = self.rarity[item].to(loss.dtype)
        return loss - rarity if self.name == "excess" else rarity

    def _dealt(self, slot: Tensor, epoch: int) -> Tensor:
        return uniform(self.seed, slot, torch.full((), epoch, device=slot.device))


class TargetWeighting(Method):
    """The bare backbone with a weight for each target, which depends on its loss.

    A decision is about an interaction as a target: it remains in every input, in training and in
    evaluation, and ranking is that of the bare backbone.

    Parameters
    ----------
    data
        Training interactions and the loss of each target.
    backbone
        Sequence encoder; one that is not causal trains on (prefix, next item) pairs.
    """

    offsets: Tensor
    items: Tensor
    weight: Tensor
    epoch: Tensor
    sums: Tensor

    def __init__(self, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.target_loss = data.target_loss
        items = torch.from_numpy(data.train.items).long()
        offsets = torch.from_numpy(data.train.offsets.copy())
        self.register_buffer("items", items, persistent=False)
        self.register_buffer("offsets", offsets, persistent=False)
        # Of each training interaction at its last visit, as a multiple of a batch's mean weight.
        self.register_buffer("weight", torch.ones(len(items)))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))
        self.register_buffer("sums", torch.zeros(len(_SUMS), dtype=torch.float64))
        self.current_epoch = 0

    @abstractmethod
    def objective(self, targets: Targets, vectors: Tensor, loss: Tensor) -> Tensor:
        """Compute what is minimised.

        Parameters
        ----------
        targets
            Of a batch.
        vectors, loss
            ``[M, D]`` and ``[M]``, with gradient.
        """

    @abstractmethod
    def score(self, loss: Tensor, item: Tensor, slot: Tensor, known: Tensor) -> Tensor:
        """Compute noise scores of interactions, ``[N]``.

        Parameters
        ----------
        loss, item, slot
            ``[N]``: loss of the trained model, item, and the slot if it is a training interaction.
        known
            bool ``[N]``: whether it is one.
        """

    def keeps(self, slot: Tensor) -> Tensor:
        """Look up which training interactions are learnt from, bool; all unless overridden."""
        return torch.ones_like(slot, dtype=torch.bool)

    def begin_epoch(self, epoch: int) -> None:
        """Note the epoch and begin its sums."""
        self.current_epoch = epoch
        self.epoch.fill_(epoch)
        self.sums.zero_()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the single part ``next_item``."""
        x, predicted = self.backbone.embed(batch.items), batch.predicted
        states = self.backbone.encode_predicting(
            x, batch.valid, batch.targets, batch.users, predicted
        )
        vectors = self.backbone.project(states)
        item, before = (t.flatten()[predicted] for t in (batch.targets, batch.flat_index))
        loss = self.target_loss(vectors, self.item_vectors(), item)
        slot, row = before + 1, predicted.div(batch.items.shape[1], rounding_mode="floor")
        targets = Targets(loss.detach(), item, slot, row)
        return {"next_item": self.objective(targets, vectors, loss)}

    def weighted(self, targets: Targets, loss: Tensor, weights: Tensor) -> Tensor:
        """Record the weights of a batch and return the sum of weighted losses."""
        count = len(weights)
        relative = weights / weights.mean()
        self.weight[targets.slot] = relative.to(self.weight.dtype)
        effective = count / relative.double().square().sum()
        one = torch.ones_like(effective)
        total = targets.loss.double().sum()
        self.sums += torch.stack([one * count, total, one, effective])
        return (loss * weights).sum()

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last item, ``[B, D]``."""
        x = self.backbone.embed(batch.items)
        return self.backbone.project(self.backbone.encode_last(x, batch.valid, batch.users))

    def item_vectors(self) -> Tensor:
        """Return the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Return what was decided about training interactions, and scores of all.

        An interaction is scored by the loss of the trained model given those before it in the row.
        The first of a row has none before it: its score is the mean of the row's others, or that of
        a model that knows nothing if there are none. Interactions that are not those of training,
        such as the last of a test-time history, are kept.
        """
        valid, later = batch.valid, batch.valid.clone()
        later[:, 0] = False
        loss = losses_given_earlier(self.backbone, batch)
        slot, known = self._slots(batch)
        unknown = torch.full_like(loss[:, :1], len(self.item_vectors())).log()
        loss = torch.where(later, loss, unknown)
        score = torch.zeros_like(loss)
        given = (tensor[valid] for tensor in (loss, batch.items, slot, known))
        score[valid] = self.score(*given)
        others = later.sum(1)
        mean = (score * later).sum(1) / others.clamp_min(1)
        score[:, 0] = torch.where(others > 0, mean, score[:, 0])
        keep = valid.clone()
        keep[known] = self.keeps(slot[known])
        return Denoised(keep, score)

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return means of the best epoch and how the weights go with popularity.

        Returns
        -------
        dict
            ``mean_loss``: plain mean of the losses of the targets, whose weighted sum the training
            loss is. ``effective_share``: mean over batches of ``(sum w)^2 / (M sum w^2)``.
            ``popularity_correlation``: rank correlation of the targets' last weights and the
            training interactions of their items, where the weights differ.
        """
        sums = dict(zip(_SUMS, self.sums.tolist(), strict=True))
        if not sums["batches"]:
            return {}
        found: dict[str, float | int | str] = {
            "mean_loss": sums["loss"] / sums["targets"],
            "effective_share": sums["effective_share"] / sums["batches"],
        }
        correlation = self._popularity_correlation()
        return found if correlation is None else found | {"popularity_correlation": correlation}

    def users_of_targets(self) -> tuple[Tensor, Tensor]:
        """Return the slots that can be targets, all but each user's first, and their users."""
        sizes = self.offsets.diff()
        users = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
        slots = torch.arange(len(users), device=sizes.device)
        later = slots > self.offsets[users]
        return slots[later], users[later]

    def _slots(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the slots of a history's positions, and which of them are training interactions.

        A test-time history is another array than the training interactions, and longer; with noise
        in training alone it differs from the first insertion on.
        """
        steps = torch.arange(batch.items.shape[1], device=batch.items.device)
        slot = self.offsets[batch.users][:, None] + batch.first[:, None] + steps
        known = batch.valid & (slot < self.offsets[batch.users + 1][:, None])
        known &= self.items[slot.where(known, 0)] == batch.items
        return slot, known

    def _popularity_correlation(self) -> float | None:
        from scipy.stats import spearmanr

        slots, _ = self.users_of_targets()
        weights = self.weight[slots].cpu().numpy()
        items = self.items.cpu().numpy()
        counts = np.bincount(items)[items[slots.cpu().numpy()]]
        if len(np.unique(weights)) < 2 or len(np.unique(counts)) < 2:
            return None
        return float(spearmanr(weights, counts).statistic)


class KeyWeighting(TargetWeighting):
    """Weights that a key of the targets decides alone.

    Attributes
    ----------
    key
        What targets are compared by, which is also the noise score.
    """

    key: TargetKey

    @abstractmethod
    def weigh(self, targets: Targets) -> Tensor:
        """Compute the weights of a batch's targets, ``[M]``, without gradient."""

    def objective(self, targets: Targets, vectors: Tensor, loss: Tensor) -> Tensor:
        """Compute the sum of weighted losses."""
        del vectors
        return self.weighted(targets, loss, self.weigh(targets))

    def score(self, loss: Tensor, item: Tensor, slot: Tensor, known: Tensor) -> Tensor:
        """Return the keys."""
        del known
        return self.key.of_interactions(loss, item, slot, int(self.epoch))
