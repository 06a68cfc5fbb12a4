"""Batches of texts of like length, under a limit of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TOKENS_ON_CPU = 1024
"""Tokens of a batch, padding included. With more, the states of a small model leave the
processor's cache, and it gets slower."""
TOKENS_ON_GPU = 16_384


def budget(device: torch.device) -> int:
    """Tokens that a batch may have on a device, padding included."""
    return TOKENS_ON_GPU if device.type == "cuda" else TOKENS_ON_CPU


def token_batches(lengths: Sequence[int], tokens: int) -> Iterator[NDArray[np.int64]]:
    """Group texts so that little of a batch is padding.

    Texts are sorted by length, the longest first; a batch is as many as fit when each is as
    long as its longest, and one at least.

    Parameters
    ----------
    lengths
        Tokens of each text.
    tokens
        Limit of a batch, padding included.

    Returns
    -------
    iterator of ndarray
        int64 indices of each batch's texts; together every text once.

    Examples
    --------
    >>> [batch.tolist() for batch in token_batches([3, 9, 4, 3], 10)]
    [[1], [2, 0], [3]]
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(sizes[order[start]]), 1)
        stop = start + max(tokens // longest, 1)
        yield order[start:stop]
        start = stop


def padded(rows: Sequence[Sequence[int]], fill: int, *, left: bool) -> Tensor:
    """Stack ragged rows.

    Parameters
    ----------
    rows
        Whole numbers.
    fill
        Stands where a row has none.
    left
        Whether rows end together instead of beginning together.

    Returns
    -------
    Tensor
        int64 ``[rows, longest]``.

    Examples
    --------
    >>> padded([[1, 2, 3], [4]], 0, left=True).tolist()
    [[1, 2, 3], [0, 0, 4]]
    """
    width = max(map(len, rows))
    whole = np.full((len(rows), width), fill, dtype=np.int64)
    for place, row in enumerate(rows):
        start = width - len(row) if left else 0
        whole[place, start : start + len(row)] = row
    return torch.from_numpy(whole)
