"""``bench tune``: search settings with the same budget for every method and the bare backbone."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from bench.cli.options import (
    Backbones,
    CacheDir,
    DataDir,
    Datasets,
    Device,
    Encoders,
    Methods,
    Seeds,
    Sets,
    SpecName,
    StoreDir,
    Threads,
    Track,
    grid_of,
    settings_of,
)
from bench.cli.track import tracked
from bench.errors import ConfigError, suggestion
from bench.settings import store_dir

if TYPE_CHECKING:
    from bench.plan.spec import Spec
    from bench.tuning.plan import Pruning, StudyPlan
    from bench.tuning.tune import Tuning

EPILOG = """
\b
Examples:
  bench tune --trials 20                       the methods of the default comparison
  bench tune planted --method none --trials 5 --set epochs=10
  bench tune --dataset beauty --backbone sasrec --seconds 3600 --workers 4
  bench tune --ledger                          what has been spent so far
  bench run --tuned                            with the best settings found
"""
DEFAULT_TRIALS = 20
_Trials = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Trials of each study; default: 20 without --seconds."),
]
_Seconds = Annotated[
    float | None, typer.Option(min=0, metavar="S", help="Seconds of training of each study.")
]
_Workers = Annotated[int, typer.Option(min=1, metavar="N", help="Trials at the same time.")]
_Pruner = Annotated[str, typer.Option(metavar="NAME", help="median, hyperband or none.")]
_Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where Optuna keeps the studies: journal:FILE or a database's URL.",
        show_default="SQLite in the store",
    ),
]
_Plan = Annotated[bool, typer.Option("--plan", help="Show the studies and stop.")]
_Ledger = Annotated[
    bool, typer.Option("--ledger", help="Show what all studies have spent and stop.")
]


def tune(
    spec: SpecName = None,
    dataset: Datasets = None,
    backbone: Backbones = None,
    method: Methods = None,
    encoder: Encoders = None,
    seeds: Seeds = None,
    set_: Sets = None,
    trials: _Trials = None,
    seconds: _Seconds = None,
    workers: _Workers = 1,
    pruner: _Pruner = "median",
    storage: _Storage = None,
    plan: _Plan = False,
    ledger: _Ledger = False,
    threads: Threads = 1,
    device: Device = "auto",
    track: Track = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Search settings: one study for each data set, backbone, method and encoder.

    The objective is validation NDCG@10 with the first seed; what the specification or --set fixes
    is not searched. Killed or interrupted, it goes on where it stopped when given again.
    """
    del store, data_dir, cache_dir  # their callbacks have set the environment
    if ledger:
        _show_ledger()
        return
    from bench.plan.overrides import resolve_spec

    chosen = resolve_spec(spec, grid_of(dataset, backbone, method, encoder, seeds), set_ or [])
    plans = _plans(chosen, _pruning(pruner), device)
    if plan:
        _show(plans)
        return
    if trials is None and seconds is None:
        trials = DEFAULT_TRIALS
    tuning = _tuning(plans, trials, seconds, storage, threads, device)
    try:
        with tracked(track, busy=True):
            _run(tuning, workers)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to continue", err=True)
        raise typer.Exit(130) from None
    _show_ledger()


def _pruning(name: str) -> Pruning:
    from bench.tuning.plan import Pruning

    known = cast("Sequence[Pruning]", get_args(Pruning))
    for pruning in known:
        if pruning == name:
            return pruning
    raise ConfigError(f"--pruner '{name}' is unknown{suggestion(name, known)}")


def _plans(spec: Spec, pruning: Pruning, device: str) -> list[StudyPlan]:
    from bench.api.run import embed_texts
    from bench.data.load import load_dataset
    from bench.plan.grid import load_datasets
    from bench.tuning.plan import plan_studies

    datasets = load_datasets(spec, partial(load_dataset, fetch=True))
    embed_texts(spec, datasets, settings_of(device=device))
    return plan_studies(spec, datasets, pruning)


def _tuning(
    plans: list[StudyPlan],
    trials: int | None,
    seconds: float | None,
    storage: str | None,
    threads: int,
    device: str,
) -> Tuning:
    from bench.runs.run_one import ExecutionSettings
    from bench.training.device import select_device
    from bench.tuning.budget import Budget
    from bench.tuning.storage import default_url
    from bench.tuning.tune import Tuning

    select_device(device)
    root = store_dir().absolute()
    setup = ExecutionSettings(root, time.time(), device, threads)
    return Tuning(plans, Budget(trials, seconds), storage or default_url(root), setup)


def _run(tuning: Tuning, workers: int) -> None:
    from bench.tuning.ledger import write_ledger
    from bench.tuning.tune import tune as spend

    try:
        spend(tuning, _say, workers=workers)
    finally:
        write_ledger(tuning.root)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the command's own output


def _show(plans: Sequence[StudyPlan]) -> None:
    for plan in plans:
        typer.echo(f"{plan.label} ({plan.key[:12]}): {len(plan.space)} settings")
        for name, dimension in plan.space.items():
            typer.echo(f"  {name} = {plan.default[name]}: {dimension.plain()}")


def _show_ledger() -> None:
    from bench.tuning.ledger import ledger, render

    rows = ledger(store_dir())
    if not rows:
        typer.echo("nothing has been tuned here", err=True)
        return
    typer.echo(render(rows))
