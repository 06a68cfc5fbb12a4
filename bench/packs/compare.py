"""An experiment trained again, compared with its published result."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.packs.published import users_that_differ
from bench.plan.protocol import PHASES, Phase
from bench.reports.request import Request
from bench.reports.results import ScoredExperiment
from bench.runs.stored import StoredExperiment
from bench.statistics.nested import Contrast, Nested

_WHERE = ("device", "threads", "processor", "cpu_capability", "numerics", "blas", "blas_branch")


@dataclass(frozen=True)
class Comparison:
    """How the ranks of an experiment that was trained again relate to the published ones.

    Attributes
    ----------
    label
        Of the published experiment, with the start of its key.
    elsewhere
        What differs in machine, versions and code, and so may change the last digits.
    differing
        Share of users whose ranks differ, by phase.
    metric, published, again
        Name of the metric, and its value on test data as published and trained again.
    within, measure
        Whether chance explains the difference, and by which measure.
    """

    label: str
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
        if self.equal:
            return f"{self.label}: equal to the bit"
        shares = (f"{share:.1%} of {phase} ranks" for phase, share in self.differing.items())
        figures = f"{self.metric} {self.again:.4f}, published {self.published:.4f}"
        verdict = "within" if self.within else "beyond"
        why = f"; it ran elsewhere: {', '.join(self.elsewhere)}" if self.elsewhere else ""
        return f"{self.label}: {', '.join(shares)} differ; {figures}, {verdict} {self.measure}{why}"


def compare(
    published: StoredExperiment, again: StoredExperiment, seeds: Sequence[StoredExperiment]
) -> Comparison:
    """Compare an experiment that was trained again with its published result.

    ``seeds`` are the published experiments that differ only in the seed, itself included. With at
    least two, the metric agrees where it is in the 95 % prediction interval of one more seed; with
    one, where the 95 % interval of the mean difference over users includes zero.
    """
    request = Request()
    metric = request.main_metric(published.experiment.protocol)

    def per_user(stored: StoredExperiment) -> Nested:
        return Nested.of([metric.per_user(ScoredExperiment(stored, request).ranking())])

    differing = {}
    for phase in PHASES:
        ranks = published.ranks(phase)
        count = users_that_differ(ranks, again.ranks(phase))
        differing[phase] = 1.0 if count is None else count / len(ranks.target)
    first, second = per_user(published), per_user(again)
    if len(seeds) > 1:
        from scipy.stats import t

        means = [per_user(stored).mean for stored in seeds]
        spread = statistics.stdev(means) * (1 + 1 / len(means)) ** 0.5
        half = float(t.ppf(0.975, len(means) - 1)) * spread
        within = abs(second.mean - statistics.fmean(means)) <= half
        measure = f"the spread of {len(means)} seeds (±{half:.4f})"
    else:
        found = Contrast.of(second, first).estimate()
        # Undefined where all users differ by the same amount.
        half = 0.0 if math.isnan(found.low) else (found.high - found.low) / 2
        within = abs(found.difference) <= half
        measure = f"the interval over users (±{half:.4f})"
    return Comparison(
        label=f"{published.experiment.label} ({published.key[:12]})",
        elsewhere=_elsewhere(published, again),
        differing=differing,
        metric=metric.name,
        published=first.mean,
        again=second.mean,
        within=within,
        measure=measure,
    )


def _elsewhere(published: StoredExperiment, again: StoredExperiment) -> list[str]:
    a, b = published.metadata, again.metadata
    found = [name for name in _WHERE if getattr(a, name) != getattr(b, name)]
    found += [name for name in ("torch", "numpy") if a.versions.get(name) != b.versions.get(name)]
    return found + (["code"] if published.experiment.code != again.experiment.code else [])
