"""Settings of HSD."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class HSDConfig(Config):
    """Numbers of the official code where they are sound; what differs is in the card.

    Attributes
    ----------
    dropout_sequence, dropout_item
        Of the sequence-level signal (input and mixed slots) and of the item-level one.
    gate_logits
        What the gates sample from: ``prob`` the sigmoid outputs (official; one signal then calls
        noise with a probability in 0.269 .. 0.731 whatever it learns), ``raw`` the scores before.
    train_query
        Query of the item-level signal in training: the ``target`` item (official) or the
        ``user`` vector, which is the query of evaluation in either case.
    eval_gate
        ``argmax``: noise where both signals prefer it; ``sample``: seeded draws as in training.
    eval_draws
        Draws whose scores are averaged where ``eval_gate`` is ``sample``.
    keep_one
        Bring back the least noisy interaction where all would be dropped.
    wipe_short_rows
        Reproduce the official slice of zero: rows too short for any truncation lose their whole
        interest loss once truncation has begun.
    pads
        ``masked``: padding never enters a signal. ``official``: one trained padding vector
        enters the recurrent and slot-mixing layers and the batch norm, and the softmax as an item.
    tau, tau_rate, tau_floor
        Temperature of the gates' gradient: start, decay, least value.
    tau_schedule
        ``epochs``: tau * exp(-rate * epoch). ``batches``: every 40 batches the current value is
        multiplied by exp(-rate * batches so far), as in the official code.
    curriculum_rate, curriculum_epochs
        Share of a batch, hardest to reconstruct, that is left out in the first epoch, and the
        number of epochs over which it falls to 0 linearly.
    truncation
        Share of each row's interest losses, the largest, that is zeroed after those epochs; it
        rises from 0 linearly.
    weight_reconstruction, weight_interest
        Of the two losses beside the next item's.
    interest_reduction
        ``sum`` (official) or ``mean`` of a row's interest losses.
    detach_target
        Stop the gradient of the reconstruction loss at what is to be reconstructed.
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
