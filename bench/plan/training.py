"""Settings of training that every method shares."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bench.config import Config

BudgetName = Literal["quick", "paper"]
LossName = Literal["cross_entropy", "in_batch_tanh", "bce", "bpr", "gbce"]


class TrainingConfig(Config):
    """How a model is fitted.

    Attributes
    ----------
    epochs
        Most epochs.
    patience
        Epochs without a better validation metric before training stops.
    learning_rate
        Step size of Adam.
    weight_decay
        L2 penalty on the weights, added to the gradient that Adam gets.
    batch_size
        Targets per optimiser step: next items, or interactions of segments.
    samples
        How training samples are drawn: ``auto`` takes the method's own way; see
        :data:`bench.components.Sampling`.
    prefixes_per_user
        K: an epoch draws K times as many (prefix, next item) pairs as there are users, each pair
        equally likely, or K segments of each user.
    loss
        Next-item loss of every method. ``cross_entropy`` over all items; ``in_batch_tanh``, the
        published regime of IADSR: tanh on the logits, then cross-entropy among the batch's own
        targets; with sampled negatives, ``bce``, ``bpr`` and ``gbce``, see
        :mod:`bench.training.losses`.
    negatives
        Items drawn as negatives of each target by ``bce``, ``bpr`` and ``gbce``; None draws one,
        and 256 for ``gbce``, as their papers do.
    calibration
        t of ``gbce``: 0 is ``bce``; with 1, scores estimate probabilities in spite of the sampling.
    stop_on
        What early stopping and the choice of the best epoch monitor: the ``validation`` metric, or
        the ``training_loss``, as in published scripts without a validation set.
    clip_norm
        Largest norm of the gradient; None does not clip it.
    mixed_precision
        bfloat16 autocast on a GPU. Off by default: models of this size gain no speed from it, and
        in float32 a GPU agrees with a CPU up to rounding. The CPU always computes in float32.
    """

    epochs: int = Field(default=200, ge=1)
    patience: int = Field(default=10, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    batch_size: int = Field(default=512, ge=1)
    samples: Literal["auto", "positions", "prefixes", "last"] = "auto"
    prefixes_per_user: int = Field(default=4, ge=1)
    loss: LossName = "cross_entropy"
    negatives: int | None = Field(default=None, ge=1)
    calibration: float = Field(default=0.75, ge=0, le=1)
    stop_on: Literal["validation", "training_loss"] = "validation"
    clip_norm: float | None = Field(default=None, gt=0)
    mixed_precision: bool = False

    @property
    def budget(self) -> str:
        """Name of the budget, or how it differs from ``paper``.

        Examples
        --------
        >>> TrainingConfig().budget, TrainingConfig(epochs=3, learning_rate=0.01).budget
        ('paper', 'epochs=3')
        """
        paper = BUDGETS["paper"]
        own = self.model_dump(include=set(paper))
        named = (name for name, values in BUDGETS.items() if own == values)
        return next(named, ",".join(f"{k}={own[k]}" for k in paper if own[k] != paper[k]))


BUDGETS: dict[BudgetName, dict[str, Any]] = {
    "quick": {"epochs": 5, "patience": 10, "batch_size": 128},
    "paper": {
        name: TrainingConfig.model_fields[name].default
        for name in ("epochs", "patience", "batch_size")
    },
}
"""How much training an experiment gets: ``quick`` for a first look, ``paper`` to early stopping."""
