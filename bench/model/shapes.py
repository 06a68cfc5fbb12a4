"""Whether a computation keeps the shapes of its batch, or follows the values in it.

A CPU computes on real tokens alone: most of a padded frame is padding. A GPU would have to wait
for every shape that depends on values, and a CPU that waits launches nothing, so there all shapes
of a step follow from those of its batch. Both compute the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_everywhere = False


def is_static(device: torch.device) -> bool:
    """Return whether shapes must not depend on values there: on every device but a CPU."""
    return _everywhere or device.type != "cpu"


@contextmanager
def static_shapes() -> Iterator[None]:
    """Compute on a CPU as on a GPU, for tests and counters; data are to be gathered inside too."""
    global _everywhere  # noqa: PLW0603
    before, _everywhere = _everywhere, True
    try:
        yield
    finally:
        _everywhere = before


def where(mask: Tensor, most: int) -> Tensor:
    """Return where a mask is True: all places of ``nonzero``, or what :func:`places` returns.

    Parameters
    ----------
    mask
        bool, of any shape.
    most
        At least the number of True entries; read where shapes are static.
    """
    if is_static(mask.device):
        return places(mask, most)
    return torch.nonzero(mask.flatten()).squeeze(1)


def places(mask: Tensor, count: int) -> Tensor:
    """Return where a mask is True, for a number of places that is known without it.

    Parameters
    ----------
    mask
        bool, of any shape.
    count
        At least the number of True entries.

    Returns
    -------
    Tensor
        int64 ``[count]``: indices into the flattened mask, ascending; -1 after the last.
    """
    flat = mask.flatten()
    index = torch.arange(len(flat), device=flat.device)
    rank = (flat.cumsum(0) - 1).where(flat, count)
    return index.new_full((count + 1,), -1).scatter_(0, rank, index)[:count]
