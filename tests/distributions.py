"""Distributions that this process finds as if pip had installed them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.components import BACKBONES, ENCODERS, METHODS
from bench.plan.formats import READERS


def write_distribution(folder: Path, name: str, entry_points: Mapping[str, Mapping[str, str]]):
    """Write what pip leaves of a distribution: its name and its entry points, by group."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, points in entry_points.items()
        for line in (f"[{group}]", *(f"{point} = {target}" for point, target in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


@contextmanager
def installed(*folders: Path) -> Iterator[None]:
    """Find the distributions and modules of folders, and forget them afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in reversed(folders):
            patch.syspath_prepend(str(folder))
        for registry in (METHODS, BACKBONES, ENCODERS, READERS):
            patch.setattr(registry, "_installed", None)
            patch.setattr(registry, "_resolved", {})
        yield
    forget_modules(*folders)


def forget_modules(*folders: Path) -> None:
    """Let modules of these folders be imported anew."""
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "")
        if any(path.is_relative_to(folder) for folder in folders):
            del sys.modules[name]
