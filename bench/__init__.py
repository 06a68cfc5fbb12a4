"""A fair benchmark of denoisers for sequential recommendation.

Examples
--------
Train what is not finished yet, then read the results as data frames::

    import bench

    results = bench.run("planted", methods=["none:prefixes", "hsd"], overrides={"epochs": 3})
    results.table()
    results.ranks()
    bench.compare(results.filter(method="hsd"), results.filter(method="none:prefixes"))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.version import __version__ as __version__

if TYPE_CHECKING:
    from bench.api import (
        Cluster,
        Results,
        Slurm,
        TrainedModel,
        compare,
        denoise,
        export_ranks,
        import_ranks,
        load,
        preview,
        report,
        run,
        tune,
    )
    from bench.settings import Settings

__all__ = [
    "Cluster",
    "Results",
    "Settings",
    "Slurm",
    "TrainedModel",
    "__version__",
    "compare",
    "denoise",
    "export_ranks",
    "import_ranks",
    "load",
    "preview",
    "report",
    "run",
    "tune",
]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import bench` needs neither torch nor pandas.
    if name == "Settings":
        return import_module("bench.settings").Settings
    if name in __all__:
        return getattr(import_module("bench.api"), name)
    raise AttributeError(f"module 'bench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
