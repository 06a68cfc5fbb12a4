"""Two configurations compared user by user, with every test and by groups of users."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from itertools import groupby, starmap
from pathlib import Path

import numpy as np

from bench.errors import ConfigError
from bench.plan.experiment import Experiment
from bench.plan.result import Ranks
from bench.reports.available import AvailableData
from bench.reports.request import Request
from bench.reports.results import ScoredExperiment, nested_values, restricted
from bench.reports.tables.configuration import find_configuration
from bench.reports.tables.grid import (
    MISSING,
    Grid,
    block_of,
    format_difference,
    format_interval,
    format_number,
    format_p,
)
from bench.reports.tables.rows import describe
from bench.reports.titles import Titles
from bench.runs.store import Store
from bench.settings import Settings
from bench.statistics.compare import PairedComparison, compare
from bench.statistics.family import ALPHA, CorrectedTest, assess_family, holm
from bench.statistics.nested import Contrast, Nested
from bench.statistics.paired import POWER
from bench.statistics.slices import COLD_AT_MOST, Slice, slices

Side = Sequence[ScoredExperiment]
"""One configuration, a seed each."""


def diff_grids(
    where: Settings | Path,
    first: str,
    second: str,
    request: Request,
    region: float = 0.05,
    titles: Titles | None = None,
) -> list[Grid]:
    """Lay out the comparison of A with B: all users with every test, then groups of users.

    Parameters
    ----------
    where
        Name the store and the folders of data and cache; or the folder of a store alone.
    first, second
        Patterns of A and B, see :func:`bench.reports.tables.configuration.find_configuration`.
    request
        Phase, candidates, tie rule and metrics.
    region
        Half the width of practical equivalence, as a share of B's mean.
    titles
        Printed names, by which A and B may be named.

    Raises
    ------
    ConfigError
        A pattern or the region is wrong, or the two cannot be compared.
    StoreError
        An experiment is damaged.
    """
    settings = Settings.of(where)
    store, available, problems = Store(settings.store), AvailableData(settings), list[str]()
    chosen = (find_configuration(store, side, titles or {}) for side in (first, second))
    one, other = (
        list(restricted((ScoredExperiment(s, request) for s in side), request, available, problems))
        for side in chosen
    )
    if problems := [*problems, *available.problems]:
        raise ConfigError(problems[0].removeprefix("Not shown: "))
    _check_comparable(one[0].experiment, other[0].experiment, first, second)
    if not region > 0:
        raise ConfigError(f"an equivalence region of {region} is empty; give a number above 0")
    protocol = one[0].experiment.protocol
    a, b = (nested_values(side, request.metrics_for(protocol)) for side in (one, other))
    found = {name: compare(a[name], b[name], region=region) for name in a}
    main, caption = request.main_metric(protocol).name, describe(protocol, request)
    tests, ranks = _tests_grid(one, other, caption, found, region), one[0].ranks()
    if len(ranks.target) != len(a[main].users):
        return [tests]  # users with several targets are in several groups
    return [tests, _slices_grid(ranks, main, a[main], b[main])]


def _check_comparable(a: Experiment, b: Experiment, first: str, second: str) -> None:
    if (a.dataset, a.fingerprint) != (b.dataset, b.fingerprint):
        raise ConfigError(
            f"'{first}' ran on {a.dataset} {a.fingerprint[:8]} and '{second}' on {b.dataset} "
            f"{b.fingerprint[:8]}; users pair up within one data set only"
        )
    if a.protocol.training_part() != b.protocol.training_part():
        raise ConfigError(
            f"'{first}' and '{second}' ran under different protocols; run one of them again"
        )


def _tests_grid(
    one: Side, other: Side, caption: str, found: Mapping[str, PairedComparison], region: float
) -> Grid:
    corrected = holm([test.p for test in found.values()])
    columns = [_quantities(test, p) for test, p in zip(found.values(), corrected, strict=True)]
    few = [name for name, test in found.items() if not test.tested]
    note = f"{', '.join(few)}: few users differ, or a few dominate; trust the sign flips, not t."
    return Grid(
        title=f"A: {_side(one)}; B: {_side(other)}",
        caption=(
            f"{caption} A minus B with 95% intervals; Holm over the columns; detectable with power "
            f"{POWER}; equivalence within {region:.0%} of B's mean."
        ),
        labels=["Quantity"],
        figures=list(found),
        blocks=[block_of([label, *(c[label] for c in columns)] for label in columns[0])],
        notes=[note] if few else [],
        anchor="diff",
    )


def _quantities(found: PairedComparison, corrected: float) -> dict[str, str]:
    inside = found.equivalence
    relative = format_number(100 * found.relative, "+.1f")
    return {
        "Users": f"{found.users:,}",
        "A": f"{found.first:.4f}",
        "B": f"{found.second:.4f}",
        "Difference": format_difference(found.estimate),
        "Relative": relative if relative == MISSING else f"{relative} %",
        "d_z": format_interval(*astuple(found.d_z), form="+.3f"),
        "Effective differences": f"{found.effective:,.0f}",
        "p": format_p(found.estimate.p),
        "p, Holm": format_p(corrected if found.tested else math.nan),
        "p, paired t over users": format_p(found.t),
        "p, Wilcoxon (Pratt)": format_p(found.wilcoxon),
        "p, sign flips": format_p(found.sign_flip),
        "p, Welch over seeds": format_p(found.welch),
        "Smallest detectable": format_number(found.detectable, ".4f"),
        "Equivalence region": f"\N{PLUS-MINUS SIGN}{inside.margin:.4f}" if inside else MISSING,
        "p, equivalence": format_p(inside.p) if inside else MISSING,
        "Verdict": found.verdict(ALPHA, corrected),
    }


def _slices_grid(ranks: Ranks, metric: str, first: Nested, second: Nested) -> Grid:
    """Compare within groups of users; the groups are one family."""
    gaps = Contrast.of(first, second).gaps
    everyone, *groups = ((group, Contrast(gaps[group.users])) for group in slices(ranks))
    tests = {**assess_family([everyone]), **assess_family(groups)}

    def line(group: Slice, test: CorrectedTest) -> list[str]:
        users = group.users
        return [
            group.kind,
            group.name,
            f"{int(users.sum()):,}",
            f"{float(np.mean(first.users[users])):.4f}",
            f"{float(np.mean(second.users[users])):.4f}",
            format_difference(test),
            *(format_p(p if test.tested else math.nan) for p in (test.p, test.adjusted)),
        ]

    kinds = groupby(tests.items(), key=lambda entry: entry[0].kind)
    return Grid(
        title=f"{metric} by groups of users",
        caption=(
            "Popularity: training interactions of the target, in fifths of the users. Cold: at "
            f"most {COLD_AT_MOST}. Intervals and p: paired t over users, Holm over the "
            f"{len(groups)} groups. {MISSING}: too few users differ."
        ),
        labels=["Group", "Values"],
        figures=["Users", "A", "B", "A \N{MINUS SIGN} B", "p", "p, Holm"],
        blocks=[block_of(starmap(line, part)) for _, part in kinds],
        notes=[],
        anchor="diff-slices",
    )


def _side(side: Side) -> str:
    seeds = ", ".join(str(result.experiment.seed) for result in side)
    keys = ", ".join(result.key[:12] for result in side)
    return f"{side[0].experiment.configuration} (seeds {seeds}; {keys})"
