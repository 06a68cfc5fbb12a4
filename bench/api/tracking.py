"""Log the results of runs to MLflow, with the tables and figures of each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.settings import Settings
from bench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from bench.tracking.sync import Counts


def tracker(settings: Settings) -> Tracker:
    """Return a tracker that logs the results of a run and warns on standard error."""
    return Tracker(settings, _warn, partial(_draw, settings.store.absolute()))


def sync(settings: Settings, report: Callable[[str], None] = lambda _: None) -> Counts:
    """Log everything that MLflow lacks.

    Parameters
    ----------
    settings
        Name the store and MLflow's address.
    report
        Called with a line for each logged run, experiment, study and trial.

    Returns
    -------
    Counts
        How much was logged, was there already and is still missing.

    Raises
    ------
    BenchError
        MLflow cannot be reached or must not be, or a record of the store is damaged.
    """
    from bench.tracking.sync import sync as log_missing

    return log_missing(settings, partial(_draw, settings.store.absolute()), report)


def _draw(root: Path, keys: list[str], folder: Path) -> None:
    """Draw the table and the learning curves of some experiments, unless none has finished."""
    from bench.files import write_text
    from bench.reports.report import draw, render
    from bench.reports.results import Selection
    from bench.reports.titles import RegisteredTitles

    titles, selection = RegisteredTitles(), Selection(keys=keys)
    with suppress(BenchError):
        write_text(folder / "table.md", render(root, keys, titles=titles))
        target = folder / "learning-curves.png"
        draw(root, "learning-curves", target, selection=selection, titles=titles)


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a run's messages go there
