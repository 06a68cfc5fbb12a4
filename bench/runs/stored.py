"""A finished cell on disk, read part by part."""

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

from bench.data.dataset import Phase
from bench.errors import BenchError, StoreError
from bench.runs.cell import Cell
from bench.runs.result import Ranks, ReadOut

_Table = TypeVar("_Table", Ranks, ReadOut)


@dataclass(frozen=True)
class StoredCell:
    """A finished cell; each part is read from disk when it is asked for.

    Attributes
    ----------
    folder
        Where it lies.
    """

    folder: Path

    @cached_property
    def key(self) -> str:
        """The cell's key when it ran."""
        return str(self._head["key"])

    @cached_property
    def cell(self) -> Cell:
        """What ran.

        Raises
        ------
        ConfigError
            It was written by a version of bench with other settings.
        """
        return Cell.parse(self._head["cell"], f"{self.folder / 'cell.json'} (delete the folder)")

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Plain facts of the run, see :class:`bench.runs.result.CellResult`."""
        facts: dict[str, Any] = _read_json(self.folder / "facts.json", dict)
        return facts

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

    def read_out(self, part: str) -> ReadOut | None:
        """Read what the method thinks of each interaction; None where it removes nothing.

        Parameters
        ----------
        part
            ``train`` or ``test``.

        Raises
        ------
        StoreError
            The file is damaged, or gone although the cell had one.
        """
        path = self.folder / f"readout-{part}.parquet"
        expected = part in self._head.get("read_outs", ())  # older cells do not say
        return _read_columns(path, ReadOut) if expected or path.exists() else None

    @cached_property
    def _head(self) -> dict[str, Any]:
        path = self.folder / "cell.json"
        head: dict[str, Any] = _read_json(path, dict)
        if not (isinstance(head.get("key"), str) and isinstance(head.get("cell"), dict)):
            raise _damaged(path, "it describes no cell")
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


def whole(cells: Iterable[StoredCell]) -> Iterator[StoredCell]:
    """Leave out folders that do not say which cell they hold."""
    return _that_tell(cells, attrgetter("key"))


def readable(cells: Iterable[StoredCell]) -> Iterator[StoredCell]:
    """Leave out cells that are damaged, or that another version wrote with other settings."""
    return _that_tell(cells, attrgetter("cell"))


def _that_tell(
    cells: Iterable[StoredCell], read: Callable[[StoredCell], object]
) -> Iterator[StoredCell]:
    for stored in cells:
        try:
            read(stored)
        except BenchError:
            continue
        yield stored
