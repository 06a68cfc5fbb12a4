"""``bench run --plan``: the experiments, how far each is, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from ctypes.util import find_library
from itertools import product
from typing import NamedTuple

from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.data.split import notes
from bench.errors import DataError
from bench.plan.experiment import Computation
from bench.plan.grid import Adapt, PlannedExperiment, check_names, freeze, grid_points
from bench.plan.progress import Remaining, counted, duration
from bench.plan.protocol import Keep
from bench.plan.spec import Spec
from bench.runs.estimate import TYPICAL_EPOCHS, Estimate, Estimator
from bench.runs.store import Store
from bench.settings import Settings

_BASES = {
    "history": "h = median of finished experiments like it in this store",
    "model": "m = floating-point operations over this machine's matrix-multiply speed, times the "
    f"method's cost, {TYPICAL_EPOCHS} epochs at most, good to a factor of a few",
}


class PreviewRow(NamedTuple):
    """One experiment of a plan; without its data, or its split, it has neither key nor estimate.

    The status is that of the store, ``data missing`` or ``cannot be split``; a finished one has no
    estimate.
    """

    label: str
    key: str | None
    status: str
    estimate: Estimate | None


def preview_rows(
    spec: Spec,
    settings: Settings,
    adapt: Adapt | None = None,
    where: Computation | None = None,
    keep: Collection[Keep] = (),
    trials: Store | None = None,
) -> tuple[list[PreviewRow], list[str]]:
    """Plan a checked specification without fetching or running anything.

    Return the experiments in the order in which they run, and one sentence for each data set that
    is split by time or cannot be read or split here. ``adapt`` changes the specification for each
    grid point; ``where`` is how experiments are computed, None as on this machine; finished
    experiments of the store of ``trials`` count as done, because a run takes them over.
    """
    datasets: dict[str, Dataset] = {}
    problems: list[str] = []
    for source in spec.sources:
        try:
            datasets[source] = load_dataset(source, settings)
        except DataError as error:
            problems.append(f"{source}: {error}")
    check_names(datasets)
    refused = set()
    for (source, found), rule in product(datasets.items(), spec.rules):
        try:
            problems += notes({source: found}, [rule])
        except DataError as error:
            problems.append(f"{source}, {rule}: {error}")
            refused.add((source, rule))
    where = where or _computation(settings)
    store = Store(settings.store)
    estimator = Estimator(store)
    rows = []
    for point in grid_points(spec):
        dataset = datasets.get(point.source)
        if dataset is None or (point.source, point.split) in refused:
            status = "cannot be split" if dataset else "data missing"
            rows.append(PreviewRow(point.label, None, status, None))
            continue
        own = adapt(point, spec, dataset) if adapt else spec
        experiment = freeze(point, own, dataset, settings.cache, where)
        taken_over = trials is not None and trials.has(experiment.key, keep)
        status = "done" if taken_over else store.status(experiment.key, keep)
        estimate = None if status == "done" else estimator.estimate(experiment, dataset)
        rows.append(PreviewRow(experiment.label, experiment.key, status, estimate))
    return rows, problems


def _computation(settings: Settings) -> Computation:
    """Return how experiments would be computed, without torch where there is surely no GPU."""
    if settings.device == "cpu" or (settings.device == "auto" and not find_library("cuda")):
        return Computation(numerics=settings.numerics, threads=settings.threads)
    from bench.training.device import computation

    return computation(settings)


def render_preview(rows: Sequence[PreviewRow], problems: Sequence[str]) -> str:
    """Render what :func:`preview_rows` returns as text."""
    from tabulate import tabulate

    estimates = [row.estimate for row in rows if row.estimate is not None]
    cells = [
        (label, (key or "-")[:12], status, f"{duration(e.seconds)} ({e.basis[0]})" if e else "-")
        for label, key, status, e in rows
    ]
    headers = ("experiment", "key", "status", "estimate")
    seconds = sum(estimate.seconds for estimate in estimates)
    total = (
        f"{counted(len(rows), 'experiment')}, {len(estimates)} of them to run on the data at hand: "
        f"about {duration(seconds)} one after another"
    )
    bases = [_BASES[basis] for basis in sorted({estimate.basis for estimate in estimates})]
    table = tabulate(cells, headers, tablefmt="plain", disable_numparse=True)
    return "\n".join([table, "", total, *bases, *problems])


def announcement(
    plan: Sequence[PlannedExperiment],
    estimates: Mapping[str, float],
    store: Store,
    workers: int,
    place: str,
    keep: Collection[Keep] = (),
) -> str:
    """Return one line on what a run is about to do; what the store holds already is not run again.

    Estimates are seconds by label; ``place`` is such as ``cpu, 1 thread each``; a result that lacks
    what is to be kept runs again.
    """
    experiments = [planned.experiment for planned in plan]
    left = [e.label for e in experiments if not store.has(e.key, keep)]
    budgets = {
        f"budget {e.training.budget} (at most {counted(e.training.epochs, 'epoch')}, "
        f"batch {e.training.batch_size})"
        for e in experiments
    }
    parts = [
        _listed("data set", (e.dataset for e in experiments)),
        _listed("backbone", (e.backbone for e in experiments)),
        _listed("method", (e.method for e in experiments)),
        _listed("seed", (f"seed {e.seed}" for e in experiments)),
        " and ".join(sorted(budgets)),
        f"{place}, {workers} at a time",
        f"store {store.root}",
    ]
    count = counted(len(experiments), "experiment")
    seconds = Remaining({label: estimates[label] for label in left}, workers).seconds()
    rest = f"{len(left)} to run, about {duration(seconds)}" if left else "all in the store"
    return f"{count}: {'; '.join(part for part in parts if part)}; {rest}"


def _listed(noun: str, names: Iterable[str | None]) -> str:
    known = list(dict.fromkeys(name for name in names if name))
    return ", ".join(known) if len(known) < 4 else counted(len(known), noun)
