"""The interface of methods: losses of a batch, vectors to rank with, decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from bench.data.sequences import Sequences
from bench.model.backbone import Backbone, Sizes
from bench.model.batch import Batch
from bench.model.text_vectors import TextVectors

NextItemLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(vectors [M, D], item table [I, D], targets int64 [M] in 1..I) -> mean loss``."""
TargetLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""As :data:`NextItemLoss`, but the loss of each target, ``[M]``, differentiable.

On a GPU 0 may stand for no target: its loss is finite and means nothing, and others do not see it.
"""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Everything that a method may learn, count or normalise from.

    Attributes
    ----------
    sizes
        Of the data set.
    train
        Training interactions of every user.
    next_item_loss
        The loss that every method of the run shares.
    target_loss
        The same loss of each target, for methods that weight targets.
    seed
        For generators of the method's own; training draws from torch's generator, which is seeded
        for every epoch.
    text_vectors
        Vectors of the items' texts, for methods that need them.
    cache
        Folder for what is mined from the training interactions and can be mined again, such as
        graphs; None keeps nothing.
    user_ids, item_ids
        Ids in the files of the data set; those of item i are at i - 1.
    """

    sizes: Sizes
    train: Sequences
    next_item_loss: NextItemLoss
    target_loss: TargetLoss = field(kw_only=True)
    seed: int = 0
    text_vectors: TextVectors | None = None
    cache: Path | None = None
    user_ids: Sequence[str] = ()
    item_ids: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Denoised:
    """Decisions of a method about the interactions of a batch.

    Attributes
    ----------
    keep
        bool ``[B, L]``: the deterministic decision.
    score
        ``[B, L]``: continuous noise score, high = noise.
    """

    keep: Tensor
    score: Tensor


class Method(nn.Module, ABC):
    """A trainable recommender of this benchmark.

    Concrete classes are built as :class:`MethodFactory` says. Every parameter and buffer is part
    of the checkpoint, so state that must survive from one epoch to the next (progressive masks,
    say) belongs in a buffer.
    """

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the weighted parts of the training loss, scalars; their sum is minimised."""

    @abstractmethod
    def user_vectors(self, batch: Batch) -> Tensor:
        """Compute ``[B, D]`` vectors whose inner products with the items are their scores."""

    @abstractmethod
    def item_vectors(self) -> Tensor:
        """Compute ``[n_items, D]``, row i = item i + 1; called once per evaluation."""

    def begin_epoch(self, epoch: int) -> None:
        """Prepare for an epoch (0-based), for schedules and masks."""

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return what a report should say about the trained model, such as edges per relation."""
        return {}

    def denoise(self, batch: Batch) -> Denoised | None:
        """Decide which interactions of a batch to keep; None if the method removes nothing."""
        del batch
        return None


class MethodFactory(Protocol):
    """How a method is built: what ``model`` of its descriptor names."""

    def __call__(self, config: Any, data: TrainingData, backbone: Backbone | None) -> Method:
        """Build the method.

        Parameters
        ----------
        config
            Its settings, of the class that the descriptor names.
        data
            All that it may learn from.
        backbone
            What it attaches to; None for a method with a recommender of its own.
        """
