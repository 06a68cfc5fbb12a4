"""Settings of HSD."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class HSDConfig(Config):
    """Settings of HSD; the defaults are the official code's where it is sound (see ``card.yaml``).

    Attributes
    ----------
    dropout_sequence
        Dropout rate of the sequence-level signal, on its input and after position mixing.
    dropout_item
        Dropout rate of the item-level signal.
    gate_logits
        Logits of the gates: ``prob``, the sigmoid outputs (official; each signal then votes noise
        with a probability in [0.269, 0.731] whatever it learns), or ``raw``, the scores before the
        sigmoid.
    train_query
        Query of the item-level signal in training: the ``target`` item (official) or the ``user``
        vector, which is always the query in evaluation.
    eval_gate
        ``argmax``: noise if both signals prefer it; ``sample``: seeded draws as in training.
    eval_draws
        Number of draws whose scores are averaged if ``eval_gate`` is ``sample``.
    keep_one
        If True, keep the least noisy interaction if all would be dropped.
    wipe_short_rows
        If True, reproduce the official slice of the last 0 elements: rows too short for any
        truncation lose their whole interest loss once truncation has begun.
    pads
        ``masked``: padding never enters a signal. ``official``: one trained padding vector enters
        the recurrent and position-mixing layers, the batch norm, and the softmax as an item.
    tau
        Initial temperature of the gates' gradient.
    tau_rate
        Decay rate of the temperature.
    tau_floor
        Smallest temperature.
    tau_schedule
        ``epochs``: tau * exp(-rate * epoch). ``batches``: every 40 batches the current value is
        multiplied by exp(-rate * batches so far), as in the official code.
    curriculum_rate
        Share of a batch, hardest to reconstruct, that is left out in the first epoch.
    curriculum_epochs
        Number of epochs over which that share falls linearly to 0.
    truncation
        Share of each row's interest losses, the largest, that is zeroed at the end of the
        curriculum; it rises linearly from 0.
    weight_reconstruction
        Weight of the reconstruction loss.
    weight_interest
        Weight of the interest loss.
    interest_reduction
        ``sum`` (official) or ``mean`` over a row's interest losses.
    detach_target
        If True, stop the gradient of the reconstruction loss at its target.
    """

    dropout_sequence: float = Field(default=0.3, ge=0, lt=1)
    dropout_item: float = Field(default=0.2, ge=0, lt=1)
    gate_logits: Literal["prob", "raw"] = "prob"
    train_query: Literal["target", "user"] = "target"
    eval_gate: Literal["argmax", "sample"] = "argmax"
    eval_draws: int = Field(default=5, ge=1)
    keep_one: bool = True
    wipe_short_rows: bool = False
    pads: Literal["masked", "official"] = "masked"
    tau: float = Field(default=0.5, gt=0)
    tau_rate: float = Field(default=0.02, ge=0)
    tau_floor: float = Field(default=0.1, gt=0)
    tau_schedule: Literal["epochs", "batches"] = "epochs"
    curriculum_rate: float = Field(default=0.2, ge=0, lt=1)
    curriculum_epochs: int = Field(default=10, ge=1)
    truncation: float = Field(default=0.2, ge=0, lt=1)
    weight_reconstruction: float = Field(default=1.0, ge=0)
    weight_interest: float = Field(default=1.0, ge=0)
    interest_reduction: Literal["sum", "mean"] = "sum"
    detach_target: bool = False
