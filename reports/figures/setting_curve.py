"""Accuracy and denoise ratio against one setting, over experiments that differ in nothing else."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.components import VARIANT_MARK
from bench.evaluate.metrics import Metric, rank_of
from bench.plan.protocol import PHASES, Phase
from bench.reports.differences import differences, nearest, settings_of, variant_names
from bench.reports.results import Reading, ScoredExperiment
from bench.reports.tables.rows import DatasetBlock, Row, Table, Titles, method_label

if TYPE_CHECKING:
    from bench.runs.store import Store

BASE = "none"
"""The bare backbone, against which every method is drawn."""

Identity = tuple[str | None, str, str | None, tuple[tuple[str, str], ...]]
"""Backbone, method, encoder and every setting but the one of the curve."""


@dataclass(frozen=True, eq=False)
class CurvePoint:
    """Figures of experiments that differ in the seed alone.

    Attributes
    ----------
    metric
        Mean over users for each seed, by phase.
    dropped
        Share of the interactions in test-time histories that is dropped, for each seed; empty
        where the method decides nothing.
    """

    metric: Mapping[Phase, Sequence[float]]
    dropped: Sequence[float]


@dataclass(frozen=True, eq=False)
class Curve:
    """One line: points by the value of the setting, ascending."""

    label: str
    points: Mapping[float, CurvePoint]


@dataclass(frozen=True, eq=False)
class CurvePanel:
    """Curves of one data set and backbone.

    Attributes
    ----------
    base
        The bare backbone's figures; None where it has no finished experiment or a curve of its own.
    """

    backbone: str | None
    curves: Sequence[Curve]
    base: CurvePoint | None


def full_key(setting: str) -> str:
    """Give the key of a setting as ``bench run --set`` spells it; a bare one is a method's own.

    Examples
    --------
    >>> full_key("theta"), full_key("training.learning_rate")
    ('method.theta', 'training.learning_rate')
    """
    return setting if "." in setting else f"method.{setting}"


def curve_settings(tables: Sequence[Table], least: int = 3) -> list[str]:
    """Name the settings over which there is a curve of at least ``least`` points."""
    found: set[str] = set()
    for block in (block for table in tables for block in table.blocks):
        settings = [_settings(row) for row in block.rows if row.results]
        found.update(
            key
            for key in differences(settings)
            if any(len(points) >= least for points in _lines(block, key).values())
        )
    return sorted(key.removeprefix("method.") for key in found)


def read_panels(
    store: Store,
    block: DatasetBlock,
    reading: Reading,
    metric: Metric,
    setting: str,
    titles: Titles,
) -> list[CurvePanel]:
    """Read the curves of one data set, a panel a backbone.

    Parameters
    ----------
    store
        Holds the experiments.
    block
        Rows of one data set.
    reading
        How ranks become figures; its phase makes no difference.
    metric
        ReportData for validation and test.
    setting
        See :func:`full_key`; only settings that are numbers have curves.
    titles
        What to print for names.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    lines = {
        identity: points
        for identity, points in _lines(block, full_key(setting)).items()
        if len(points) > 1
    }
    labels = _labels(lines, titles)
    panels = []
    for backbone in dict.fromkeys(identity[0] for identity in lines):
        chosen = {key: lines[key] for key in lines if key[0] == backbone}
        curves = [
            Curve(
                labels[key],
                {at: _point(store, chosen[key][at], reading, metric) for at in sorted(chosen[key])},
            )
            for key in chosen
        ]
        base = _base(block, backbone, list(chosen))
        point = None if base is None else _point(store, base, reading, metric)
        panels.append(CurvePanel(backbone, curves, point))
    return panels


def _settings(row: Row) -> dict[str, str]:
    return settings_of(row.results[0].experiment)


def _lines(block: DatasetBlock, key: str) -> dict[Identity, dict[float, Row]]:
    """Group rows that differ in one setting alone, by its value."""
    lines: dict[Identity, dict[float, Row]] = defaultdict(dict)
    for row in block.rows:
        if not row.results:
            continue
        rest = _settings(row)
        value = _number(rest.pop(key, ""))
        if value is not None:
            backbone, method, encoder = row.identity
            name = _name(method)
            # A default and the variant that says it again are one point; the default stands first.
            lines[backbone, name, encoder, tuple(sorted(rest.items()))].setdefault(value, row)
    return lines


def _name(method: str) -> str:
    """Name what stays the same along a curve: ``hsd`` of ``hsd:theta=1``, a named variant whole."""
    base, _, variant = method.partition(VARIANT_MARK)
    return base if "=" in variant else method


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _labels(lines: Mapping[Identity, Mapping[float, Row]], titles: Titles) -> dict[Identity, str]:
    """Name curves; those of one method by what else tells them apart."""
    groups: dict[tuple[str | None, str, str | None], list[Identity]] = defaultdict(list)
    for identity in lines:
        groups[identity[:3]].append(identity)
    labels = {}
    for (backbone, method, encoder), group in groups.items():
        names = variant_names([dict(rest) for *_, rest in group])
        for identity, name in zip(group, names, strict=True):
            labels[identity] = method_label(Row((backbone, method, encoder), name, ()), titles)
    return labels


def _base(block: DatasetBlock, backbone: str | None, curves: Sequence[Identity]) -> Row | None:
    """Find the bare backbone whose settings are nearest to those of the curves."""
    bare = [row for row in block.rows if row.results and row.identity[:2] == (backbone, BASE)]
    if not bare or any(method == BASE for _, method, *_ in curves):
        return None
    return bare[nearest(dict(curves[0][3]), [_settings(row) for row in bare])]


def _point(store: Store, row: Row, reading: Reading, metric: Metric) -> CurvePoint:
    figures: dict[Phase, list[float]] = {phase: [] for phase in PHASES}
    dropped = []
    for result in row.results:
        for phase, share in _read(store, result, reading, metric).items():
            figures[phase].append(share)
        decisions = store.load(result.experiment.key).decisions("test")
        if decisions is not None:
            dropped.append(float((~decisions.keep).mean()))
    return CurvePoint(figures, dropped)


def _read(
    store: Store, result: ScoredExperiment, reading: Reading, metric: Metric
) -> dict[Phase, float]:
    stored, protocol = store.load(result.experiment.key), result.experiment.protocol
    candidates, ties = reading.candidates_for(protocol), reading.ties_for(protocol)
    return {phase: metric.mean(rank_of(stored.ranks(phase), candidates, ties)) for phase in PHASES}
