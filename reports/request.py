"""The request behind a report, embedded in it so that it can be rendered again and compared.

Markdown, LaTeX and HTML carry it in one hidden comment; a CSV needs none, because it has a column
with the keys of its experiments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from bench.config import Config
from bench.errors import BenchError, ConfigError
from bench.plan.protocol import Candidates, Part, Phase, Ties
from bench.reports.names import Format, TableName
from bench.reports.results import Reading, Selection
from bench.tuning.records import TrialNumbers

SHORT = 12
"""Digits of a key that name a folder of the store."""
_MARK = "bench-report"
_COMMENT = re.compile(rf"(?:<!--|%) {_MARK} (?P<content>\{{.*\}})(?: -->)?$", re.MULTILINE)


class ReportRequest(Config):
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
    keys: tuple[str, ...]
    datasets: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    phase: Phase
    candidates: Candidates | None = None
    ties: Ties | None = None
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    tables: tuple[TableName, ...] = ()
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
            keys=tuple(key[:SHORT] for key in keys),
            datasets=tuple(selection.datasets),
            backbones=tuple(selection.backbones),
            methods=tuple(selection.methods),
            phase=reading.phase,
            candidates=reading.candidates,
            ties=reading.ties,
            metrics=None if metrics is None else tuple(metric.name for metric in metrics),
            tables=tuple(tables),
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
            A metric is unknown.
        """
        return Reading.named(self.metrics, self.phase, self.candidates, self.ties)

    def comment(self) -> str:
        """Write the request as one line that the format does not show."""
        # Inside JSON's strings only: nothing may end an HTML comment early.
        content = self.model_dump_json().replace("--", "-\\u002d").replace(">", "\\u003e")
        line = f"{_MARK} {content}"
        return f"% {line}\n" if self.format == "latex" else f"<!-- {line} -->\n"


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
        content: dict[str, Any] = json.loads(found[0])
        request = ReportRequest.parse(content, "its content")
        request.reading()
    except (ValueError, RecursionError, BenchError) as error:
        raise ConfigError(
            f"{name}: its hidden comment is damaged ({error}); write it again"
        ) from None
    return request
