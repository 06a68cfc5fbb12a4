"""Time optimiser steps in numerics ``portable`` against ``native``.

The libraries choose their arithmetic when they load, so that each measurement is a process of its
own: ``steps.py`` in one mode, then in the other, several times. The table shows medians over the
repeats, and the median and range of the ratio of neighbours.

    python benchmarks/numerics.py
    python benchmarks/numerics.py --dataset planted --method none hsd --repeats 9
"""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from common import command, positive, print_table, run
from steps import HEADERS

from bench.components import BACKBONES
from bench.errors import TrainingError
from bench.numerics import VARIABLES
from bench.training.device import arithmetic

ENVIRONMENTS = {
    "native": {"BENCH_NUMERICS": "native"},
    "portable": {"BENCH_NUMERICS": "portable", **VARIABLES},
}
STEPS = Path(__file__).with_name("steps.py")


def parser() -> ArgumentParser:
    """Describe the command line."""
    arguments = command(__doc__)
    add = arguments.add_argument
    add("--dataset", default="ml-100k", help="name or path of a data card")
    add("--backbone", nargs="+", default=BACKBONES.names(), help="recommenders")
    add("--method", nargs="+", default=["none"], help="methods and variants")
    add("--steps", type=positive, default=10, help="timed steps of a measurement")
    add("--repeats", type=positive, default=5, help="measurements in each mode")
    return arguments


def main(options: Namespace) -> None:
    """Print a row for each backbone and method."""
    rows = []
    for backbone in options.backbone:
        pairs = [
            [step_times(backbone, options, more) for more in ENVIRONMENTS.values()]
            for _ in range(options.repeats)
        ]
        for method in options.method:
            native, portable = ([pair[mode][method] for pair in pairs] for mode in (0, 1))
            ratios = [slow / fast for fast, slow in zip(native, portable, strict=True)]
            rows.append(
                [
                    f"{backbone}/{method}",
                    f"{median(native):.1f}",
                    f"{median(portable):.1f}",
                    f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                ]
            )
    here = arithmetic()
    print(f"{options.dataset}, 1 thread, {here['processor']} ({here['cpu_capability']}), ", end="")
    print(f"{here['blas']}, {options.repeats} repeats of {options.steps} steps:\n")
    print_table(["attached", "native ms/step", "portable ms/step", "portable / native"], rows)


def step_times(backbone: str, options: Namespace, more: Mapping[str, str]) -> dict[str, float]:
    """Return milliseconds of a step by method, measured in a new process.

    Raises
    ------
    TrainingError
        The process fails.
    """
    words = ["--dataset", options.dataset, "--backbone", backbone, "--steps", str(options.steps)]
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(  # noqa: S603 - this script's neighbour
        [sys.executable, str(STEPS), *words, "--method", *options.method],
        env={**inherited, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TrainingError(f"steps.py failed: {done.stderr.strip()}")
    lines = [line.strip("| ").split("|") for line in done.stdout.splitlines() if "|" in line]
    column = HEADERS.index("ms/step")
    return {line[0].strip(): float(line[column]) for line in lines[2:]}


if __name__ == "__main__":
    run(parser(), main)
