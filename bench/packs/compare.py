"""An experiment trained again, compared with its published result."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.evaluate.metrics import Metric
from bench.plan.protocol import PHASES, Phase
from bench.reports.request import Request
from bench.reports.results import ScoredExperiment
from bench.runs.stored import StoredExperiment

_WHERE = ("device", "threads", "processor", "cpu_capability", "numerics", "blas", "blas_branch")
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """How the ranks of an experiment that was trained again relate to the published ones.

    Attributes
    ----------
    label, key
        Of the published experiment.
    elsewhere
        What differs in machine, versions and code, and so may change the last digits.
    differing
        Share of users whose ranks differ, by phase.
    metric
        Name of the metric.
    published, again
        Its value on test data: as published, and trained again.
    within
        Whether the difference is within what chance explains.
    measure
        What it was compared with.
    """

    label: str
    key: str
    elsewhere: Sequence[str]
    differing: Mapping[Phase, float]
    metric: str
    published: float
    again: float
    within: bool
    measure: str

    @property
    def equal(self) -> bool:
        """Whether every user has the same ranks."""
        return not any(self.differing.values())

    @property
    def confirmed(self) -> bool:
        """Whether the ranks are equal, or differ elsewhere no more than chance explains."""
        return self.equal or (bool(self.elsewhere) and self.within)

    def describe(self) -> str:
        """Return one line on the outcome."""
        head = f"{self.label} ({self.key[:12]})"
        if self.equal:
            return f"{head}: equal to the bit"
        shares = ", ".join(
            f"{share:.1%} of {phase} ranks" for phase, share in self.differing.items()
        )
        figures = f"{self.metric} {self.again:.4f}, published {self.published:.4f}"
        verdict = "within" if self.within else "beyond"
        why = f"; it ran elsewhere: {', '.join(self.elsewhere)}" if self.elsewhere else ""
        return f"{head}: {shares} differ; {figures}, {verdict} {self.measure}{why}"


def compare(
    published: StoredExperiment, again: StoredExperiment, seeds: Sequence[StoredExperiment]
) -> Comparison:
    """Compare an experiment with its published result.

    Parameters
    ----------
    published, again
        The same settings and seed.
    seeds
        Published experiments that differ in the seed alone, itself included. With at least two,
        the metric agrees where it is in the 95 % prediction interval of one more seed; with one,
        where the 95 % interval of the mean difference over users includes zero.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    request = Request()
    metric = request.main_metric(published.experiment.protocol)
    differing = {
        phase: float(
            np.mean(
                np.any(
                    [
                        values != again.ranks(phase).columns()[name]
                        for name, values in published.ranks(phase).columns().items()
                    ],
                    axis=0,
                )
            )
        )
        for phase in PHASES
    }
    values = [
        metric.per_user(ScoredExperiment(stored, request).ranking())
        for stored in (published, again)
    ]
    within, measure = (
        _within_seeds(float(values[1].mean()), [_mean(metric, request, one) for one in seeds])
        if len(seeds) > 1
        else _within_users(values[1] - values[0])
    )
    return Comparison(
        label=published.experiment.label,
        key=published.key,
        elsewhere=_elsewhere(published, again),
        differing=differing,
        metric=metric.name,
        published=float(values[0].mean()),
        again=float(values[1].mean()),
        within=within,
        measure=measure,
    )


def _mean(metric: Metric, request: Request, stored: StoredExperiment) -> float:
    return metric.mean(ScoredExperiment(stored, request).ranking())


def _within_seeds(value: float, seeds: Sequence[float]) -> tuple[bool, str]:
    """Compare a value with the prediction interval of one more draw from a normal distribution."""
    from scipy.stats import t

    count = len(seeds)
    spread = statistics.stdev(seeds) * (1 + 1 / count) ** 0.5
    half = float(t.ppf((1 + _CONFIDENCE) / 2, count - 1)) * spread
    return abs(
        value - statistics.fmean(seeds)
    ) <= half, f"the spread of {count} seeds (±{half:.4f})"


def _within_users(differences: NDArray[np.float64]) -> tuple[bool, str]:
    from scipy.stats import t

    count = len(differences)
    error = float(differences.std(ddof=1)) / count**0.5
    half = float(t.ppf((1 + _CONFIDENCE) / 2, count - 1)) * error
    return abs(float(differences.mean())) <= half, f"the interval over users (±{half:.4f})"


def _elsewhere(published: StoredExperiment, again: StoredExperiment) -> list[str]:
    a, b = published.metadata, again.metadata
    found = [name for name in _WHERE if getattr(a, name) != getattr(b, name)]
    found += [name for name in ("torch", "numpy") if a.versions.get(name) != b.versions.get(name)]
    return found + (["code"] if published.experiment.code != again.experiment.code else [])
