"""Storages that do not wait for the disk: these tests lose no power."""

from collections import defaultdict

import pytest
from optuna.storages import InMemoryStorage
from sqlalchemy import event
from sqlalchemy.engine import Engine

from bench.tuning import search, storage


@pytest.fixture(scope="session", autouse=True)
def fast_sqlite():
    def relax(connection, _):
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


@pytest.fixture
def in_memory(monkeypatch):
    """Keep studies in memory, with an empty file where their storage would be."""
    kept = defaultdict(InMemoryStorage)

    def opened(url):
        path = storage.file_of(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return kept[url]

    monkeypatch.setattr(storage, "open_storage", opened)
    monkeypatch.setattr(search, "open_storage", opened)
