"""Data sets behind a report whose files are available."""

from __future__ import annotations

from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.data.split import Split
from bench.errors import BenchError, DataError
from bench.plan.protocol import SplitRule
from bench.settings import Settings


def load_same(source: str, settings: Settings, name: str, fingerprint: str) -> Dataset:
    """Load the data set of some experiments.

    Parameters
    ----------
    source
        What loads it: its name, or the path of a user's own card.
    settings
        Name the folders of data and cache.
    name, fingerprint
        Of the experiments' data set.

    Raises
    ------
    DataError
        Its files are missing, or have other content.
    """
    dataset = load_dataset(source, settings)
    if dataset.fingerprint != fingerprint:
        raise DataError(
            f"the available data set '{name}' (fingerprint {dataset.fingerprint[:8]}) is not the "
            f"one of the experiments ({fingerprint[:8]}); set BENCH_DATA_DIR to the folder that "
            "holds theirs"
        )
    return dataset


class AvailableData:
    """Loads each data set once, without downloading it; ``problems`` names those it could not."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.problems: list[str] = []
        self._loaded: dict[tuple[str, str], Dataset | None] = {}

    def note(self, problem: str) -> None:
        """Add a sentence on what is not shown, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def get(self, name: str, fingerprint: str, source: str) -> Dataset | None:
        """Return a data set as :func:`load_same` does, None if it cannot."""
        if (name, fingerprint) not in self._loaded:
            self._loaded[name, fingerprint] = None
            try:
                found = load_same(source, self._settings, name, fingerprint)
                self._loaded[name, fingerprint] = found
            except BenchError as error:
                self.note(f"Not shown: what needs the data set itself: {error}")
        return self._loaded[name, fingerprint]

    def split(self, name: str, fingerprint: str, source: str, rule: SplitRule) -> Split | None:
        """Return the split of a data set; parameters and None are those of :meth:`get`."""
        dataset = self.get(name, fingerprint, source)
        return None if dataset is None else Split.of(dataset, rule)
