"""A tracking database is made once: MLflow takes seconds to lay out its tables."""

import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from bench.settings import Settings
from bench.tracking.sync import sync

os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    root = tmp_path_factory.mktemp("template")
    sync(Settings(store=root, data=root, cache=root))
    return root / "tracking" / "mlflow.db"


@pytest.fixture(autouse=True)
def draw_nothing(monkeypatch):
    """Leave runs without tables and figures, which take seconds."""
    monkeypatch.setattr("bench.tracking.items.draw", lambda root, keys, folder: None)


@pytest.fixture
def settings(tmp_path, empty_database):
    """A store with a laid-out database, without the experiment of another store's artifacts."""
    store = tmp_path / "store"
    (store / "tracking").mkdir(parents=True)
    database = store / "tracking" / "mlflow.db"
    shutil.copyfile(empty_database, database)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (_artifacts(store),))
    connection.close()
    return Settings(store=store, data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture
def full(settings):
    """The same, with two finished experiments and a failed one of one run, and a study."""
    from full_store import fill

    fill(settings.store)
    return settings


@pytest.fixture
def at(settings):
    """The settings with another address of MLflow."""
    return lambda uri, **changes: replace(settings, tracking_uri=uri, **changes)


def _artifacts(store: Path) -> str:
    return (store / "tracking" / "artifacts").as_uri()
