"""Run experiments and search settings: ``bench.run``, ``bench.preview`` and ``bench.tune``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pandas as pd

from bench.api.execute import execute_spec, preview_spec
from bench.api.model import as_list
from bench.api.results import Results, check_name
from bench.display import Lines, SafeStream
from bench.errors import ConfigError, whole_number
from bench.numerics import use_numerics
from bench.plan.cluster import Cluster, Slurm
from bench.plan.overrides import resolve_spec
from bench.plan.protocol import KEEP, Keep
from bench.plan.spec import Spec
from bench.plan.training import BudgetName
from bench.plugins import resolve_settings
from bench.runs.execute import connect
from bench.runs.run_one import ExecutionSettings
from bench.settings import Settings
from bench.tracking.tracker import Tracker
from bench.tuning.plan import Pruning

Names = str | Path | Iterable[str | Path] | None
"""One name or several."""
DEFAULT_TRIALS = 20
"""Budget where none is given."""


class Changes(TypedDict, total=False):
    """Replacements for parts of a specification: keywords that :func:`run` explains."""

    datasets: Names
    backbones: Names
    methods: Names
    encoders: Names
    seeds: int | Iterable[int] | None
    splits: Names
    budget: BudgetName | None
    overrides: Mapping[str, Any] | None


def run(
    spec: Spec | str | Path | None = None,
    *,
    datasets: Names = None,
    backbones: Names = None,
    methods: Names = None,
    encoders: Names = None,
    seeds: int | Iterable[int] | None = None,
    splits: Names = None,
    budget: BudgetName | None = None,
    overrides: Mapping[str, Any] | None = None,
    tuned: bool = False,
    keep: Keep | Collection[Keep] = (),
    jobs: int | None = None,
    on: Cluster | Slurm | None = None,
    settings: Settings | None = None,
) -> Results:
    """Train and test every experiment of a specification that is not finished yet.

    After an interruption, the same call continues where it stopped. An experiment that fails is
    recorded and the others continue; a warning names it.

    Parameters
    ----------
    spec
        A specification, its path, or the name of a shipped one or of a data set; None is the
        default comparison, but with the ``paper`` budget if data sets, backbones or methods are
        given.
    datasets, backbones, methods, encoders, seeds, splits
        Replace those of the specification. Data sets are names or paths of cards; splits are
        ``"leave-one-out"`` or such as ``"temporal:targets=all"``.
    budget
        ``"quick"`` (few epochs) or ``"paper"`` (to early stopping); None is the specification's.
    overrides
        Settings by name, for example ``{"epochs": 3, "sasrec.dropout": 0.5}``.
    tuned
        Use the best settings that :func:`bench.tune` has found.
    keep
        What to store in addition to ranks: ``"weights"`` of the best epoch, which
        :meth:`Results.model` needs, and ``"lists"``, the top items of every user.
    jobs
        Experiments to run at the same time; None means one per core, or what GPUs or nodes can
        hold.
    on
        A Ray cluster, or a :class:`Slurm` with the options of each task; None runs on this machine.
    settings
        Store, data, cache, device and threads; None reads the environment.

    Returns
    -------
    Results
        The experiments of the specification that have finished, in its order.

    Raises
    ------
    BenchError
        A name or setting is wrong, data cannot be read, or the store cannot be written.

    Examples
    --------
    >>> import bench, tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> results = bench.run(  # doctest: +SKIP
    ...     "planted", methods="none", overrides={"epochs": 1},
    ...     settings=bench.Settings.from_environment(store=folder, track=False),
    ... )
    >>> results  # doctest: +SKIP
    <Results: 1 experiment of planted>
    """
    settings = resolve_settings(settings)
    use_numerics(settings.numerics)
    if jobs is not None:
        whole_number("jobs", jobs)
    chosen = changed_spec(
        spec,
        datasets=datasets,
        backbones=backbones,
        methods=methods,
        encoders=encoders,
        seeds=seeds,
        splits=splits,
        budget=budget,
        overrides=overrides,
    )
    outcomes = execute_spec(chosen, settings, tuned=tuned, keep=_kept(keep), jobs=jobs, on=on)
    for outcome in outcomes:
        if outcome.ending == "failed":
            warnings.warn(f"{outcome.label} failed: {outcome.cause}", stacklevel=2)
    finished = [outcome.key for outcome in outcomes if outcome.ending != "failed"]
    return Results(settings, finished)


def preview(
    spec: Spec | str | Path | None = None,
    *,
    tuned: bool = False,
    keep: Keep | Collection[Keep] = (),
    on: Cluster | Slurm | None = None,
    settings: Settings | None = None,
    **changes: Unpack[Changes],
) -> pd.DataFrame:
    """Return what :func:`run` would do, without fetching or running anything.

    Parameters are those of :func:`run`.

    Returns
    -------
    pandas.DataFrame
        One row per experiment: ``experiment``, ``key``, ``status`` and ``seconds`` (estimated;
        missing where it is finished or its data are not there).
    """
    settings = resolve_settings(settings)
    chosen = changed_spec(spec, **changes)
    rows, _ = preview_spec(chosen, settings, tuned=tuned, keep=_kept(keep), on=on)
    return pd.DataFrame(
        [(row.label, row.key, row.status, row.estimate and row.estimate.seconds) for row in rows],
        columns=["experiment", "key", "status", "seconds"],
    )


def _kept(keep: Keep | Collection[Keep]) -> Collection[Keep]:
    kept: Collection[Keep] = (keep,) if isinstance(keep, str) else tuple(keep)
    for name in kept:
        check_name("part of a result", name, KEEP)
    return kept


def tune(
    spec: Spec | str | Path | None = None,
    *,
    trials: int | None = None,
    seconds: float | None = None,
    workers: int | None = None,
    pruner: Pruning = "median",
    storage: str | None = None,
    on: Cluster | None = None,
    settings: Settings | None = None,
    **changes: Unpack[Changes],
) -> pd.DataFrame:
    """Search settings with the same budget for every method; see ``bench tune``.

    There is one study for each data set, backbone, method and encoder. The objective is the
    validation NDCG@10 with the first seed; settings that the specification or ``overrides`` fix are
    not searched. After an interruption, the same call continues where it stopped. Afterwards,
    ``bench.run(..., tuned=True)`` uses the best settings.

    Parameters
    ----------
    spec, settings
        As for :func:`bench.run`.
    trials, seconds
        Budget of each study: trials, and seconds of training. Without either, 20 trials.
    workers
        Trials to run at the same time; None means one, or what a cluster has room for.
    pruner
        Rule that stops unpromising trials.
    storage
        ``journal:FILE`` or a database's URL; None is an SQLite file in the store.
    on
        A Ray cluster; None runs on this machine.
    **changes
        ``datasets``, ``backbones``, ``methods``, ``encoders``, ``seeds``, ``splits``, ``budget``
        and ``overrides``, as for :func:`bench.run`.

    Returns
    -------
    pandas.DataFrame
        One row per trial: ``study``, ``trial``, ``state``, ``value`` (validation metric),
        ``seconds`` and the values of the searched settings.

    Raises
    ------
    BenchError
        A setting, the data, the store or the storage is wrong or fails.
    """
    from bench.tuning.search import Budget, plan_tuning, spend

    settings = resolve_settings(settings)
    use_numerics(settings.numerics)
    count = DEFAULT_TRIALS if trials is None and seconds is None else trials
    most = Budget(count, seconds)
    if workers is not None:
        whole_number("workers", workers)
    if not isinstance(on, Cluster | None):
        raise ConfigError(f"on = {on!r}; give a bench.Cluster or None")
    plans = plan_tuning(changed_spec(spec, **changes), settings, pruner)
    execution = ExecutionSettings(settings)
    with ExitStack() as stack:
        engine = stack.enter_context(connect(on, settings, workers)) if on else None
        tracking = stack.enter_context(Tracker(settings))
        report = Lines(SafeStream(sys.stderr)).say
        studies = spend(plans, most, execution, workers or 1, storage, report, engine)
        for study in studies:
            tracking.log(study.about["key"])
    return pd.DataFrame(
        {
            "study": study.about["label"],
            "trial": trial.number,
            "state": trial.state,
            "value": trial.value,
            "seconds": trial.seconds,
            **trial.values,  # noqa: PD011 - settings by name
        }
        for study in studies
        for trial in study.trials
    )


def changed_spec(spec: Spec | str | Path | None, **changes: Unpack[Changes]) -> Spec:
    """Complete and check a specification; one value of a list becomes a list.

    Raises
    ------
    ConfigError
        The specification is not found, or a name or setting is wrong.
    """
    values: dict[str, Any] = {**changes}
    overrides = values.pop("overrides", None) or {}
    if not isinstance(overrides, Mapping):
        raise ConfigError(f"overrides = {overrides!r}; give a mapping, such as {{'epochs': 3}}")
    given = {
        name: value
        if value is None or name == "budget"
        else [str(one) if isinstance(one, Path) else one for one in as_list(value)]
        for name, value in values.items()
    }
    return resolve_spec(spec, given, overrides)
