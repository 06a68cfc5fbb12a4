"""``bench run --plan``: the experiments, how far each is, and how long the rest will take."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.errors import DataError
from bench.plan.grid import Adapt, freeze, grid_points
from bench.plan.progress import duration
from bench.plan.spec import Spec
from bench.runs.estimate import TYPICAL_EPOCHS, Estimate, Estimator
from bench.runs.store import Store
from bench.settings import Settings
from bench.training.device import computation

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
    where = computation(settings)
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


def preview(spec: Spec, settings: Settings, adapt: Adapt | None = None) -> str:
    """Render a plan as text; parameters are those of :func:`preview_rows`."""
    rows, problems = preview_rows(spec, settings, adapt)
    cells = [("experiment", "key", "status", "estimate"), *map(_cells, rows)]
    estimates = [row.estimate for row in rows if row.estimate is not None]
    return "\n".join([*_aligned(cells), "", *_totals(len(rows), estimates), *problems])


def _cells(row: PreviewRow) -> tuple[str, str, str, str]:
    estimate = row.estimate
    text = f"{duration(estimate.seconds)} ({estimate.basis[0]})" if estimate else "-"
    return row.label, (row.key or "-")[:12], row.status, text


def _present(spec: Spec, settings: Settings) -> tuple[dict[str, Dataset], list[str]]:
    datasets: dict[str, Dataset] = {}
    problems: list[str] = []
    for source in spec.datasets:
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
    noun = "experiment" if experiments == 1 else "experiments"
    line = (
        f"{experiments} {noun}, {len(estimates)} of them to run on the data at hand: "
        f"about {duration(seconds)} one after another"
    )
    return [
        line,
        *(_BASES[basis] for basis in bases),
    ]
