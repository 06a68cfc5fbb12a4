"""Data sets behind a report whose files are available."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.data.load import load_dataset
from bench.errors import BenchError, DataError
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.reports.tables.rows import DatasetBlock


class AvailableData:
    """Loads each data set once, without downloading it.

    Parameters
    ----------
    settings
        Name the folders of data and cache.

    Attributes
    ----------
    problems
        One sentence for each data set that could not be loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.problems: list[str] = []
        self._loaded: dict[tuple[str, str], Dataset | None] = {}

    def get(self, block: DatasetBlock) -> Dataset | None:
        """Return the data set of a block, None if its files are missing or have other content."""
        key = (block.dataset, block.fingerprint)
        if key not in self._loaded:
            try:
                self._loaded[key] = _load(block, self._settings)
            except BenchError as error:
                self.problems.append(f"Not shown: what needs the data set itself: {error}")
                self._loaded[key] = None
        return self._loaded[key]


def _load(block: DatasetBlock, settings: Settings) -> Dataset:
    dataset = load_dataset(block.source, settings)
    if dataset.fingerprint != block.fingerprint:
        raise DataError(
            f"the available data set '{block.dataset}' (fingerprint {dataset.fingerprint[:8]}) is "
            f"not the one of the experiments ({block.fingerprint[:8]}); set BENCH_DATA_DIR to the "
            "folder that holds theirs"
        )
    return dataset
