"""Two configurations compared user by user, with every test and by groups of users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import ConfigError
from bench.evaluate.metrics import Metric
from bench.reports.results import Reading, nested_values
from bench.reports.tables.configuration import configuration_label, find_configuration
from bench.reports.tables.grid import MISSING, Grid, TableCell, format_difference, format_p
from bench.reports.tables.rows import describe
from bench.reports.titles import Titles
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment
from bench.statistics.compare import PairedComparison, compare
from bench.statistics.effect import Interval, effect
from bench.statistics.family import ALPHA, holm
from bench.statistics.nested import Contrast, Nested
from bench.statistics.paired import MIN_EFFECTIVE, effective, paired_t
from bench.statistics.slices import COLD_AT_MOST, slices

REGION = 0.05
"""Share of B's mean within which a difference does not matter by default."""
POWER = 0.8


@dataclass(frozen=True)
class Sides:
    """Two configurations on the same users.

    Attributes
    ----------
    first, second
        Experiments of A and of B, one for each seed.
    metrics
        What is compared; the groups of users show only the main metric.
    reading
        How ranks become metrics.
    """

    first: Sequence[StoredExperiment]
    second: Sequence[StoredExperiment]
    metrics: Sequence[Metric]
    reading: Reading

    @classmethod
    def of(cls, store: Store, first: str, second: str, reading: Reading, titles: Titles) -> Sides:
        """Find both sides by :func:`bench.reports.tables.configuration.find_configuration`.

        Raises
        ------
        ConfigError
            A pattern matches no experiment or several configurations, or the two cannot be
            compared.
        """
        one, other = (find_configuration(store, side, titles) for side in (first, second))
        a, b = one[0].experiment, other[0].experiment
        if (a.dataset, a.fingerprint) != (b.dataset, b.fingerprint):
            raise ConfigError(
                f"'{first}' ran on {a.dataset} {a.fingerprint[:8]} and '{second}' on {b.dataset} "
                f"{b.fingerprint[:8]}; users pair up within one data set only"
            )
        if a.protocol.training_part() != b.protocol.training_part():
            raise ConfigError(
                f"'{first}' and '{second}' ran under different protocols; run one of them again"
            )
        return cls(one, other, reading.metrics_for(a.protocol), reading)

    @property
    def main_metric(self) -> Metric:
        """Metric of the groups of users."""
        return self.reading.main_metric(self.first[0].experiment.protocol)


def diff_grids(
    store: Store,
    first: str,
    second: str,
    reading: Reading,
    region: float = REGION,
    titles: Titles | None = None,
) -> list[Grid]:
    """Lay out the comparison of A with B: all users with every test, then groups of users.

    Parameters
    ----------
    store
        Holds the experiments.
    first, second
        Patterns of A and B, see :func:`bench.reports.tables.configuration.find_configuration`.
    reading
        Phase, candidates, tie rule and metrics.
    region
        Half the width of practical equivalence, as a share of B's mean.
    titles
        Printed names, by which A and B may be named.

    Raises
    ------
    ConfigError
        A pattern or the region is wrong.
    StoreError
        An experiment is damaged.
    """
    sides = Sides.of(store, first, second, reading, titles or {})
    if not region > 0:
        raise ConfigError(f"an equivalence region of {region} is empty; give a number above 0")
    one, other = (
        nested_values(experiments, reading, sides.metrics)
        for experiments in (sides.first, sides.second)
    )
    found = [
        compare(one[metric.name], other[metric.name], region=region) for metric in sides.metrics
    ]
    name = sides.main_metric.name
    return [_tests_grid(sides, found, region), _slices_grid(sides, one[name], other[name])]


def _tests_grid(sides: Sides, found: Sequence[PairedComparison], region: float) -> Grid:
    corrected = holm([one.estimate.p for one in found])
    columns = [_quantities(one, p) for one, p in zip(found, corrected, strict=True)]
    rows = [
        [TableCell(label), *(TableCell(column[label]) for column in columns)]
        for label in columns[0]
    ]
    few = [
        metric.name
        for metric, one in zip(sides.metrics, found, strict=True)
        if one.effective < MIN_EFFECTIVE
    ]
    note = f"{', '.join(few)}: few users differ, or a few dominate; trust the sign flips, not t."
    return Grid(
        title=f"A: {_side(sides.first)}; B: {_side(sides.second)}",
        caption=(
            f"{describe(sides.first[0].experiment.protocol, sides.reading)} A minus B with 95% "
            f"intervals; Holm over the columns; detectable with power {POWER}; equivalence within "
            f"{region:.0%} of B's mean."
        ),
        labels=["Quantity"],
        figures=[metric.name for metric in sides.metrics],
        blocks=[rows],
        notes=[note] if few else [],
        anchor="diff",
    )


