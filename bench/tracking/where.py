"""Where runs are tracked, and whether; imports no MLflow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.errors import ConfigError
from bench.settings import APPLICATION, offline
from bench.tuning.storage import masked

_LOCAL_SCHEMES = {"", "file", "sqlite"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Destination:
    """A place that takes runs.

    Attributes
    ----------
    uri
        As ``MLFLOW_TRACKING_URI``.
    experiment
        Name of the experiment there.
    artifacts
        Folder of files where the store tracks itself; None leaves that to the server.
    """

    uri: str
    experiment: str
    artifacts: Path | None = None

    @property
    def shown(self) -> str:
        """The URI without its password."""
        return masked(self.uri)


def is_wanted(flag: bool | None) -> bool:
    """Decide whether what finishes is tracked.

    Parameters
    ----------
    flag
        Of the command line; None leaves it to ``BENCH_TRACK``, which is on unless it says no.
    """
    if flag is not None:
        return flag
    return os.environ.get("BENCH_TRACK", "").strip().lower() not in {"0", "false", "no", "off"}


def destination(root: Path) -> Destination:
    """Give where runs go: ``MLFLOW_TRACKING_URI``, or an SQLite file in the store.

    Parameters
    ----------
    root
        Of the results store.

    Raises
    ------
    ConfigError
        The URI leads over the network, which ``BENCH_OFFLINE`` forbids.
    """
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or APPLICATION
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri:
        folder = (root / "tracking").absolute()
        return Destination(f"sqlite:///{folder / 'mlflow.db'}", experiment, folder / "artifacts")
    parts = urlsplit(uri)
    local = parts.scheme in _LOCAL_SCHEMES or parts.hostname in _LOOPBACK
    if offline() and not local:
        raise ConfigError(
            f"MLFLOW_TRACKING_URI = {masked(uri)} leads over the network, which BENCH_OFFLINE "
            "forbids; unset one of them"
        )
    return Destination(uri, experiment)
