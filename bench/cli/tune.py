"""``bench tune``: search settings with the same budget for every method and the bare backbone."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import (
    chosen_cluster,
    chosen_spec,
    one_of,
    resumable,
    run_settings,
    with_options,
)
from bench.plan.cluster import Cluster
from bench.plan.spec import Spec
from bench.settings import Settings
from bench.tuning.plan import Pruning

EXAMPLES = """
  bench tune --trials 20                       the methods of the default comparison
  bench tune planted --method none --trials 5 --set epochs=10
  bench tune --dataset beauty --backbone sasrec --seconds 3600 --workers 4
  bench tune --ledger                          what has been spent so far
  bench run --tuned                            with the best settings found
"""


@with_options(settings=run_settings, spec=chosen_spec, on=chosen_cluster)
def tune(
    *,
    spec: Spec,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Trials per study; default: 20 unless --seconds is given."
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Seconds of training per study.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Trials to run at the same time.",
            show_default="1, or what a cluster has room for",
        ),
    ] = None,
    pruner: Annotated[
        Pruning, one_of("--pruner", Pruning, "median, hyperband or none.")
    ] = "median",
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where Optuna keeps the studies: journal:FILE or a database's URL.",
            show_default="SQLite in the store",
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show the studies and stop.")] = False,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Show what all studies have spent and stop.")
    ] = False,
    on: Cluster | None,
    settings: Settings,
) -> None:
    """Search the settings of every method with equal budgets.

    Each data set, backbone, method and encoder is a study. The objective is validation NDCG@10 with
    the first seed; settings that the specification or --set fixes are not searched. After an
    interruption, the same command resumes the studies.
    """
    if plan and not ledger:
        _show_plan(spec, settings, pruner)
        return
    if not ledger:
        import bench

        with resumable():
            bench.tune(
                spec,
                trials=trials,
                seconds=seconds,
                workers=workers,
                pruner=pruner,
                storage=storage,
                on=on,
                settings=settings,
            )
    _show_ledger(settings)


def _show_plan(spec: Spec, settings: Settings, pruning: Pruning) -> None:
    from bench.tuning.search import plan_tuning

    for plan in plan_tuning(spec, settings, pruning, prepare=False):
        typer.echo(f"{plan.label} ({plan.key[:12]}): {len(plan.space)} settings")
        for name, dimension in plan.plain_space().items():
            typer.echo(f"  {name} = {plan.default[name]}: {dimension}")


def _show_ledger(settings: Settings) -> None:
    from bench.reports.request import Request
    from bench.reports.tables.grid import to_markdown
    from bench.reports.tables.ledger import ledger_grid
    from bench.reports.titles import RegisteredTitles

    grid = ledger_grid(settings.store, Request(), RegisteredTitles())
    if grid is None:
        typer.echo("this store has no studies; run 'bench tune' first", err=True)
        return
    typer.echo(to_markdown(grid), nl=False)
