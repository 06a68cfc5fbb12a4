"""Write items into MLflow so that doing it twice, or half, harms nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bench.errors import StoreError
from bench.tracking.items import Item, Name, Outline, Point
from bench.tracking.where import Destination

if TYPE_CHECKING:
    from mlflow.entities import Run

KIND, KEY, DELIVERED = "bench.kind", "bench.key", "bench.delivered"
MOST_METRICS, MOST_PARAMS, MOST_LENGTH = 1000, 100, 5000
"""MLflow's limits on one request, and somewhat less than its limit on the length of a value."""
PAGE = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class Known:
    """An MLflow run that stands for an item.

    Attributes
    ----------
    run_id
        MLflow's.
    digest
        What of the item was delivered whole; empty where a delivery was cut short.
    parent
        MLflow's identity of the parent; empty without one.
    """

    run_id: str
    digest: str
    parent: str


@contextmanager
def tracking_errors(where: Destination) -> Iterator[None]:
    """Say in one sentence that a destination fails.

    Raises
    ------
    StoreError
        It cannot be reached, or refuses.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:  # requests' errors are OSErrors
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise StoreError(f"MLflow at {where.shown}: {first[:300]}") from error


class Tracker:
    """One experiment of one MLflow.

    Parameters
    ----------
    where
        The destination; the experiment is made if it is not there.

    Raises
    ------
    StoreError
        MLflow cannot be reached.
    """

    def __init__(self, where: Destination) -> None:
        from mlflow import MlflowClient

        self._where = where
        if where.artifacts is not None:
            where.artifacts.parent.mkdir(parents=True, exist_ok=True)
        with tracking_errors(where):
            self._client = MlflowClient(tracking_uri=where.uri)
            self._experiment = self._find_experiment()

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._where.experiment)
        if found is None:
            artifacts = self._where.artifacts
            location = None if artifacts is None else artifacts.as_uri()
            return str(self._client.create_experiment(self._where.experiment, location))
        if found.lifecycle_stage != "active":
            raise StoreError(
                f"MLflow at {self._where.shown}: the experiment '{self._where.experiment}' is "
                "deleted; restore it, or set MLFLOW_EXPERIMENT_NAME"
            )
        return str(found.experiment_id)

    def index(self) -> dict[Name, Known]:
        """Find what is there; of two runs for one item the later is deleted.

        Two machines may have delivered the same experiment at the same moment.

        Raises
        ------
        StoreError
            MLflow fails.
        """
        found: dict[Name, Known] = {}
        with tracking_errors(self._where):
            for run in sorted(self._runs(), key=_whole_and_early):
                tags = run.data.tags
                if KEY not in tags or KIND not in tags:
                    continue
                name: Name = (tags[KIND], tags[KEY])
                if name in found:
                    self._client.delete_run(run.info.run_id)
                    continue
                parent = tags.get("mlflow.parentRunId", "")
                found[name] = Known(run.info.run_id, tags.get(DELIVERED, ""), parent)
        return found

    def _runs(self) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def deliver(self, outline: Outline, known: Known | None, parent: str) -> Known:
        """Make a run for an item, or complete the one that is there.

        The mark that a delivery is whole is written last.

        Parameters
        ----------
        outline
            The item.
        known
            The run that is there.
        parent
            MLflow's identity of the parent run; empty without one.

        Raises
        ------
        BenchError
            The store or MLflow fails.
        """
        item = outline.load()
        with tracking_errors(self._where):
            run_id = known.run_id if known else self._create(outline, item, parent)
            there = self._points_there(run_id) if known else set()
            points = [p for p in item.points if (p.name, p.step) not in there]
            self._log(run_id, item, points)
            if parent:
                self._client.set_tag(run_id, "mlflow.parentRunId", parent)
            self._log_files(run_id, item)
            if item.status == "RUNNING":
                self._client.update_run(run_id, status="RUNNING")
            else:
                self._client.set_terminated(run_id, item.status, _milliseconds(item.ended))
            self._client.set_tag(run_id, DELIVERED, outline.digest)
        return Known(run_id, outline.digest, parent)

    def _create(self, outline: Outline, item: Item, parent: str) -> str:
        tags = {KIND: outline.kind, KEY: outline.key}
        if parent:
            tags["mlflow.parentRunId"] = parent
        run = self._client.create_run(
            self._experiment, _milliseconds(item.begun), tags, run_name=item.title
        )
        return str(run.info.run_id)

    def _points_there(self, run_id: str) -> set[tuple[str, int]]:
        names = self._client.get_run(run_id).data.metrics
        return {
            (name, point.step)
            for name in names
            for point in self._client.get_metric_history(run_id, name)
        }

    def _log(self, run_id: str, item: Item, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(name, value[:MOST_LENGTH]) for name, value in item.params.items()]
        tags = [RunTag(name, value[:MOST_LENGTH]) for name, value in item.tags.items()]
        metrics = [
            Metric(point.name, point.value, round(point.when * 1000), point.step)
            for point in points
        ]
        for some in _chunks(params, MOST_PARAMS):
            self._client.log_batch(run_id, params=some)
        for some_tags in _chunks(tags, MOST_PARAMS):
            self._client.log_batch(run_id, tags=some_tags)
        for some_metrics in _chunks(metrics, MOST_METRICS):
            self._client.log_batch(run_id, metrics=some_metrics)

    def _log_files(self, run_id: str, item: Item) -> None:
        with tempfile.TemporaryDirectory() as name:
            item.write(Path(name))
            if any(Path(name).iterdir()):
                self._client.log_artifacts(run_id, name)


def _whole_and_early(run: Run) -> tuple[bool, int, str]:
    return DELIVERED not in run.data.tags, run.info.start_time or 0, run.info.run_id


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))
