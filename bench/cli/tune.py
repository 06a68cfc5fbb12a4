"""``bench tune``: search settings with the same budget for every method and the bare backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

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

if TYPE_CHECKING:
    from bench.plan.spec import Spec
    from bench.settings import Settings
    from bench.tuning.plan import Pruning

EPILOG = """
\b
Examples:
  bench tune --trials 20                       the methods of the default comparison
  bench tune planted --method none --trials 5 --set epochs=10
  bench tune --dataset beauty --backbone sasrec --seconds 3600 --workers 4
  bench tune --ledger                          what has been spent so far
  bench run --tuned                            with the best settings found
"""
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
    is not searched. Killed or interrupted, the same command resumes it.
    """
    settings = settings_of(store, data_dir, cache_dir, device, threads, track)
    if ledger:
        _show_ledger(settings)
        return
    from bench.api.tune import search
    from bench.plan.overrides import resolve_spec

    chosen = resolve_spec(spec, grid_of(dataset, backbone, method, encoder, seeds), set_ or [])
    rule = cast("Pruning", pruner)  # checked with the plan
    if plan:
        _show_plan(chosen, settings, rule)
        return
    try:
        search(
            chosen,
            settings,
            trials=trials,
            seconds=seconds,
            workers=workers,
            pruning=rule,
            storage=storage,
        )
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to continue", err=True)
        raise typer.Exit(130) from None
    _show_ledger(settings)


def _show_plan(spec: Spec, settings: Settings, pruning: Pruning) -> None:
    from bench.tuning.tune import plan_tuning

    for plan in plan_tuning(spec, settings, pruning):
        typer.echo(f"{plan.label} ({plan.key[:12]}): {len(plan.space)} settings")
        for name, dimension in plan.space.items():
            typer.echo(f"  {name} = {plan.default[name]}: {dimension.plain()}")


def _show_ledger(settings: Settings) -> None:
    from bench.reports.results import Selection
    from bench.reports.tables.grid import to_markdown
    from bench.reports.tables.ledger import ledger_grid
    from bench.reports.titles import RegisteredTitles

    grid = ledger_grid(settings.store, Selection(), RegisteredTitles())
    if grid is None:
        typer.echo("nothing has been tuned here", err=True)
        return
    typer.echo(to_markdown(grid), nl=False)
