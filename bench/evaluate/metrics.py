"""Metrics of one relevant item, computed from stored ranks.

A metric is a small frozen object: a vectorised figure per user and its mean. A rank is the
position of a held-out item in the ranking of its candidates, 1 = first. Where the tie
rule ``average`` gives a fractional rank, such as 2.5, every metric reads it as the next whole
position, here 3: the item misses the first two places, and its gain is the third place's. So
metrics are functions of whole positions, and the inequalities between HR@K and NDCG@K that hold
for every ranking hold for tied rankings too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.errors import ConfigError, suggestion
from bench.evaluate.ndcg import NDCG, Floats, Metric, Ranking, rank_of

__all__ = ["METRICS", "MRR", "NDCG", "HitRatio", "Metric", "Ranking", "parse_metric", "rank_of"]


@dataclass(frozen=True)
class HitRatio(Metric):
    """HR@K: the share of users whose item is among the first K.

    With one relevant item a user it equals Recall@K.

    Examples
    --------
    >>> HitRatio(2).gains(np.array([1.0, 2.0, 2.5, 3.0])).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """

    k: int
    label: ClassVar[str] = "HR"

    def _gain(self, positions: Floats) -> Floats:
        return np.ones_like(positions)


@dataclass(frozen=True)
class MRR(Metric):
    """MRR, or MRR@K: a hit at position r is worth 1 / r.

    Examples
    --------
    >>> MRR().gains(np.array([1.0, 4.0, 3.5])).tolist()
    [1.0, 0.25, 0.25]
    >>> MRR(3).mean(Ranking(np.array([1.0, 4.0])))
    0.5
    """

    k: int | None = None
    label: ClassVar[str] = "MRR"

    def _gain(self, positions: Floats) -> Floats:
        return 1.0 / positions


METRICS: dict[str, type[HitRatio] | type[NDCG] | type[MRR]] = {
    kind.label: kind for kind in (HitRatio, NDCG, MRR)
}
"""Metrics by the name in front of the cut-off."""
_ALIASES = {"RECALL": "HR", "HIT": "HR"}
"""Other names, for one relevant item a user."""


def parse_metric(name: str) -> Metric:
    """Read a metric's name, in any case; Recall@K and Hit@K are HR@K.

    Raises
    ------
    ConfigError
        The name is unknown (the message suggests a close one), or its cut-off is missing or
        below 1.

    Examples
    --------
    >>> parse_metric("NDCG@10")
    NDCG(k=10)
    >>> parse_metric("recall@10")
    HitRatio(k=10)
    >>> parse_metric("NDGC@10")
    Traceback (most recent call last):
        ...
    bench.errors.ConfigError: unknown metric 'NDGC@10'; did you mean 'NDCG@10'?
    """
    label, separator, cutoff = name.upper().partition("@")
    label = _ALIASES.get(label, label)
    kind = METRICS.get(label)
    if kind is None:
        known = [other + separator + cutoff for other in METRICS]
        raise ConfigError(f"unknown metric '{name}'{suggestion(name.upper(), known)}")
    if not separator and kind is MRR:
        return MRR()
    if not re.fullmatch(r"[0-9]{1,9}", cutoff):
        raise ConfigError(f"metric '{name}' needs a whole cut-off, such as '{label}@10'")
    return kind(int(cutoff))
