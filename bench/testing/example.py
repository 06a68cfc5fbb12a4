"""A tiny data set and its twin with other hidden values, for conformance tests."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bench.components import METHODS
from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.model.text_vectors import TextVectors
from bench.plan.experiment import Experiment
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig

N_USERS, N_ITEMS, MAX_LENGTH = 40, 30, 8
Reading = Literal["pooled", "text"]
_TEXT_SIZE = 12
_UNNAMED_ITEM = 7
"""An item without a text: every data set with texts lacks some."""


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """Allow for another order of summation."""
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def assert_equal(actual: Any, expected: Any) -> None:
    """Compare tensors, or lists or mappings of them, bit for bit."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def dataset() -> Dataset:
    """Make users who walk along the catalogue, 4 to 13 steps each."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(N_USERS):
        start, length = generator.integers(0, N_ITEMS), generator.integers(4, 14)
        rows.append([int((start + step) % N_ITEMS) + 1 for step in range(length)])
    return _named(Sequences.from_lists(rows), seed=1)


def twin_of(data: Dataset) -> Dataset:
    """Copy with other held-out items, ratings, times and noise, none of which a method may see."""
    items = data.sequences.items.copy()
    for place in (data.sequences.offsets[1:] - 1, data.sequences.offsets[1:] - 2):
        items[place] = items[place] % N_ITEMS + 1
    return _named(Sequences(data.sequences.offsets, items), seed=2)


def _named(sequences: Sequences, seed: int) -> Dataset:
    hidden = np.random.default_rng(seed).integers(1, 6, size=len(sequences.items))
    return Dataset(
        name="example",
        fingerprint="example",
        sequences=sequences,
        user_ids=[f"u{user}" for user in range(len(sequences))],
        item_ids=[f"i{item}" for item in range(1, N_ITEMS + 1)],
        item_texts=["" if item == _UNNAMED_ITEM else f"item {item}" for item in range(1, 31)],
        max_length=MAX_LENGTH,
        times=hidden.cumsum(),
        ratings=hidden.astype(np.float32),
        noise=hidden < 3,
    )


def text_vectors(data: Dataset, reading: Reading = "pooled", *, empty: bool = False) -> TextVectors:
    """Make vectors of texts by hand: random ones for items, their sums for runs of items.

    With ``empty``, no item has a text.
    """
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(N_ITEMS + 1, _TEXT_SIZE, generator=generator)
    vectors[[0, _UNNAMED_ITEM]] = 0
    places = torch.arange(N_ITEMS + 1)
    places[_UNNAMED_ITEM] = 0
    if empty:
        vectors, places = vectors[:1], torch.zeros_like(places)
    if reading == "pooled":
        return TextVectors(pooled=True, vectors=vectors, row_index=places)
    runs = [vectors[places[torch.from_numpy(row).long()]].cumsum(0) for row in data.sequences]
    return TextVectors(
        pooled=False,
        vectors=torch.cat([vectors[:1], *runs]),
        row_index=torch.arange(1, data.n_interactions + 1) * (0 if empty else 1),
        offsets=torch.from_numpy(data.sequences.offsets.copy()),
    )


def experiment(
    method: str, backbone: str | None, settings: dict[str, Any], training: dict[str, Any]
) -> Experiment:
    """Describe a run on the example, small and short."""
    entry = METHODS.get(method)
    return Experiment(
        dataset="example",
        fingerprint="example",
        backbone=backbone,
        backbone_settings={} if backbone is None else {"embedding_size": 8},
        method=method,
        method_settings=entry.parse({entry.name: settings}, method).model_dump(mode="json"),
        training=TrainingConfig(**({"epochs": 1, "batch_size": 64} | training)),
        protocol=Protocol(max_length=MAX_LENGTH),
        seed=1,
        code="example",
    )
