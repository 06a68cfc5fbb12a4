"""Which MLflow is logged to; imports no MLflow."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.errors import ConfigError
from bench.settings import Settings, masked


@dataclass(frozen=True)
class Destination:
    """An experiment of an MLflow server or database.

    Attributes
    ----------
    uri, experiment
        Address and name, as in ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME``.
    shown
        The address without passwords, for messages.
    artifacts
        Folder for artifacts; None leaves the choice to MLflow.
    offline
        Whether only this machine may be reached.
    """

    uri: str
    experiment: str
    shown: str
    artifacts: Path | None = None
    offline: bool = False

    def check_artifacts(self, location: str) -> None:
        """Refuse an artifact location that cannot be, or must not be, written from here.

        Raises
        ------
        ConfigError
            A server on another machine names a folder of its own, or the location needs the
            network that ``BENCH_OFFLINE`` forbids.
        """
        scheme, server = urlsplit(location).scheme, self.uri.startswith("http")
        if scheme in {"", "file"} and server and not is_local(self.uri):
            problem = "a folder of its own machine; start it with --serve-artifacts"
        elif self.offline and not is_local(location):
            problem = "which BENCH_OFFLINE forbids; unset it"
        else:
            return
        raise ConfigError(
            f"MLflow at {self.shown} keeps artifacts in {masked(location)}, {problem}, or name "
            "another experiment with MLFLOW_EXPERIMENT_NAME"
        )


def destination(settings: Settings) -> Destination:
    """Return the destination that settings name: an address, or a database in the store.

    Raises
    ------
    ConfigError
        The address leads to another machine, which ``BENCH_OFFLINE`` forbids.
    """
    uri, experiment, offline = settings.tracking_uri, settings.tracking_experiment, settings.offline
    if not uri:
        from sqlalchemy import URL

        folder = settings.store.absolute() / "tracking"
        database = str(folder / "mlflow.db")
        # For "sqlite:///" MLflow makes the folder itself, without decoding the '%3F' of a '?'.
        uri = URL.create("sqlite+pysqlite", database=database).render_as_string()
        return Destination(uri, experiment, database, folder / "artifacts", offline)
    if offline and not is_local(uri):
        raise ConfigError(
            f"MLFLOW_TRACKING_URI = {masked(uri)} leads to another machine, which BENCH_OFFLINE "
            "forbids; unset one of them"
        )
    return Destination(uri, experiment, masked(uri), None, offline)


def is_local(uri: str) -> bool:
    """Return whether an address is certain to lead to this machine.

    Examples
    --------
    >>> is_local("http://127.0.0.1:5000"), is_local("sqlite:///mlflow.db"), is_local("databricks")
    (True, True, False)
    """
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:  # not an address at all
        return False
    if parts.scheme == "":
        return not uri.startswith("databricks")  # a service; every other word is a folder
    if not host:
        return parts.scheme in {"file", "sqlite", "sqlite+pysqlite", "mlflow-artifacts"}
    return parts.scheme in {"file", "http", "https", "mlflow-artifacts"} and _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
