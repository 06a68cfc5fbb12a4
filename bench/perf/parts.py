"""Vectorised parts of methods against direct ports of the published loops, in one run."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.errors import ConfigError, suggestion
from bench.perf import baselines

HEADERS = ("part", "baseline", "ours", "times faster", "goal", "note")


@dataclass(frozen=True)
class Comparison:
    """One part, timed twice on the same input.

    Attributes
    ----------
    part
        What was computed, with the sizes of the input.
    baseline, ours
        Wall seconds of the loops and of this package, of as much work.
    goal
        Times faster that the project asks for.
    note
        What else was measured: memory, agreement of the two results.
    """

    part: str
    baseline: float
    ours: float
    goal: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.baseline / self.ours

    def row(self) -> tuple[str, str, str, str, str, str]:
        """Experiments of a table's row, in the order of :data:`HEADERS`."""
        return (
            self.part,
            f"{1000 * self.baseline:.2f} ms",
            f"{1000 * self.ours:.2f} ms",
            f"{self.ratio:.1f}",
            f"{self.goal:g}",
            self.note,
        )


def best_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Time a call: once to warm up, then the best of ``repeats``."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def known() -> list[str]:
    """Names of the methods that have baselines."""
    return sorted(info.name for info in pkgutil.iter_modules(baselines.__path__))


def compare(names: Iterable[str]) -> list[Comparison]:
    """Measure methods' parts one after another; each module's ``comparisons()`` yields them.

    Raises
    ------
    ConfigError
        A method has no baseline.
    """
    found: list[Comparison] = []
    for name in names:
        if name not in known():
            raise ConfigError(f"no baseline is called '{name}'{suggestion(name, known())}")
        module = importlib.import_module(f"{baselines.__name__}.{name}")
        found.extend(module.comparisons())
    return found
