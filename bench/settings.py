"""Where things lie: four environment variables, each with a flag of the same meaning."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from bench.errors import ConfigError

APPLICATION = "seqrec-denoise-bench"


def data_dir() -> Path:
    """Folder of raw data sets: ``BENCH_DATA_DIR`` or the platform's data folder."""
    return _folder("BENCH_DATA_DIR", platformdirs.user_data_path(APPLICATION) / "datasets")


def cache_dir() -> Path:
    """Folder of everything that can be made again: ``BENCH_CACHE_DIR`` or the platform's cache."""
    return _folder("BENCH_CACHE_DIR", platformdirs.user_cache_path(APPLICATION))


def store_dir() -> Path:
    """Folder of finished experiments: ``BENCH_STORE`` or ``runs`` in the current folder."""
    return _folder("BENCH_STORE", Path("runs"))


def offline() -> bool:
    """Whether ``BENCH_OFFLINE`` forbids every network access."""
    return os.environ.get("BENCH_OFFLINE", "").strip().lower() in {"1", "true", "yes"}


def _folder(variable: str, default: Path) -> Path:
    value = os.environ.get(variable, "").strip()
    return expanded(value) if value else default


def expanded(path: str) -> Path:
    """Give a path with ``~`` replaced by the home folder it stands for.

    Raises
    ------
    ConfigError
        There is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: no home folder is known for its '~'; write it out") from None
