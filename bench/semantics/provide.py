"""From a cell to the text vectors that its method reads."""

from __future__ import annotations

from bench.data.dataset import Dataset
from bench.errors import ConfigError
from bench.runs.cell import Cell
from bench.semantics.vectors import Semantics


def semantics_for(cell: Cell, dataset: Dataset) -> Semantics | None:
    """Give the vectors of a cell's encoder, made now where the cache lacks them.

    Raises
    ------
    ConfigError
        The encoder cannot run here.
    """
    del dataset
    if cell.encoder is None:
        return None
    raise ConfigError(f"encoder '{cell.encoder}' cannot be read yet; leave --encoder out")
