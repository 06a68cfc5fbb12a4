"""Where files are kept and how experiments are computed: one object, passed along.

This module and no other reads the environment variables of bench.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast, get_args
from urllib.parse import urlsplit

import platformdirs

from bench.errors import ConfigError, whole_number
from bench.numerics import Numerics

APPLICATION = "seqrec-denoise-bench"
PLUGINS = "BENCH_PLUGINS"
"""Variable of :attr:`Settings.plugins`; processes started from here inherit it."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True)
class Settings:
    """Folders, devices and switches; of these, results depend only on device, threads, numerics.

    Attributes
    ----------
    store
        Folder of the results store (``BENCH_STORE``, else ``runs`` in the current folder).
    data
        Folder of raw data sets (``BENCH_DATA_DIR``, else the platform's data folder).
    cache
        Folder of what can be recomputed (``BENCH_CACHE_DIR``, else the platform's cache).
    offline
        Whether every network access is forbidden (``BENCH_OFFLINE``).
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    threads
        Threads of one experiment; the last digits of results depend on it.
    numerics
        ``native`` or ``portable`` (``BENCH_NUMERICS``); see :mod:`bench.numerics`.
    track
        Whether finished experiments are logged to MLflow (``BENCH_TRACK=0`` turns it off).
    tracking_uri, tracking_experiment
        MLflow's address and the name of the experiment there (``MLFLOW_TRACKING_URI``,
        ``MLFLOW_EXPERIMENT_NAME``); an empty address is a database in the store.
    plugins
        Python files or package folders with components (``BENCH_PLUGINS``, separated as in
        ``PATH``); see :mod:`bench.plugins`.

    Examples
    --------
    >>> Settings.from_environment(threads=2).threads
    2
    """

    store: Path
    data: Path
    cache: Path
    offline: bool = False
    device: str = "auto"
    threads: int = 1
    numerics: Numerics = "native"
    track: bool = True
    tracking_uri: str = ""
    tracking_experiment: str = APPLICATION
    plugins: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a number of threads that is none."""
        whole_number("threads", self.threads)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **changes: Any) -> Self:
        """Read the environment variables, then apply changes.

        Parameters
        ----------
        environment
            Variables by name; None reads the process's own.
        **changes
            Values by attribute; paths may be texts; None leaves what the environment says.

        Raises
        ------
        ConfigError
            A path begins with the home folder of an unknown user, or a value is not a known one.
        """
        known = os.environ if environment is None else environment

        def value(variable: str) -> str:
            return known.get(variable, "").strip()

        def folder(variable: str, default: Path) -> Path:
            return expanded(value(variable)) if value(variable) else default

        found = cls(
            store=folder("BENCH_STORE", Path("runs")),
            data=folder("BENCH_DATA_DIR", platformdirs.user_data_path(APPLICATION) / "datasets"),
            cache=folder("BENCH_CACHE_DIR", platformdirs.user_cache_path(APPLICATION)),
            offline=_switch("BENCH_OFFLINE", value("BENCH_OFFLINE"), default=False),
            track=_switch("BENCH_TRACK", value("BENCH_TRACK"), default=True),
            numerics=_numerics(changes.pop("numerics", None) or value("BENCH_NUMERICS")),
            tracking_uri=value("MLFLOW_TRACKING_URI"),
            tracking_experiment=value("MLFLOW_EXPERIMENT_NAME") or APPLICATION,
            plugins=tuple(expanded(path) for path in value(PLUGINS).split(os.pathsep) if path),
        )
        folders = ("store", "data", "cache")
        given: dict[str, Any] = {
            key: expanded(str(new)) if key in folders else new
            for key, new in changes.items()
            if new is not None
        }
        if "plugins" in given:
            several = given["plugins"]
            paths = [several] if isinstance(several, str | Path) else several
            given["plugins"] = tuple(expanded(str(path)) for path in paths)
        return replace(found, **given)

    @classmethod
    def of(cls, where: Settings | Path) -> Settings:
        """Return settings as they are, or those of the environment with this store."""
        return cls.from_environment(store=where) if isinstance(where, Path) else where


def _switch(variable: str, text: str, *, default: bool) -> bool:
    if text and text.lower() not in _TRUE | _FALSE:
        raise ConfigError(f"{variable}={text} is neither yes nor no; write 1 or 0")
    return text.lower() in _TRUE if text else default


def _numerics(name: str) -> Numerics:
    if name and name not in get_args(Numerics):
        raise ConfigError(f"numerics '{name}' are unknown; use native or portable")
    return cast("Numerics", name or "native")


def expanded(path: str) -> Path:
    """Replace ``~`` by the home folder; raise a ConfigError if its user is unknown."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: no home folder is known for its '~'; write it out") from None


def masked(text: str) -> str:
    """Hide the passwords of addresses in a text, well-formed or not.

    Examples
    --------
    >>> masked("postgresql+psycopg2://me:secret@host/studies")
    'postgresql+psycopg2://me:***@host/studies'
    >>> masked("postgresql://host/studies?user=me&password=secret")
    'postgresql://host/studies?user=me&password=***'
    """
    text = re.sub(r"(://[^\s:/@]*):\S*@", r"\1:***@", text)
    return re.sub(r"([?&](?:password|passwd|pwd|token)=)[^&\s]*", r"\1***", text)


def is_local(address: str) -> bool:
    """Return whether an address is certain to lead to this machine; what is unknown is not.

    Examples
    --------
    >>> is_local("http://127.0.0.1:5000"), is_local("sqlite:///mlflow.db"), is_local("databricks")
    (True, True, False)
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:  # not an address at all
        return False
    if not parts.scheme:  # a folder, or a service of MLflow that is named by a word
        return not parts.netloc and not address.startswith("databricks")
    kind = parts.scheme.partition("+")[0]
    if not parts.netloc:
        return kind in {"file", "sqlite", "journal", "mlflow-artifacts"}
    served = {"file", "http", "https", "mlflow-artifacts", "postgresql", "mysql", "mariadb"}
    return kind in served and _is_loopback(host) and "host" not in parts.query


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
