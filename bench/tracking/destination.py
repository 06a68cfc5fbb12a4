"""Where MLflow logs to; does not import MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.errors import ConfigError
from bench.settings import Settings, is_local, masked


@dataclass(frozen=True)
class Destination:
    """An experiment of an MLflow server or database.

    URI and name are as in ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME``; ``shown`` is the
    URI without passwords, for messages. The folder is that of the store's own database and
    artifacts, None for another MLflow; ``offline`` says that only this machine may be reached.
    """

    uri: str
    experiment: str
    shown: str
    folder: Path | None = None
    offline: bool = False

    def check_artifacts(self, location: str) -> None:
        """Refuse an artifact location that this machine cannot, or must not, write to.

        Raise a ConfigError if a server on another machine names a folder, or the location needs the
        network that ``BENCH_OFFLINE`` forbids.
        """
        is_service = self.uri.startswith(("http", "databricks"))
        if is_service and not is_local(self.uri) and urlsplit(location).scheme in {"", "file"}:
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

    Raise a ConfigError if it is on another machine and ``BENCH_OFFLINE`` forbids that.
    """
    uri, experiment, offline = settings.tracking_uri, settings.tracking_experiment, settings.offline
    if not uri:
        from sqlalchemy import URL

        folder = settings.store.absolute() / "tracking"
        database = str(folder / "mlflow.db")
        # For "sqlite:///" MLflow makes the folder itself, without decoding the '%3F' of a '?'.
        uri = URL.create("sqlite+pysqlite", database=database).render_as_string()
        return Destination(uri, experiment, database, folder, offline)
    if offline and not is_local(uri):
        raise ConfigError(
            f"MLFLOW_TRACKING_URI = {masked(uri)} leads to another machine, which BENCH_OFFLINE "
            "forbids; unset one of them"
        )
    return Destination(uri, experiment, masked(uri), None, offline)
