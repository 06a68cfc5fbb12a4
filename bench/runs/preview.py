"""``bench run --plan``: the cells, how far each is, and how long the rest will take."""

from __future__ import annotations

from pathlib import Path

from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.errors import DataError
from bench.runs.cell import Cell
from bench.runs.estimate import TYPICAL_EPOCHS, Estimate, Estimator
from bench.runs.plan import Adapt, as_given, combinations, freeze
from bench.runs.progress import duration
from bench.runs.spec import Spec
from bench.runs.store import Store

_BASES = {
    "history": "h = median of finished cells like it in this store",
    "model": "m = floating-point operations over this machine's matrix-multiply speed, times the "
    f"method's cost, {TYPICAL_EPOCHS} epochs at most, good to a factor of a few",
}


def preview(spec: Spec, root: Path, adapt: Adapt = as_given) -> str:
    """Render a plan without fetching or running anything.

    Parameters
    ----------
    spec
        Checked by :meth:`bench.runs.spec.Spec.check`.
    root
        Of the results store.
    adapt
        As :func:`bench.runs.plan.make_plan`.
    """
    datasets, problems = _present(spec)
    store = Store(root)
    estimator = Estimator(store)
    rows = [("cell", "key", "status", "estimate")]
    open_estimates: list[Estimate] = []
    for combination in combinations(spec):
        dataset = datasets.get(combination.source)
        if dataset is None:
            rows.append((combination.label, "-", "data not here", "-"))
            continue
        cell = freeze(combination, adapt(combination, spec, dataset), dataset)
        rows.append(_row(cell, dataset, store, estimator, open_estimates))
    return "\n".join([*_aligned(rows), "", *_totals(len(rows) - 1, open_estimates), *problems])


def _present(spec: Spec) -> tuple[dict[str, Dataset], list[str]]:
    datasets: dict[str, Dataset] = {}
    problems: list[str] = []
    for source in spec.datasets:
        try:
            datasets[source] = load_dataset(source, fetch=False)
        except DataError as error:
            problems.append(f"{source}: {error}")
    return datasets, problems


def _row(
    cell: Cell,
    dataset: Dataset,
    store: Store,
    estimator: Estimator,
    open_estimates: list[Estimate],
) -> tuple[str, str, str, str]:
    status = store.status(cell.key)
    if status == "done":
        return cell.label, cell.key[:12], status, "-"
    estimate = estimator.estimate(cell, dataset)
    open_estimates.append(estimate)
    text = f"{duration(estimate.seconds)} ({estimate.basis[0]})"
    return cell.label, cell.key[:12], status, text


def _aligned(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _totals(cells: int, estimates: list[Estimate]) -> list[str]:
    seconds = sum(estimate.seconds for estimate in estimates)
    bases = sorted({estimate.basis for estimate in estimates})
    line = (
        f"{cells} cells, {len(estimates)} of them to run on the data at hand: "
        f"about {duration(seconds)} one after another"
    )
    return [
        line,
        *(_BASES[basis] for basis in bases),
    ]
