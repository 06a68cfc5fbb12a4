"""A finished experiment on disk, read part by part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, StoreError
from bench.plan.experiment import Experiment
from bench.plan.protocol import Phase
from bench.plan.result import Decisions, Ranks

_Table = TypeVar("_Table", Ranks, Decisions)


@dataclass(frozen=True)
class StoredExperiment:
    """A finished experiment; each part is read from disk when it is asked for.

    Attributes
    ----------
    folder
        Where it lies.
    """

    folder: Path

    @cached_property
    def key(self) -> str:
        """The experiment's key when it ran."""
        return str(self._head["key"])

    @cached_property
    def experiment(self) -> Experiment:
        """What ran.

        Raises
        ------
        ConfigError
            It was written by a version of bench with other settings.
        """
        return Experiment.parse(
            self._head["experiment"], f"{self.folder / 'experiment.json'} (delete the folder)"
        )

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Plain metadata of the run, see :class:`bench.plan.result.ExperimentResult`."""
        metadata: dict[str, Any] = _read_json(self.folder / "metadata.json", dict)
        return metadata

    @cached_property
    def curve(self) -> list[dict[str, Any]]:
        """Learning curve, one row an epoch."""
        path = self.folder / "curve.json"
        rows: list[dict[str, Any]] = _read_json(path, list)
        if not all(isinstance(row, dict) for row in rows):
            raise _damaged(path, "a row is no mapping")
        return rows

    @property
    def seconds(self) -> float:
        """Wall seconds of all epochs."""
        return float(sum(row.get("seconds") or 0.0 for row in self.curve))

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
        expected = part in self._head.get("decisions", ())  # older experiments do not say
        return _read_columns(path, Decisions) if expected or path.exists() else None

    @cached_property
    def _head(self) -> dict[str, Any]:
        path = self.folder / "experiment.json"
        head: dict[str, Any] = _read_json(path, dict)
        if not (isinstance(head.get("key"), str) and isinstance(head.get("experiment"), dict)):
            raise _damaged(path, "it describes no experiment")
        return head


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


def _read_json(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    if not isinstance(content, kind):
        raise _damaged(path, f"it holds no {kind.__name__}")
    return content


def _damaged(path: Path, reason: object) -> StoreError:
    return StoreError(f"{path} is missing or damaged ({reason}); delete its folder and run again")


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
