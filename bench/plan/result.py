"""What a finished experiment leaves behind; every figure is computed from this later."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.plan.protocol import Phase


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where each user's target stands; all arrays are ``[users]``.

    Attributes
    ----------
    target
        int32: the held-out item.
    target_count
        int32: its training interactions.
    history_length
        int32: interactions before the target.
    better_all, ties_all, candidates_all
        int32: items that score strictly higher, other items that score equal, and how many
        compete, among all items.
    better_unseen, ties_unseen, candidates_unseen
        The same among the target and the items absent from the user's history.
    """

    target: NDArray[np.int32]
    target_count: NDArray[np.int32]
    history_length: NDArray[np.int32]
    better_all: NDArray[np.int32]
    ties_all: NDArray[np.int32]
    candidates_all: NDArray[np.int32]
    better_unseen: NDArray[np.int32]
    ties_unseen: NDArray[np.int32]
    candidates_unseen: NDArray[np.int32]

    def columns(self) -> dict[str, NDArray[np.int32]]:
        """All arrays by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a denoiser thinks of original interactions; all arrays are ``[interactions]``.

    Attributes
    ----------
    user, position, item
        int32: whose, which place in the user's history (0 = oldest), which item.
    item_count
        int32: training interactions of the item.
    keep
        bool: the deterministic decision.
    score
        float32: continuous noise score, high = noise.
    """

    user: NDArray[np.int32]
    position: NDArray[np.int32]
    item: NDArray[np.int32]
    item_count: NDArray[np.int32]
    keep: NDArray[np.bool_]
    score: NDArray[np.float32]

    def columns(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True, eq=False)
class ExperimentResult:
    """One finished experiment.

    Attributes
    ----------
    ranks
        By phase.
    curve
        One row an epoch: ``epoch``, ``loss``, the loss's parts, the validation figure, ``seconds``
        in all and ``validation_seconds`` among them.
    decisions
        By part (``train``: training interactions, ``test``: test-time history); empty where
        the method removes nothing.
    metadata
        Plain data: parameters, best epoch, samples per epoch, device, threads, versions,
        wall and CPU seconds per stage, peak memory in bytes; path of the data set's card where it
        is a user's own.
    """

    ranks: dict[Phase, Ranks]
    curve: list[dict[str, Any]]
    metadata: dict[str, Any]
    decisions: dict[str, Decisions] = field(default_factory=dict)
