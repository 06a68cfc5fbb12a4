"""``bench run --plan``: the experiments, how far each is, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ctypes.util import find_library
from dataclasses import dataclass

from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.errors import DataError
from bench.plan.experiment import Computation
from bench.plan.grid import Adapt, PlannedExperiment, freeze, grid_points
from bench.plan.progress import counted, duration
from bench.plan.spec import Spec
from bench.runs.estimate import TYPICAL_EPOCHS, Estimate, Estimator
from bench.runs.store import Store
from bench.settings import Settings

_BASES = {
    "history": "h = median of finished experiments like it in this store",
    "model": "m = floating-point operations over this machine's matrix-multiply speed, times the "
    f"method's cost, {TYPICAL_EPOCHS} epochs at most, good to a factor of a few",
}


@dataclass(frozen=True)
class PreviewRow:
    """One experiment of a plan.

    Attributes
    ----------
    label
        Readable name.
    key
        Of the experiment; None where its data are not on this machine.
    status
        ``done``, ``failed``, ``partial``, ``missing`` or ``data not here``.
    estimate
        Of its seconds; None where it is finished or its data are not here.
    """

    label: str
    key: str | None
    status: str
    estimate: Estimate | None


def preview_rows(
    spec: Spec, settings: Settings, adapt: Adapt | None = None
) -> tuple[list[PreviewRow], list[str]]:
    """Plan a specification without fetching or running anything.

    Parameters
    ----------
    spec
        Checked by :meth:`bench.plan.spec.Spec.check`.
    settings
        Folders of store, data and cache.
    adapt
        As for :func:`bench.plan.grid.make_plan`.

    Returns
    -------
    list of PreviewRow, list of str
        The experiments in the order in which they run, and one sentence for each data set that
        cannot be read here.
    """
    datasets, problems = _present(spec, settings)
    where = _computation(settings)
    store = Store(settings.store)
    estimator = Estimator(store)
    rows = []
    for point in grid_points(spec):
        dataset = datasets.get(point.source)
        if dataset is None:
            rows.append(PreviewRow(point.label, None, "data not here", None))
            continue
        own = adapt(point, spec, dataset) if adapt else spec
        experiment = freeze(point, own, dataset, settings.cache, where)
        status = store.status(experiment.key)
        estimate = None if status == "done" else estimator.estimate(experiment, dataset)
        rows.append(PreviewRow(experiment.label, experiment.key, status, estimate))
    return rows, problems


def _computation(settings: Settings) -> Computation:
    """Return how experiments would be computed, without torch where there is surely no GPU."""
    if settings.device == "cpu" or (settings.device == "auto" and not find_library("cuda")):
        return Computation(numerics=settings.numerics, threads=settings.threads)
    from bench.training.device import computation

    return computation(settings)


def preview(spec: Spec, settings: Settings, adapt: Adapt | None = None) -> str:
    """Render a plan as text; parameters are those of :func:`preview_rows`."""
    rows, problems = preview_rows(spec, settings, adapt)
    cells = [("experiment", "key", "status", "estimate"), *map(_cells, rows)]
    estimates = [row.estimate for row in rows if row.estimate is not None]
    return "\n".join([*_aligned(cells), "", *_totals(len(rows), estimates), *problems])


def announcement(
    plan: Sequence[PlannedExperiment],
    estimates: Mapping[str, float],
    store: Store,
    workers: int,
    place: str,
) -> str:
    """Return one line on what a run is about to do.

    Parameters
    ----------
    plan
        Its experiments.
    estimates
        Expected seconds by label.
    store
        Where results go; what it holds already is not run again.
    workers
        Experiments at the same time.
    place
        Device and threads, such as ``cpu, 1 thread each``.
    """
    experiments = [planned.experiment for planned in plan]
    left = [e.label for e in experiments if store.status(e.key) != "done"]
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
    seconds = sum(estimates[label] for label in left) / workers
    rest = f"{len(left)} to run, about {duration(seconds)}" if left else "all in the store"
    return f"{count}: {'; '.join(part for part in parts if part)}; {rest}"


def _listed(noun: str, names: Iterable[str | None]) -> str:
    known = list(dict.fromkeys(name for name in names if name))
    return ", ".join(known) if len(known) < 4 else counted(len(known), noun)


def _cells(row: PreviewRow) -> tuple[str, str, str, str]:
    estimate = row.estimate
    text = f"{duration(estimate.seconds)} ({estimate.basis[0]})" if estimate else "-"
    return row.label, (row.key or "-")[:12], row.status, text


def _present(spec: Spec, settings: Settings) -> tuple[dict[str, Dataset], list[str]]:
    datasets: dict[str, Dataset] = {}
    problems: list[str] = []
    for source in spec.sources:
        try:
            datasets[source] = load_dataset(source, settings)
        except DataError as error:
            problems.append(f"{source}: {error}")
    return datasets, problems


def _aligned(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _totals(experiments: int, estimates: list[Estimate]) -> list[str]:
    seconds = sum(estimate.seconds for estimate in estimates)
    bases = sorted({estimate.basis for estimate in estimates})
    line = (
        f"{counted(experiments, 'experiment')}, {len(estimates)} of them to run on the data at "
        f"hand: about {duration(seconds)} one after another"
    )
    return [
        line,
        *(_BASES[basis] for basis in bases),
    ]
