"""What the scripts of this folder share: plans, timing, tables, and messages on bad input."""

from __future__ import annotations

import sys
from argparse import (
    ArgumentDefaultsHelpFormatter,
    ArgumentParser,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable, Iterable, Sequence

import torch
from tabulate import tabulate
from torch.utils.benchmark import Timer

from bench.data.dataset import Dataset
from bench.errors import BenchError
from bench.plan.experiment import Experiment
from bench.plan.grid import freeze, grid_points
from bench.plan.overrides import resolve_spec
from bench.plan.spec import Spec


class _Formatter(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Show defaults, and examples as they were written."""


def command(description: str | None) -> ArgumentParser:
    """Create a parser whose help is a module's docstring."""
    return ArgumentParser(description=description, formatter_class=_Formatter, allow_abbrev=False)


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run(parser: ArgumentParser, main: Callable[[Namespace], None]) -> None:
    """Run a script; a problem that a user can solve is one sentence and exit code 2."""
    options = parser.parse_args()
    try:
        main(options)
    except BenchError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


def plan(spec: Spec, overrides: Iterable[str], dataset: Dataset) -> list[Experiment]:
    """Fix the experiments of a specification of one data set, with the settings of ``--set``.

    Raises
    ------
    ConfigError
        A name or a setting is wrong.
    """
    spec = resolve_spec(spec, {}, overrides)
    return [freeze(point, spec, dataset) for point in grid_points(spec)]


def seconds(call: Callable[[], object], at_least: float = 1.0) -> float:
    """Return the median wall seconds of a call, on as many threads as torch uses now.

    After a call that warms up it is repeated for some seconds, or timed once if it takes longer.
    """
    timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=at_least).median


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table of cells that are formatted already."""
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True))
