"""Studies in memory."""

from collections import defaultdict
from contextlib import contextmanager

import pytest
from fake_trials import run
from optuna.storages import InMemoryStorage

from bench.tuning import search, storage


@contextmanager
def storages_in_memory():
    """Keep studies in memory, with an empty file where their storage would be."""
    kept = defaultdict(InMemoryStorage)

    def opened(url):
        path = storage.file_of(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return kept[url]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "open_storage", opened)
        patch.setattr(search, "open_storage", opened)
        yield


@pytest.fixture
def in_memory():
    with storages_in_memory():
        yield


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return the trials of one study that nothing disturbed; the last two are TPE's, not random."""
    with storages_in_memory():
        [trials], _ = run(tmp_path_factory.mktemp("whole"), trials=12)
    return trials
