"""The card of a method: what its paper and its authors' code say (``card.yaml``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import as_file, files
from typing import Any

from pydantic import Field, model_validator

from bench.components import METHODS, VARIANT_MARK
from bench.config import Config, read_yaml

FILE = "card.yaml"
_METRIC = re.compile(r"(HR|NDCG)@[1-9][0-9]*")


class Paper(Config):
    """Where the method was published."""

    title: str = ""
    url: str = ""
    doi: str = ""


class Code(Config):
    """Repository that the authors published, and the commit that the card speaks of."""

    url: str
    commit: str = ""


class ReportedSettings(Config):
    """Hyper-parameters as the paper and the code give them, by name."""

    paper: dict[str, Any] = Field(default_factory=dict)
    code: dict[str, Any] = Field(default_factory=dict)


class Divergence(Config):
    """One matter in which this implementation, the paper or the authors' code differ.

    Attributes
    ----------
    topic
        What it is about.
    official
        What the paper and the code say, each named.
    here
        What is done here.
    """

    topic: str
    official: str
    here: str


class Published(Config):
    """One row of a published table.

    Attributes
    ----------
    source
        Paper and table.
    dataset, backbone
        Registered names; no backbone for a framework of its own.
    method
        Registered name where the row shows another method or a variant, else None.
    note
        What is odd about the row.
    metrics
        Figures by name, as printed. In the file they are keys like the others:
        ``HR@5: 0.0300``; null where a figure is lost.
    """

    source: str
    dataset: str
    backbone: str | None = None
    method: str | None = None
    note: str = ""
    metrics: dict[str, float | None]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        rest = {key: value for key, value in values.items() if not _is_metric(key)}
        return {"metrics": {key: values[key] for key in values if _is_metric(key)}, **rest}


def _is_metric(key: object) -> bool:
    return isinstance(key, str) and _METRIC.fullmatch(key) is not None


class MethodCard(Config):
    """The card of one method.

    Attributes
    ----------
    citation
        Authors, title, venue and year.
    paper, code
        Where to find them; no code where none was published.
    settings
        Reported hyper-parameters.
    divergences
        Where sources and this implementation differ.
    published
        Reported figures.
    """

    citation: str
    paper: Paper
    code: Code | None = None
    settings: ReportedSettings = ReportedSettings()
    divergences: tuple[Divergence, ...] = ()
    published: tuple[Published, ...] = ()


def find(name: str) -> MethodCard | None:
    """Read the card of a method; a variant shares that of its method. None if there is no card.

    Parameters
    ----------
    name
        Registered name.

    Raises
    ------
    ConfigError
        The method is unknown, or a key or value of the card does not fit.
    """
    base = name.partition(VARIANT_MARK)[0]
    module = METHODS.get(base).config.partition(":")[0]
    try:
        found = files(module.rpartition(".")[0] or module) / FILE
    except TypeError:  # a module that is in no package
        return None
    if not found.is_file():
        return None
    with as_file(found) as path:
        return MethodCard.parse(read_yaml(path), str(path))
