"""Data sets behind a report whose files are available."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bench.data.load import load_dataset
from bench.errors import BenchError, DataError
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.data.dataset import Dataset


class Sourced(Protocol):
    """What names a data set, its content and what loads it."""

    @property
    def dataset(self) -> str:
        """Name."""

    @property
    def fingerprint(self) -> str:
        """Hash of its content."""

    @property
    def source(self) -> str:
        """Its name, or the path of a user's own card."""


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

    def note(self, problem: str) -> None:
        """Add a sentence on what is not shown, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def get(self, wanted: Sourced) -> Dataset | None:
        """Return a data set, None if its files are missing or have other content."""
        key = (wanted.dataset, wanted.fingerprint)
        if key not in self._loaded:
            try:
                self._loaded[key] = _load(wanted, self._settings)
            except BenchError as error:
                self.note(f"Not shown: what needs the data set itself: {error}")
                self._loaded[key] = None
        return self._loaded[key]


def _load(wanted: Sourced, settings: Settings) -> Dataset:
    dataset = load_dataset(wanted.source, settings)
    if dataset.fingerprint != wanted.fingerprint:
        raise DataError(
            f"the available data set '{wanted.dataset}' (fingerprint {dataset.fingerprint[:8]}) is "
            f"not the one of the experiments ({wanted.fingerprint[:8]}); set BENCH_DATA_DIR to the "
            "folder that holds theirs"
        )
    return dataset
