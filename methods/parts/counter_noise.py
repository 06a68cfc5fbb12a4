"""Random numbers that are a function of their keys, not of the order of drawing.

A generator gives a row different numbers when batches change or a run resumes. Here each number
is a hash of a seed and of integer keys (user, position, draw), so that the same interaction gets
the same number in every epoch, batch and process.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_FIRST = -4658895280553007687  # 0xBF58476D1CE4E5B9
_SECOND = -7723592293110705685  # 0x94D049BB133111EB
_BITS = 52  # of a float64 between 0.5 and 1, with room for the half that avoids 0 and 1


def uniform(seed: int, *keys: Tensor) -> Tensor:
    """Hash keys to float64 numbers in the open interval (0, 1).

    Parameters
    ----------
    seed
        Non-negative integer below 2**63.
    *keys
        int64 tensors that broadcast against each other; their order matters.

    Returns
    -------
    Tensor
        float64, of the broadcast shape.

    Examples
    --------
    >>> same = uniform(1, torch.tensor([3, 4])) == uniform(1, torch.tensor([3, 4, 5]))[:2]
    >>> same.tolist()
    [True, True]
    """
    state = torch.full((), seed, dtype=torch.long, device=keys[0].device if keys else None)
    for key in keys:
        state = _mix(state + _GOLDEN + _mix(key + _GOLDEN))
    top = _shift_right(_mix(state), 64 - _BITS)
    numbers: Tensor = (top.double() + 0.5) / 2**_BITS
    return numbers


def gumbel(seed: int, *keys: Tensor) -> Tensor:
    """Hash keys to float32 standard Gumbel noise; see :func:`uniform`."""
    return -(-uniform(seed, *keys).log()).log().float()


def _mix(z: Tensor) -> Tensor:
    """Apply the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) on wrapping int64."""
    z = (z ^ _shift_right(z, 30)) * _FIRST
    z = (z ^ _shift_right(z, 27)) * _SECOND
    return z ^ _shift_right(z, 31)


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Shift right as if unsigned."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
