"""What a finished experiment stores; every metric is computed from it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bench.plan.protocol import Phase

Figure = tuple[float | None, float | None, float | None]
"""Value of a figure and the ends of its interval; None if undefined."""


class _Columns:
    """Arrays of equal length."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name; one that is left out, None, is not among them."""
        return {name: array for name, array in vars(self).items() if array is not None}


@dataclass(frozen=True, eq=False)
class Ranks(_Columns):
    """Rank of each held-out target; all arrays are ``[targets]``.

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
    user
        int32, ascending: whose target, as row of the split's data set. None: one target of every
        user, in order.

    Of imported results ``better_*`` is -1 where the ranks are not known.
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
    user: NDArray[np.int32] | None = None


@dataclass(frozen=True, eq=False)
class Decisions(_Columns):
    """What a denoiser decides about original interactions; all arrays are ``[interactions]``.

    Attributes
    ----------
    user, position, item
        int32: the user, the place in the user's history (0 = oldest), the item.
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

    def drops(self) -> Drops:
        """Count the dropped interactions by the popularity of their item."""
        counts, place = np.unique(self.item_count, return_inverse=True)
        sizes, dropped = (
            np.bincount(places, minlength=len(counts)).astype(np.int32)
            for places in (place, place[~self.keep])
        )
        return Drops(counts, sizes, dropped)


@dataclass(frozen=True, eq=False)
class Drops(_Columns):
    """How many interactions a denoiser drops; all arrays are ``[popularities]``.

    Attributes
    ----------
    item_count
        int32, ascending: training interactions of the items, or the fewest of a bucket of items.
    interactions, dropped
        int32: interactions with those items, and how many of them are dropped.
    """

    item_count: NDArray[np.int32]
    interactions: NDArray[np.int32]
    dropped: NDArray[np.int32]

    @property
    def share(self) -> float:
        """Share of all interactions that are dropped; there is at least one."""
        return float(self.dropped.sum() / self.interactions.sum())


@dataclass(frozen=True, eq=False)
class TopLists(_Columns):
    """The best items of every user; all arrays are ``[users * K]``, by user and rank.

    Attributes
    ----------
    user
        int32: row of the user in the data set.
    rank
        int32: 1 for the highest score.
    item
        int32: the item, 1-based.
    score
        float32: inner product of user and item vector.
    """

    user: NDArray[np.int32]
    rank: NDArray[np.int32]
    item: NDArray[np.int32]
    score: NDArray[np.float32]


class Epoch(BaseModel):
    """One row of a learning curve.

    Attributes
    ----------
    epoch
        Counted from 0.
    loss
        Sum of the parts.
    parts
        Mean of each part of the training loss over the epoch's targets, by name.
    metric
        Validation metric that selects the best epoch.
    seconds, validation_seconds
        Wall seconds of the epoch, and of its validation among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epoch: int
    loss: float
    parts: dict[str, float] = Field(default_factory=dict)
    metric: float
    seconds: float
    validation_seconds: float = 0.0


class Origin(BaseModel):
    """Where imported ranks come from.

    Attributes
    ----------
    file, sha256
        Name of the file and hash of its content.
    kind
        What it holds.
    length
        Items of each list, beyond which ranks are not known; None if all are known.
    text
        What the user says about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    kind: Literal["ranks", "scores", "lists"]
    length: int | None = None
    text: str = ""


class Metadata(BaseModel):
    """What is known of a finished experiment in addition to its ranks.

    Attributes
    ----------
    parameters
        Trainable parameters.
    epochs, best_epoch, best_metric
        Epochs trained; the best one, counted from 0, and its validation metric.
    targets_per_epoch, sampling, prefixes_per_user
        Training targets of one epoch and how they are sampled; K where it is read.
    diagnostics
        What the method reports about itself.
    encoding
        Which text encoder made the vectors and what that cost once; None without one.
    seconds, cpu_seconds
        Wall and CPU seconds by stage.
    peak_memory_bytes, peak_gpu_bytes
        Largest memory of the process and of the GPU.
    device, threads
        Where it was computed.
    versions
        Of this package, Python, torch and numpy.
    machine
        Operating system and processor architecture.
    processor, cpu_capability
        Model of the processor, and the instruction set that torch's own functions use of it:
        ``AVX2``, ``AVX512``, ``DEFAULT``.
    numerics, blas, blas_branch
        See :mod:`bench.numerics`; the library of matrix products with its version; MKL's branch
        of conditional numerical reproducibility, ``OFF`` where it chooses for itself.
    card
        Path of the data set's card where it is a user's own.
    detection
        Of a published result on data with known noise, in place of its decisions: value and ends of
        the 95 % interval of each figure of noise detection, by part; None if undefined.
    origin
        Of imported ranks; None for what was trained here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    best_metric: float | None = None
    targets_per_epoch: int | None = None
    sampling: str | None = None
    prefixes_per_user: int | None = None
    diagnostics: Mapping[str, float | int | str | None] = Field(default_factory=dict)
    encoding: dict[str, Any] | None = None
    seconds: dict[str, float] = Field(default_factory=dict)
    cpu_seconds: dict[str, float] = Field(default_factory=dict)
    peak_memory_bytes: int | None = None
    peak_gpu_bytes: int | None = None
    device: str | None = None
    threads: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    machine: str | None = None
    processor: str | None = None
    cpu_capability: str | None = None
    numerics: str | None = None
    blas: str | None = None
    blas_branch: str | None = None
    card: str | None = None
    detection: Mapping[str, Mapping[str, Figure]] = Field(default_factory=dict)
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class ExperimentResult:
    """One finished experiment.

    Attributes
    ----------
    ranks
        By phase.
    curve
        One row per epoch.
    metadata
        Costs, versions and diagnostics.
    decisions
        By part (``train``: training interactions, ``test``: test-time history); empty if the method
        removes nothing.
    lists
        Top items of every user for the test target; None unless they are kept.
    weights
        File with the weights of the best epoch; None unless they are kept.
    drops
        By part, in place of ``decisions`` where those are not at hand, as in a published result.
    """

    ranks: dict[Phase, Ranks]
    curve: Sequence[Epoch]
    metadata: Metadata
    decisions: dict[str, Decisions] = field(default_factory=dict)
    lists: TopLists | None = None
    weights: Path | None = None
    drops: dict[str, Drops] = field(default_factory=dict)
