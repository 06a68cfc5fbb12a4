"""The request behind a report, embedded in it so that it can be rendered again and compared.

Markdown, LaTeX and HTML carry it in one hidden comment; a CSV needs none, because it has a column
with the keys of its experiments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from bench.errors import BenchError, ConfigError
from bench.evaluate.metrics import parse_metric
from bench.plan.protocol import PHASES, Candidates, Ties
from bench.reports.names import Format, Part, TableName
from bench.reports.results import Reading, Selection
from bench.tuning.records import TrialNumbers

SHORT = 12
"""Digits of a key that name a folder of the store."""
_MARK = "bench-report"
_COMMENT = re.compile(rf"(?:<!--|%) {_MARK} (?P<content>\{{.*\}})(?: -->)?$", re.MULTILINE)


@dataclass(frozen=True)
class ReportRequest:
    """All that determines the text of a report, except the store and the titles.

    Attributes
    ----------
    format
        Of the text.
    keys
        First digits of the keys of all experiments in it.
    datasets, backbones, methods
        The order of rows.
    phase, candidates, ties, metrics
        See :class:`bench.reports.results.Reading`.
    tables
        Names of the requested tables.
    part
        Interactions that noise detection is measured on.
    trials
        Numbers of the trials that the ledger counts, by study; None without a ledger.
    """

    format: Format
    keys: Sequence[str]
    datasets: Sequence[str]
    backbones: Sequence[str]
    methods: Sequence[str]
    phase: str
    candidates: str | None
    ties: str | None
    metrics: Sequence[str] | None
    tables: Sequence[TableName]
    part: Part = "train"
    trials: TrialNumbers | None = None

    @classmethod
    def of(
        cls,
        fmt: Format,
        keys: Sequence[str],
        selection: Selection,
        reading: Reading,
        tables: Sequence[TableName],
        part: Part = "train",
    ) -> ReportRequest:
        """Describe a report that is being rendered."""
        metrics = reading.metrics
        return cls(
            format=fmt,
            keys=[key[:SHORT] for key in keys],
            datasets=list(selection.datasets),
            backbones=list(selection.backbones),
            methods=list(selection.methods),
            phase=reading.phase,
            candidates=reading.candidates,
            ties=reading.ties,
            metrics=None if metrics is None else [metric.name for metric in metrics],
            tables=list(tables),
            part=part,
            trials=selection.trials,
        )

    def selection(self, keys: Sequence[str]) -> Selection:
        """Return the selection of the same experiments in the same order, by their full keys."""
        return Selection(keys, self.datasets, self.backbones, self.methods, self.trials)

    def reading(self) -> Reading:
        """Return how ranks become metrics.

        Raises
        ------
        ConfigError
            A value is unknown.
        """
        return parse_reading(self.phase, self.candidates, self.ties, self.metrics)

    def comment(self) -> str:
        """Write the request as one line that the format does not show."""
        content = json.dumps(asdict(self), separators=(",", ":"))
        # Inside JSON's strings only: nothing may end an HTML comment early.
        content = content.replace("--", "-\\u002d").replace(">", "\\u003e")
        line = f"{_MARK} {content}"
        return f"% {line}\n" if self.format == "latex" else f"<!-- {line} -->\n"


def parse_reading(
    phase: str, candidates: str | None, ties: str | None, metrics: Sequence[str] | None
) -> Reading:
    """Check values that come from a file.

    Raises
    ------
    ConfigError
        A value is unknown.
    """
    known: Sequence[tuple[str, str | None, Sequence[str | None]]] = (
        ("phase", phase, PHASES),
        ("candidates", candidates, (None, *get_args(Candidates))),
        ("ties", ties, (None, *get_args(Ties))),
    )
    for name, value, values in known:
        if value not in values:
            raise ConfigError(f"unknown {name} '{value}'")
    fields: dict[str, Any] = {"phase": phase, "candidates": candidates, "ties": ties}
    parsed = None if metrics is None else tuple(parse_metric(name) for name in metrics)
    return Reading(metrics=parsed, **fields)


def embedded_request(text: str, name: str) -> ReportRequest:
    """Find the request that a report carries.

    Parameters
    ----------
    text
        The report.
    name
        What it is called in messages.

    Raises
    ------
    ConfigError
        There is no comment, several, or it is damaged.
    """
    found = _COMMENT.findall(text)
    if len(found) != 1:
        what = "has no hidden comment" if not found else "has several hidden comments"
        raise ConfigError(
            f"{name} {what} of 'bench report'; write it with 'bench report --out', one report per "
            "file"
        )
    try:
        request = ReportRequest(**json.loads(found[0]))
        request.reading()
        if request.format not in get_args(Format):
            raise ValueError(f"format '{request.format}'")
    except (ValueError, TypeError, BenchError) as error:
        raise ConfigError(
            f"{name}: its hidden comment is damaged ({error}); write it anew"
        ) from None
    return request