def _quantities(found: PairedComparison, corrected: float) -> dict[str, str]:
    inside = found.equivalence
    return {
        "Users": f"{found.users:,}",
        "A": f"{found.first:.4f}",
        "B": f"{found.second:.4f}",
        "Difference": format_difference(found.estimate),
        "Relative": _number(100 * found.relative, "+.1f", " %"),
        "d_z": _interval(found.effect.d_z, ".3f"),
        "Effective differences": f"{found.effective:,.0f}",
        "p": format_p(found.estimate.p),
        "p, Holm": format_p(corrected),
        "p, paired t over users": format_p(found.t.p),
        f"p, {found.wilcoxon.test}": format_p(found.wilcoxon.p),
        "p, sign flips": format_p(found.sign_flip.p),
        "p, Welch over seeds": format_p(found.welch.p),
        "Smallest detectable": _number(found.detectable, ".4f"),
        "Equivalence region": f"\N{PLUS-MINUS SIGN}{inside.margin:.4f}" if inside else MISSING,
        "p, equivalence": format_p(inside.p) if inside else MISSING,
        "Verdict": found.verdict(ALPHA, corrected),
    }


def _slices_grid(sides: Sides, first: Nested, second: Nested) -> Grid:
    """Compare within groups of users; the groups are one family."""
    gaps = Contrast.of(first, second).gaps
    groups = list(slices(sides.first[0].ranks(sides.reading.phase)))
    raw = [_slice_p(gaps[group.users]) for group in groups]
    corrected = [raw[0], *holm([1.0 if math.isnan(p) else p for p in raw[1:]])]
    blocks: dict[str, list[list[TableCell]]] = {}
    for group, p, adjusted in zip(groups, raw, corrected, strict=True):
        rows = blocks.setdefault(group.kind, [])
        users = group.users
        texts = (
            "" if rows else group.kind,
            group.name,
            f"{int(users.sum()):,}",
            f"{float(np.mean(first.users[users])):.4f}",
            f"{float(np.mean(second.users[users])):.4f}",
            _interval(effect(gaps[users]).difference, ".4f"),
            format_p(p),
            format_p(math.nan if math.isnan(p) else adjusted),
        )
        rows.append([TableCell(text) for text in texts])
    return Grid(
        title=f"{sides.main_metric.name} by groups of users",
        caption=(
            "Popularity: training interactions of the target, in fifths of the users. Cold: at "
            f"most {COLD_AT_MOST}. p: paired t over users, Holm over the {len(groups) - 1} groups. "
            f"{MISSING}: too few users differ."
        ),
        labels=["Group", "Values"],
        figures=["Users", "A", "B", "A \N{MINUS SIGN} B", "p", "p, Holm"],
        blocks=list(blocks.values()),
        notes=[],
        anchor="diff-slices",
    )


def _slice_p(gaps: np.typing.NDArray[np.float64]) -> float:
    return paired_t(gaps).p if effective(gaps) >= MIN_EFFECTIVE else math.nan


def _side(experiments: Sequence[StoredExperiment]) -> str:
    seeds = ", ".join(str(stored.experiment.seed) for stored in experiments)
    keys = ", ".join(stored.key[:12] for stored in experiments)
    return f"{configuration_label(experiments[0].experiment)} (seeds {seeds}; {keys})"


def _interval(interval: Interval, form: str) -> str:
    if math.isnan(interval.low):
        return _number(interval.value, f"+{form}")
    return f"{interval.value:+{form}} [{interval.low:+{form}}, {interval.high:+{form}}]"


def _number(value: float, form: str, unit: str = "") -> str:
    return MISSING if math.isnan(value) else f"{value:{form}}{unit}"
