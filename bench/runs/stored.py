"""A finished experiment on disk, read part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, RootModel

from bench.errors import BenchError, StoreError
from bench.files import read_model
from bench.plan.experiment import Experiment
from bench.plan.protocol import Phase
from bench.plan.result import Decisions, Epoch, Metadata, Ranks, TopLists

WEIGHTS, LISTS = "weights.safetensors", "lists-test.parquet"
_Table = TypeVar("_Table", Ranks, Decisions, TopLists)
_REMEDY = "delete its folder and run again"


class _Head(BaseModel):
    """Content of ``experiment.json``."""

    key: str
    finished: float
    experiment: dict[str, Any]
    decisions: list[str]


class _Curve(RootModel[list[Epoch]]):
    """Content of ``curve.json``."""


@dataclass(frozen=True)
class StoredExperiment:
    """A finished experiment; each part is read from disk when it is asked for.

    Attributes
    ----------
    folder
        Of its files.
    """

    folder: Path

    @cached_property
    def key(self) -> str:
        """The experiment's key when it ran."""
        return self._head.key

    @cached_property
    def experiment(self) -> Experiment:
        """What ran.

        Raises
        ------
        ConfigError
            It was written by a version of bench with other settings.
        """
        return Experiment.parse(
            self._head.experiment, f"{self.folder / 'experiment.json'} (delete the folder)"
        )

    @property
    def finished(self) -> float:
        """Seconds since 1970 of its end."""
        return self._head.finished

    @cached_property
    def metadata(self) -> Metadata:
        """Costs, versions and diagnostics.

        Raises
        ------
        StoreError
            The file is damaged.
        """
        return read_model(self.folder / "metadata.json", Metadata, _REMEDY)

    @cached_property
    def curve(self) -> list[Epoch]:
        """Learning curve, one row an epoch.

        Raises
        ------
        StoreError
            The file is damaged.
        """
        return read_model(self.folder / "curve.json", _Curve, _REMEDY).root

    @property
    def seconds(self) -> float:
        """Wall seconds of all epochs."""
        return sum(row.seconds for row in self.curve)

    @property
    def weights(self) -> Path | None:
        """File with the weights of the best epoch; None where they were not kept."""
        path = self.folder / WEIGHTS
        return path if path.exists() else None

    @property
    def lists(self) -> TopLists | None:
        """Top items of every user; None where they were not kept.

        Raises
        ------
        StoreError
            The file is damaged.
        """
        path = self.folder / LISTS
        return _read_columns(path, TopLists) if path.exists() else None

    def ranks(self, phase: Phase) -> Ranks:
        """Every user's ranks of one phase.

        Raises
        ------
        StoreError
            The file is damaged.
        """
        return _read_columns(self.folder / f"ranks-{phase}.parquet", Ranks)

    def decisions(self, part: str) -> Decisions | None:
        """Read what the method thinks of each interaction; None where it removes nothing.

        Parameters
        ----------
        part
            ``train`` or ``test``.

        Raises
        ------
        StoreError
            The file is damaged, or gone although the experiment had one.
        """
        path = self.folder / f"decisions-{part}.parquet"
        return _read_columns(path, Decisions) if part in self._head.decisions else None

    @cached_property
    def _head(self) -> _Head:
        return read_model(self.folder / "experiment.json", _Head, _REMEDY)


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write equally long arrays as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(dict(columns)), path, compression="zstd")


def _read_columns(path: Path, kind: type[_Table]) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    columns = {
        name: np.asarray(column.to_numpy())
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    wanted = {field.name for field in fields(kind)}
    if columns.keys() != wanted:
        raise _damaged(path, f"its columns are not {', '.join(sorted(wanted))}")
    if any(table[name].null_count or columns[name].dtype.kind not in "bif" for name in wanted):
        raise _damaged(path, "a column holds other than numbers")
    return kind(**columns)


def _damaged(path: Path, reason: object) -> StoreError:
    return StoreError(f"{path} is missing or damaged ({reason}); {_REMEDY}")


def whole(experiments: Iterable[StoredExperiment]) -> Iterator[StoredExperiment]:
    """Leave out folders that do not say which experiment they hold."""
    return _that_tell(experiments, attrgetter("key"))


def readable(experiments: Iterable[StoredExperiment]) -> Iterator[StoredExperiment]:
    """Leave out experiments that are damaged, or that another version wrote with other settings."""
    return _that_tell(experiments, attrgetter("experiment"))


def _that_tell(
    experiments: Iterable[StoredExperiment], read: Callable[[StoredExperiment], object]
) -> Iterator[StoredExperiment]:
    for stored in experiments:
        try:
            read(stored)
        except BenchError:
            continue
        yield stored
