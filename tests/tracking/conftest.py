"""A tracking database is laid out once for all processes, because MLflow takes seconds to do it."""

import os
import shutil
import socket
import sqlite3
import threading
from contextlib import ExitStack, closing, suppress
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


ANSWERS = {
    "silent": (b"", b"", 1.0),
    "dripping": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" ", 0.2),
    "dripping headers": (b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.2),
    "endless": (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 2**16, 0.0),
}
"""What a server that never comes to an end sends first, and then again and again, with a pause."""


@pytest.fixture
def serve():
    """Serve answers of a kind without end; return the address."""
    over = threading.Event()

    def answer(connection, kind):
        first, rest, pause = ANSWERS[kind]
        with connection, suppress(OSError):
            connection.sendall(first)
            while not over.wait(pause):
                connection.sendall(rest)

    def accept(server, kind):
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=answer, args=(connection, kind), daemon=True).start()

    with ExitStack() as servers:

        def begin(kind):
            server = servers.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=accept, args=(server, kind), daemon=True).start()
            return f"http://127.0.0.1:{server.getsockname()[1]}"

        yield begin
        over.set()
