"""What there is to deliver: runs, experiments, studies and trials of a store as plain data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["run", "experiment", "study", "trial"]
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
Name = tuple[str, str]
"""Kind and key: what one MLflow run stands for."""


@dataclass(frozen=True)
class Point:
    """One value of a metric.

    Attributes
    ----------
    name
        In MLflow's alphabet; see :func:`metric_name`.
    step
        Epoch or trial.
    when
        Seconds since 1970.
    """

    name: str
    value: float
    step: int
    when: float


@dataclass(frozen=True)
class Item:
    """One MLflow run to be.

    Attributes
    ----------
    title
        What it is called.
    status
        How far it is.
    begun, ended
        Seconds since 1970.
    params, tags
        Texts by name.
    points
        Metrics.
    write
        Writes its files into a folder.
    """

    title: str
    status: Status
    begun: float
    ended: float | None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    write: Callable[[Path], None] = lambda _: None


@dataclass(frozen=True)
class Outline:
    """What is known of an item without reading it whole.

    Attributes
    ----------
    kind, key
        What it stands for.
    digest
        Changes when there is more to deliver.
    parent
        Kind and key of the run or study that it belongs to.
    load
        Reads the rest.
    """

    kind: Kind
    key: str
    digest: str
    parent: Name | None
    load: Callable[[], Item]

    @property
    def name(self) -> Name:
        """Kind and key."""
        return self.kind, self.key


def metric_name(name: str) -> str:
    """Write a name in MLflow's alphabet.

    Examples
    --------
    >>> metric_name("test/NDCG@10")
    'test/NDCG_10'
    """
    return re.sub(r"[^\w./ -]", "_", name)


def flatten(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Give the leaves of nested mappings by dotted names.

    Examples
    --------
    >>> dict(flatten("", {"a": 1, "b": {"c": 2}}))
    {'a': 1, 'b.c': 2}
    """
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from flatten(f"{prefix}.{key}" if prefix else str(key), entry)
    else:
        yield prefix, value


def is_number(value: Any) -> bool:
    """Whether a value can be a metric."""
    return isinstance(value, int | float) and not isinstance(value, bool)
