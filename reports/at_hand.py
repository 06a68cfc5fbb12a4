"""The data sets behind a report, where their files are at hand: counts and names of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.data.load import load_dataset
from bench.errors import BenchError, DataError
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.reports.tables import Block


class AtHand:
    """Reads each data set once and remembers why one cannot be shown; downloads nothing.

    Attributes
    ----------
    problems
        One sentence a data set that could not be read.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._read: dict[tuple[str, str], Dataset | None] = {}

    def get(self, block: Block) -> Dataset | None:
        """Give the data set of a block; None where its files are missing or hold other content."""
        key = (block.dataset, block.fingerprint)
        if key not in self._read:
            try:
                self._read[key] = _load(block)
            except BenchError as error:
                self.problems.append(f"Not shown: counts and item names: {error}")
                self._read[key] = None
        return self._read[key]


def _load(block: Block) -> Dataset:
    dataset = load_dataset(block.source, Settings.from_environment())
    if dataset.fingerprint != block.fingerprint:
        raise DataError(
            f"data set '{block.dataset}' at hand (fingerprint {dataset.fingerprint[:8]}) is not "
            f"the experiments' ({block.fingerprint[:8]}); set BENCH_DATA_DIR to the "
            "folder that holds theirs"
        )
    return dataset
