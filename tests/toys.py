"""A data set of three users that no test trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.model.backbone import Sizes
    from bench.model.method import TrainingData


def data_of(sequences: Sequences, n_items: int, **columns: Any) -> Dataset:
    """Name the users and items of some histories."""
    users = [f"u{user}" for user in range(len(sequences))]
    items = [f"i{item}" for item in range(1, n_items + 1)]
    return Dataset("toy", "f" * 64, sequences, users, items, [""] * n_items, 7, **columns)


def toy(name: str = "toy") -> Dataset:
    """Three histories over four items without texts; the card's length is 7."""
    sequences = Sequences.from_lists([[1, 2, 3, 4], [2, 3, 1], [4, 1, 2]])
    return Dataset(name, "f" * 64, sequences, list("abc"), list("wxyz"), [""] * 4, 7)


def load(source: str, settings: Settings) -> Dataset:
    """Load the toy, as :func:`bench.data.load.load_dataset` loads a source."""
    return toy()


def training_data(
    sizes: Sizes, train: Sequences | list[list[int]], seed: int = 0, **more: Any
) -> TrainingData:
    """What a method learns from some histories by cross-entropy."""
    from bench.model.method import TrainingData
    from bench.training.losses import cross_entropy, target_cross_entropy

    train = train if isinstance(train, Sequences) else Sequences.from_lists(train)
    return TrainingData(sizes, train, cross_entropy, seed, target_loss=target_cross_entropy, **more)
