"""Bounds that HR@K and NDCG@K of one evaluation satisfy, whatever the model.

With one relevant item per test case, a hit at rank r adds 1 to HR and 1/log2(r + 1) to NDCG. The
hits up to K have ranks 1 to K, those between k and K ranks k + 1 to K. Hence, also after averaging
over cases and seeds::

    HR@K / log2(K + 1)  <=  NDCG@K  <=  HR@K
    0                   <=  HR@K - HR@k,  0  <=  NDCG@K - NDCG@k
    (HR@K - HR@k) / log2(K + 1)  <=  NDCG@K - NDCG@k  <=  (HR@K - HR@k) / log2(k + 2)

A printed figure represents all numbers that round to it, so each is moved by half a unit of its
last digit in the direction that favours the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Literal, get_args

Kind = Literal["HR", "NDCG"]
_ROUNDING = 1e-12
"""Tolerance for our own sums, far below any printed digit."""


@dataclass(frozen=True)
class PrintedNumber:
    """A figure as printed.

    Attributes
    ----------
    text
        Its digits.
    scale
        Factor of the digits: 0.01 for percentages.
    """

    text: str
    scale: float = 1.0

    @property
    def value(self) -> float:
        """The printed number."""
        return float(self.text) * self.scale

    @property
    def half(self) -> float:
        """Half a unit of the last printed digit."""
        exponent = Decimal(self.text).as_tuple().exponent
        return float(Decimal((0, (5,), int(exponent) - 1))) * self.scale

    def __str__(self) -> str:
        return self.text if self.scale == 1.0 else f"{self.text} %"


Figures = Mapping[tuple[Kind, int], PrintedNumber]
"""Printed figures of one row of a table by metric and cut-off."""


def violations(figures: Figures) -> list[str]:
    """Return a sentence for every bound that a row violates even after rounding.

    Examples
    --------
    >>> row = {("HR", 5): PrintedNumber("0.02"), ("NDCG", 5): PrintedNumber("0.04")}
    >>> violations(row)
    ['NDCG@5 = 0.04 is above HR@5 = 0.02, but a hit adds at most 1 to NDCG']
    """
    cutoffs = sorted({k for _, k in figures})
    pairs = list(combinations(cutoffs, 2))
    return [
        *_outside(figures),
        *(found for k in cutoffs for found in _at_one(figures, k)),
        *(found for k, further in pairs for found in _falls(figures, k, further)),
        *(found for k, further in pairs for found in _between(figures, k, further)),
    ]


def _outside(figures: Figures) -> Iterator[str]:
    for (kind, k), printed in figures.items():
        if not -printed.half <= printed.value <= 1 + printed.half:
            yield f"{kind}@{k} = {printed} is not between 0 and 1; are these percentages?"


def _at_one(figures: Figures, k: int) -> Iterator[str]:
    hits, gain = figures.get(("HR", k)), figures.get(("NDCG", k))
    if hits is None or gain is None:
        return
    if gain.value - gain.half > hits.value + hits.half + _ROUNDING:
        yield f"NDCG@{k} = {gain} is above HR@{k} = {hits}, but a hit adds at most 1 to NDCG"
    least = (hits.value - hits.half) / math.log2(k + 1)
    if gain.value + gain.half < least - _ROUNDING:
        yield (
            f"NDCG@{k} = {gain} is below {_show(least, gain)}: each hit among the first {k} adds "
            f"at least 1/log2({k + 1}), and HR@{k} = {hits}"
        )


def _falls(figures: Figures, k: int, further: int) -> Iterator[str]:
    for kind in get_args(Kind):
        near, far = figures.get((kind, k)), figures.get((kind, further))
        if near is None or far is None:
            continue
        if far.value + far.half < near.value - near.half - _ROUNDING:
            yield (
                f"{kind} falls from {near} at {k} to {far} at {further}, but the first "
                f"{further} hold the first {k}"
            )


def _between(figures: Figures, k: int, further: int) -> Iterator[str]:
    keys: list[tuple[Kind, int]] = [("HR", k), ("HR", further), ("NDCG", k), ("NDCG", further)]
    if not all(key in figures for key in keys):
        return
    near, far, before, after = (figures[key] for key in keys)
    hits, hits_slack = far.value - near.value, far.half + near.half
    gain, gain_slack = after.value - before.value, after.half + before.half
    if hits < -hits_slack - _ROUNDING or gain < -gain_slack - _ROUNDING:
        return  # reported already: one of them falls
    growth = (
        f"NDCG grows by {_show(gain, after, 0)} from {before} at {k} to {after} at {further}, "
        f"but HR by {_show(hits, far, 0)} from {near} to {far}"
    )
    least = (hits - hits_slack) / math.log2(further + 1) - gain_slack
    if gain < least - _ROUNDING:
        yield (
            f"{growth}: each hit from rank {k + 1} to {further} adds at least "
            f"1/log2({further + 1}), {_show(least, after)} in all, rounding allowed for"
        )
    most = (hits + hits_slack) / math.log2(k + 2) + gain_slack
    if gain > most + _ROUNDING:
        yield (
            f"{growth}: each hit from rank {k + 1} to {further} adds at most 1/log2({k + 2}), "
            f"{_show(most, after)} in all, rounding allowed for"
        )


def _show(value: float, like: PrintedNumber, more: int = 1) -> str:
    """Print a number with as many digits as a printed one plus ``more``."""
    places = max(0, -int(Decimal(like.text).as_tuple().exponent)) + more
    unit = "" if like.scale == 1.0 else " %"
    return f"{value / like.scale:.{min(places, 6)}f}{unit}"
