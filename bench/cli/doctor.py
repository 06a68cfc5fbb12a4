"""``bench doctor``: versions, device, folders and data, for a bug report or a first run."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from bench.cli.options import Json, folder_settings, print_json, with_options
from bench.errors import BenchError
from bench.settings import Settings
from bench.version import __version__

EXAMPLES = """
  bench doctor
  bench doctor --store /mnt/results
"""
_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "typer",
    "optuna",
    "mlflow",
    "transformers",
)


@with_options(settings=folder_settings)
def doctor(*, json: Json = False, settings: Settings) -> None:
    """Show versions, device, threads, folders and data."""
    sections = {
        "versions": _versions(),
        "machine": _machine(settings),
        "folders": _folders(settings),
        "data": _data(settings),
    }
    if json:
        print_json({title: dict(rows) for title, rows in sections.items()})
        return
    for title, rows in sections.items():
        typer.echo(title)
        for name, value in rows:
            typer.echo(f"  {name:<18}  {value}")


def _versions() -> Iterable[tuple[str, str]]:
    yield "bench", __version__
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def _machine(settings: Settings) -> Iterable[tuple[str, str]]:
    import psutil
    import torch

    from bench.runs.execute import available_cpus
    from bench.training.device import arithmetic, select_device

    memory = psutil.virtual_memory()
    found = arithmetic()
    yield "processor", f"{found['processor']}, used by torch as {found['cpu_capability']}"
    yield "blas", f"{found['blas']}, branch {found['blas_branch']}"
    yield "device", str(select_device("auto"))
    if torch.cuda.is_available():
        yield "gpu", torch.cuda.get_device_name()
    yield "cores", f"{available_cpus()} usable, {torch.get_num_threads()} threads of torch"
    yield "memory", f"{_gib(memory.available)} of {_gib(memory.total)} free"
    network = "forbidden by BENCH_OFFLINE" if settings.offline else "used to fetch missing data"
    yield "network", network


def _folders(settings: Settings) -> Iterable[tuple[str, str]]:
    for name in ("store", "data", "cache"):
        folder: Path = getattr(settings, name)
        yield name, f"{folder.absolute()}: {_state(folder)}"


def _state(folder: Path) -> str:
    """Describe whether a folder, or the one in which it would be made, can be written."""
    place = folder.absolute()
    try:
        while not place.exists():
            place = place.parent
    except PermissionError as error:
        return f"cannot be reached, because {error.filename} forbids it"
    if not place.is_dir() or not os.access(place, os.W_OK):
        reason = "is a file" if place.is_file() else "forbids it"
        return f"cannot be written, because {place} {reason}"
    made = "exists" if place == folder.absolute() else "is created when needed"
    return f"{made}, {_gib(shutil.disk_usage(place).free)} free"


def _data(settings: Settings) -> Iterable[tuple[str, str]]:
    from bench.data.load import load_dataset
    from bench.plan.data_card import card_names

    for name in card_names():
        try:
            dataset = load_dataset(name, settings)
        except BenchError as error:
            yield name, f"not usable: {error}"
        else:
            yield name, f"{dataset.n_users:,} users, {dataset.n_items:,} items"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
