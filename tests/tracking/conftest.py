"""A tracking database is made once: MLflow takes seconds to lay out its tables."""

import os
import shutil
from pathlib import Path

import pytest

from bench.tracking.sync import set_limits
from bench.tracking.where import destination

set_limits(seconds=5, retries=0)
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    from bench.tracking.deliver import Tracker

    where = destination(tmp_path_factory.mktemp("template"))
    Tracker(where)
    return Path(where.uri.removeprefix("sqlite:///"))


@pytest.fixture
def root(tmp_path, empty_database, monkeypatch):
    """A store with a laid-out database, without the experiment of another store's artifacts."""
    import sqlite3

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    store = tmp_path / "store"
    (store / "tracking").mkdir(parents=True)
    database = store / "tracking" / "mlflow.db"
    shutil.copyfile(empty_database, database)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (_artifacts(store),))
    connection.close()
    return store


def _artifacts(store: Path) -> str:
    return (store / "tracking" / "artifacts").as_uri()
