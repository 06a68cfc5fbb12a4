"""Addresses: what is on this machine, what is shown of them, where artifacts may go."""

import pytest

from bench.errors import ConfigError
from bench.settings import APPLICATION, Settings, is_local, masked
from bench.tracking.destination import Destination, destination


def at(tmp_path, uri, offline=False):
    folders = {"store": tmp_path / "store", "data": tmp_path, "cache": tmp_path}
    return Settings(**folders, tracking_uri=uri, offline=offline)


LOCAL = (
    *("sqlite:///x.db", "sqlite:////tmp/x.db", "./mlruns", "/tmp/mlruns", "file:///tmp/mlruns"),
    *("http://localhost:5000", "http://127.0.0.1:5000", "https://127.9.9.9", "http://[::1]:5000"),
    *(
        "file://localhost/srv/mlruns",
        "postgresql://me@localhost/db",
        "mysql+pymysql://127.0.0.1/db",
    ),
)
REMOTE = (
    *("http://example.org", "http://127.0.0.1.example.org", "http://127.0.0.1@example.org"),
    *("postgresql://db/x", "postgresql:///x", "postgresql://localhost/x?host=db", "databricks"),
    *("databricks://profile", "databricks-uc", "s3://bucket/x", "file://server/share"),
    *("http://[::1", "http://", "plugin://localhost", "sqlite://server/x.db", "//server/share"),
)


@pytest.mark.parametrize("uri", LOCAL)
def test_what_is_on_this_machine_may_be_reached_offline(tmp_path, uri):
    assert is_local(uri)
    assert destination(at(tmp_path, uri, offline=True)).uri == uri


@pytest.mark.parametrize("uri", REMOTE)
def test_nothing_else_may_be_reached_offline(tmp_path, uri):
    with pytest.raises(ConfigError, match="BENCH_OFFLINE"):
        destination(at(tmp_path, uri, offline=True))
    assert destination(at(tmp_path, uri)).uri == uri


def test_the_default_is_a_database_in_the_store(tmp_path):
    settings = at(tmp_path, "")
    where = destination(settings)
    assert where.shown == str(settings.store / "tracking" / "mlflow.db")
    assert where.experiment == APPLICATION
    assert where.folder == settings.store / "tracking"


@pytest.mark.parametrize(
    ("uri", "location", "offline", "refused"),
    [
        ("https://mlflow.example.org", "file:///srv/artifacts", False, "--serve-artifacts"),
        ("https://mlflow.example.org", "/srv/artifacts", False, "--serve-artifacts"),
        ("databricks", "file:///srv/artifacts", False, "--serve-artifacts"),
        ("https://mlflow.example.org", "mlflow-artifacts:/1", False, None),
        ("https://mlflow.example.org", "s3://bucket/1", False, None),
        ("http://127.0.0.1:5000", "file:///srv/artifacts", True, None),
        ("http://127.0.0.1:5000", "mlflow-artifacts:/1", True, None),
        ("http://127.0.0.1:5000", "mlflow-artifacts://example.org/1", True, "BENCH_OFFLINE"),
        ("http://127.0.0.1:5000", "s3://bucket/1", True, "BENCH_OFFLINE"),
        ("sqlite:///x.db", "s3://bucket/1", True, "BENCH_OFFLINE"),
        ("sqlite:///x.db", "file:///srv/artifacts", True, None),
    ],
)
def test_where_artifacts_may_go(uri, location, offline, refused):
    where = Destination(uri, "experiment", uri, None, offline)
    if refused is None:
        where.check_artifacts(location)
    else:
        with pytest.raises(ConfigError, match=refused):
            where.check_artifacts(location)


@pytest.mark.parametrize(
    "text",
    [
        "http://me:secret@host:5000/path",
        "http://me:sec/secret@host",
        "http://:secret@host",
        "http://me:secret@[::1",
        "MLflow at http://me:secret@host: no answer from http://me:secret@host/api",
        "postgresql://host/db?user=me&password=secret",
        "http://me:s@secret@host",
    ],
)
def test_passwords_are_never_shown(text):
    assert "secret" not in masked(text)
    assert "host" in masked(text) or "[::1" in masked(text)


@pytest.mark.parametrize("text", ["http://host:5000/path", "sqlite:////a/b.db", "no address"])
def test_texts_without_passwords_stay_as_they_are(text):
    assert masked(text) == text


@pytest.mark.parametrize("variable", ["BENCH_TRACK", "BENCH_OFFLINE"])
def test_a_switch_that_is_neither_on_nor_off_is_refused(variable):
    with pytest.raises(ConfigError, match=f"{variable}=y is neither yes nor no; write 1 or 0"):
        Settings.from_environment({variable: "y"})


@pytest.mark.parametrize(
    ("flag", "variable", "wanted"),
    [(None, "", True), (None, "0", False), (None, "off", False), (True, "0", True)],
)
def test_tracking_is_on_unless_it_is_turned_off(flag, variable, wanted):
    settings = Settings.from_environment({"BENCH_TRACK": variable}, track=flag)
    assert settings.track is wanted
