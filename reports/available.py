"""Data sets behind a report whose files are available."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.data.load import load_dataset
from bench.data.split import Split
from bench.errors import BenchError, DataError
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.plan.protocol import SplitRule


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

    def get(self, name: str, fingerprint: str, source: str) -> Dataset | None:
        """Return a data set, None if its files are missing or have other content.

        Parameters
        ----------
        name, fingerprint
            Of the data set of some experiments.
        source
            What loads it: its name, or the path of a user's own card.
        """
        if (name, fingerprint) not in self._loaded:
            dataset = None
            try:
                dataset = load_dataset(source, self._settings)
                if dataset.fingerprint != fingerprint:
                    raise DataError(
                        f"the available data set '{name}' (fingerprint {dataset.fingerprint[:8]}) "
                        f"is not the one of the experiments ({fingerprint[:8]}); set "
                        "BENCH_DATA_DIR to the folder that holds theirs"
                    )
            except BenchError as error:
                self.note(f"Not shown: what needs the data set itself: {error}")
                dataset = None
            self._loaded[name, fingerprint] = dataset
        return self._loaded[name, fingerprint]

    def split(self, name: str, fingerprint: str, source: str, rule: SplitRule) -> Split | None:
        """Return the split of a data set; parameters and None are those of :meth:`get`."""
        dataset = self.get(name, fingerprint, source)
        return None if dataset is None else Split.of(dataset, rule)
