"""A tracking database is laid out once for all processes, because MLflow takes seconds to do it."""

import os
import shutil
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from bench.files import locked
from bench.settings import Settings
from bench.tracking.sync import sync

os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@pytest.fixture(scope="session")
def empty_database(private_cache):
    root = private_cache / "template"
    database = root / "tracking" / "mlflow.db"
    with locked(private_cache / "template.lock"):
        if not database.exists():
            root.mkdir()
            sync(Settings(store=root, data=root, cache=root))
    return database


@pytest.fixture(autouse=True)
def draw_nothing(monkeypatch):
    """Leave runs without tables and figures, which take seconds."""
    monkeypatch.setattr("bench.tracking.items.draw", lambda root, keys, folder: None)


@pytest.fixture(scope="session")
def lay_out(empty_database):
    """Give a store a laid-out database, without the experiment of another store's artifacts."""

    def copy(store):
        database = store / "tracking" / "mlflow.db"
        database.parent.mkdir(parents=True)
        shutil.copyfile(empty_database, database)
        location = (store / "tracking" / "artifacts").as_uri()
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE experiments SET artifact_location = ?", (location,))
            connection.commit()

    return copy


@pytest.fixture
def settings(tmp_path, lay_out):
    """A store with a laid-out database."""
    lay_out(tmp_path / "store")
    return Settings(store=tmp_path / "store", data=tmp_path / "data", cache=tmp_path / "cache")


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


@pytest.fixture
def silent():
    """Serve without ever answering; return the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # it takes what comes, and is silent
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
