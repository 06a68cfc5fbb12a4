"""What a report shows; a rendered report carries its request, so that it can be checked.

Markdown, LaTeX and HTML carry it in one hidden comment; a CSV needs none, because it has a column
with the keys of its experiments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Self, TypedDict

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bench.config import Config
from bench.errors import BenchError, ConfigError
from bench.evaluate.metrics import NDCG, HitRatio, Metric, parse_metric
from bench.plan.data_card import rating_rule
from bench.plan.protocol import Candidates, Part, Phase, Protocol, Ties
from bench.reports.names import Format, TableName
from bench.tuning.records import TrialNumbers

SHORT = 12
"""Digits of a key that name a folder of the store."""
_MARK = "bench-report"
_COMMENT = re.compile(rf"(?:<!--|%) {_MARK} (?P<content>\{{.*\}})(?: -->)?$", re.MULTILINE)


def rated(condition: str, ratings: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which ratings fulfil a condition; an unknown one, NaN, does not.

    Raises
    ------
    ConfigError
        It is not such as ``rating>=4``.

    Examples
    --------
    >>> import numpy as np
    >>> rated("rating >= 4", np.array([3, 4, np.nan])).tolist()
    [False, True, False]
    """
    name, rule = condition[:6], condition[6:]
    try:
        if name != "rating":
            raise ValueError(name)
        held: NDArray[np.bool_] = rating_rule(rule)(ratings)
    except ValueError:
        raise ConfigError(
            f"'{condition}' is not a condition on ratings; write for example 'rating>=4'"
        ) from None
    return held


class Reading(TypedDict, total=False):
    """How stored ranks become metrics: keywords of what the Python interface reads.

    Attributes
    ----------
    metrics
        Names such as ``HR@5``, ``NDCG@10`` and ``MRR``; None is HR and NDCG at the protocol's
        cut-offs.
    phase
        ``test`` or ``validation``.
    candidates, ties
        Which items compete and the rank of equal scores; None is what the protocol says.
    targets
        Only users whose ranked item has such a rating, as ``rating>=4``; None is all.
    """

    metrics: Iterable[str] | None
    phase: Phase
    candidates: Candidates | None
    ties: Ties | None
    targets: str | None


class Request(Config):
    """All that determines a report, except the store and the titles.

    Attributes
    ----------
    format
        Of the text.
    keys
        Keys of the experiments, or their first digits in a rendered report; None selects all.
    datasets, backbones, methods
        Names, in the order of rows; empty selects all.
    phase
        Which held-out item is ranked.
    candidates, ties
        Which items compete, and the rank of equal scores; None takes both from the protocol of
        each experiment.
    metrics
        Columns; None takes HR and NDCG at the cut-offs of each experiment's protocol.
    tables
        None takes :func:`bench.reports.names.default_tables`, or the flat table of a CSV or JSON.
    part
        Interactions that noise detection is measured on.
    noise_is
        Condition on ratings by which interactions count as noise, such as ``rating<3``; None
        takes the noise that was planted or inserted.
    targets
        Condition on the rating of the ranked item, such as ``rating>=4``, that restricts the users
        whose ranks count; None takes all.
    trials
        Numbers of the tuning trials that a ledger counts, by study; None counts all that have
        ended.
    """

    format: Format = "markdown"
    keys: tuple[str, ...] | None = None
    datasets: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    phase: Phase = "test"
    candidates: Candidates | None = None
    ties: Ties | None = None
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    tables: tuple[TableName, ...] | None = None
    part: Part = "train"
    noise_is: str | None = None
    targets: str | None = None
    trials: TrialNumbers | None = None

    @field_validator("metrics", mode="before")
    @classmethod
    def _one_is_a_list(cls, names: object) -> object:
        return [names] if isinstance(names, str) else names

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return names and tuple(dict.fromkeys(parse_metric(name).name for name in names))

    @field_validator("noise_is", "targets")
    @classmethod
    def _a_condition(cls, text: str | None) -> str | None:
        if text is not None:
            rated(text, np.zeros(0))
        return text and text.replace(" ", "")

    def replace(self, **changes: object) -> Self:
        """Return a copy with other values, which are not checked."""
        return self.model_copy(update=changes)

    def admits(self, dataset: str, backbone: str | None, method: str) -> bool:
        """Return whether a data set, backbone and method are selected."""
        pairs = ((self.datasets, dataset), (self.backbones, backbone), (self.methods, method))
        return all(not names or name in names for names, name in pairs)

    def metrics_for(self, protocol: Protocol) -> tuple[Metric, ...]:
        """Return the columns of a table of one protocol."""
        if self.metrics is not None:
            return tuple(map(parse_metric, self.metrics))
        return tuple(kind(k) for kind in (HitRatio, NDCG) for k in protocol.cutoffs)

    def main_metric(self, protocol: Protocol) -> Metric:
        """Return the metric of figures and single-metric tables: NDCG@10, or else the first."""
        metrics = self.metrics_for(protocol)
        return NDCG(10) if NDCG(10) in metrics else metrics[0]

    def candidates_for(self, protocol: Protocol) -> Candidates:
        """Return which items compete."""
        return self.candidates or protocol.candidates

    def ties_for(self, protocol: Protocol) -> Ties:
        """Return how equal scores are ranked."""
        return self.ties or protocol.ties

    def comment(self, keys: Sequence[str]) -> str:
        """Write the request, for these experiments, as one line that the format does not show."""
        # Inside JSON's strings only: nothing may end an HTML comment early.
        content = self.replace(keys=tuple(key[:SHORT] for key in keys)).model_dump_json()
        line = f"{_MARK} {content}".replace("--", "-\\u002d").replace(">", "\\u003e")
        return f"% {line}\n" if self.format == "latex" else f"<!-- {line} -->\n"


def embedded_request(text: str, name: str) -> Request:
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
        return Request.parse(json.loads(found[0]), "its content")
    except (ValueError, RecursionError, BenchError) as error:
        raise ConfigError(
            f"{name}: its hidden comment is damaged ({error}); write it again"
        ) from None
