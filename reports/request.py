"""What a rendered report was made of, kept in it so that it can be made again and compared.

Markdown, LaTeX and HTML carry one hidden comment; a CSV carries the keys of its experiments in
a column of its own.
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
from bench.reports.names import Format, TableName
from bench.reports.results import Reading, Selection
from bench.tuning.records import TrialNumbers

SHORT = 12
"""Digits of a key that name a folder of the store."""
_MARK = "bench-report"
_COMMENT = re.compile(rf"(?:<!--|%) {_MARK} (?P<content>\{{.*\}})(?: -->)?$", re.MULTILINE)


@dataclass(frozen=True)
class Origin:
    """Everything but the store and the titles that decides a report's text.

    Attributes
    ----------
    format
        Of the text.
    keys
        First digits of the keys of all experiments in it.
    datasets, backbones, methods
        The order of rows.
    phase, candidates, ties, metrics
        How ranks were read; None stands for what each protocol says.
    tables
        Which were asked for.
    trials
        Those that the ledger counts, by study; None where there is no ledger.
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
    trials: TrialNumbers | None = None

    @classmethod
    def of(
        cls,
        fmt: Format,
        keys: Sequence[str],
        selection: Selection,
        reading: Reading,
        tables: Sequence[TableName],
    ) -> Origin:
        """Note what a report is made of."""
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
            trials=selection.trials,
        )

    def selection(self, keys: Sequence[str]) -> Selection:
        """Give the selection that shows the same experiments in the same order.

        Parameters
        ----------
        keys
            Whole keys.
        """
        return Selection(keys, self.datasets, self.backbones, self.methods, self.trials)

    def reading(self) -> Reading:
        """Give the reading of ranks.

        Raises
        ------
        ConfigError
            A word is none that ranks can be read by.
        """
        return reading_of(self.phase, self.candidates, self.ties, self.metrics)

    def comment(self) -> str:
        """Write one line that the format does not show."""
        content = json.dumps(asdict(self), separators=(",", ":"))
        # Inside JSON's strings only: nothing may end an HTML comment early.
        content = content.replace("--", "-\\u002d").replace(">", "\\u003e")
        line = f"{_MARK} {content}"
        return f"% {line}\n" if self.format == "latex" else f"<!-- {line} -->\n"


def reading_of(
    phase: str, candidates: str | None, ties: str | None, metrics: Sequence[str] | None
) -> Reading:
    """Check words that came from a file, and read ranks by them.

    Raises
    ------
    ConfigError
        A word is none that ranks can be read by.
    """
    known: Sequence[tuple[str | None, Sequence[str | None]]] = (
        (phase, PHASES),
        (candidates, (None, *get_args(Candidates))),
        (ties, (None, *get_args(Ties))),
    )
    for word, words in known:
        if word not in words:
            raise ConfigError(f"ranks cannot be read by '{word}'")
    fields: dict[str, Any] = {"phase": phase, "candidates": candidates, "ties": ties}
    parsed = None if metrics is None else tuple(parse_metric(name) for name in metrics)
    return Reading(metrics=parsed, **fields)


def embedded(text: str, name: str) -> Origin:
    """Find what a report was made of.

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
        what = "does not say" if not found else "says several times"
        raise ConfigError(
            f"{name} {what} what it was made of; write it with 'bench report --out', one report a "
            "file"
        )
    try:
        origin = Origin(**json.loads(found[0]))
        origin.reading()
        if origin.format not in get_args(Format):
            raise ValueError(f"format '{origin.format}'")
    except (ValueError, TypeError, BenchError) as error:
        raise ConfigError(
            f"{name}: its hidden comment is damaged ({error}); write it anew"
        ) from None
    return origin
