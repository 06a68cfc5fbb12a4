"""A finished cell on disk, read part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Phase
from bench.errors import BenchError, StoreError
from bench.files import read_json
from bench.runs.cell import Cell
from bench.runs.result import Ranks, ReadOut


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
        return dict(read_json(self.folder / "facts.json"))

    @cached_property
    def curve(self) -> list[dict[str, Any]]:
        """Learning curve, one row an epoch."""
        return list(read_json(self.folder / "curve.json"))

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
        return Ranks(**_read_columns(self.folder / f"ranks-{phase}.parquet"))

    def read_out(self, part: str) -> ReadOut | None:
        """Read what the method thinks of each interaction; None where it removes nothing.

        Parameters
        ----------
        part
            ``train`` or ``test``.
        """
        path = self.folder / f"readout-{part}.parquet"
        return ReadOut(**_read_columns(path)) if path.exists() else None

    @cached_property
    def _head(self) -> dict[str, Any]:
        path = self.folder / "cell.json"
        head = read_json(path)
        if not (isinstance(head, dict) and {"key", "cell"} <= head.keys()):
            raise StoreError(f"{path} describes no cell; delete its folder and run again")
        return head


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write equally long arrays as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(dict(columns)), path, compression="zstd")


def _read_columns(path: Path) -> dict[str, NDArray[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{path} is missing or damaged ({error}); delete its folder and run again"
        ) from error
    return {
        name: np.asarray(column.to_numpy())
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def readable(cells: Iterable[StoredCell]) -> Iterator[StoredCell]:
    """Leave out cells that another version of bench wrote with other settings."""
    for stored in cells:
        try:
            _ = stored.cell
        except BenchError:
            continue
        yield stored
