"""``bench run --plan``: the experiments, how far each is, and how long the rest will take."""

from __future__ import annotations

from pathlib import Path

from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.errors import DataError
from bench.plan.experiment import Experiment
from bench.plan.grid import Adapt, as_given, freeze, grid_points
from bench.plan.progress import duration
from bench.plan.spec import Spec
from bench.runs.estimate import TYPICAL_EPOCHS, Estimate, Estimator
from bench.runs.store import Store
from bench.settings import Settings

_BASES = {
    "history": "h = median of finished experiments like it in this store",
    "model": "m = floating-point operations over this machine's matrix-multiply speed, times the "
    f"method's cost, {TYPICAL_EPOCHS} epochs at most, good to a factor of a few",
}


def preview(spec: Spec, root: Path, adapt: Adapt = as_given) -> str:
    """Render a plan without fetching or running anything.

    Parameters
    ----------
    spec
        Checked by :meth:`bench.plan.spec.Spec.check`.
    root
        Of the results store.
    adapt
        As :func:`bench.plan.grid.make_plan`.
    """
    settings = Settings.from_environment()
    datasets, problems = _present(spec, settings)
    store = Store(root)
    estimator = Estimator(store)
    rows = [("experiment", "key", "status", "estimate")]
    open_estimates: list[Estimate] = []
    for point in grid_points(spec):
        dataset = datasets.get(point.source)
        if dataset is None:
            rows.append((point.label, "-", "data not here", "-"))
            continue
        experiment = freeze(point, adapt(point, spec, dataset), dataset, settings.cache)
        rows.append(_row(experiment, dataset, store, estimator, open_estimates))
    return "\n".join([*_aligned(rows), "", *_totals(len(rows) - 1, open_estimates), *problems])


def _present(spec: Spec, settings: Settings) -> tuple[dict[str, Dataset], list[str]]:
    datasets: dict[str, Dataset] = {}
    problems: list[str] = []
    for source in spec.datasets:
        try:
            datasets[source] = load_dataset(source, settings)
        except DataError as error:
            problems.append(f"{source}: {error}")
    return datasets, problems


def _row(
    experiment: Experiment,
    dataset: Dataset,
    store: Store,
    estimator: Estimator,
    open_estimates: list[Estimate],
) -> tuple[str, str, str, str]:
    status = store.status(experiment.key)
    if status == "done":
        return experiment.label, experiment.key[:12], status, "-"
    estimate = estimator.estimate(experiment, dataset)
    open_estimates.append(estimate)
    text = f"{duration(estimate.seconds)} ({estimate.basis[0]})"
    return experiment.label, experiment.key[:12], status, text


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
        f"{experiments} experiments, {len(estimates)} of them to run on the data at hand: "
        f"about {duration(seconds)} one after another"
    )
    return [
        line,
        *(_BASES[basis] for basis in bases),
    ]
