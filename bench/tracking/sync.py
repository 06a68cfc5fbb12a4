"""Log to MLflow what it lacks; repeating or interrupting this does no harm."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, StoreError, first_line
from bench.files import atomic_path, locked
from bench.hashing import content_hash
from bench.runs.store import Store
from bench.settings import Settings, masked
from bench.tracking.destination import Destination, destination
from bench.tracking.items import Item, RunData, items

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run

KIND, KEY, DIGEST = "bench.kind", "bench.key", "bench.delivered"
"""Tags that identify a run and, written last, say how much of it was logged."""
PARENT = "mlflow.parentRunId"
BATCH, LONGEST = 1000, 5000
"""Most metrics in one request of MLflow, and less than the most characters of a value."""
MOST_PAGES, MOST_BYTES = 1000, 2**26
"""Bounds on what a server may answer: pages of runs, and bytes of one answer."""
FAILURES_IN_A_ROW = 3
"""Number of consecutive failures after which MLflow counts as down."""
LOCK_SECONDS = 60.0
"""Seconds to wait for another process that logs the same store to the same MLflow."""
STALL_SECONDS = 300.0
"""Seconds that :func:`sync_bounded` waits for the next item."""


@dataclass
class Counts:
    """Number of items in a store, logged now and logged before, and what went wrong."""

    items: int
    logged: int = 0
    present: int = 0
    problem: str = ""

    @property
    def left(self) -> int:
        """Items that MLflow still lacks."""
        return self.items - self.logged - self.present


def sync_bounded(settings: Settings, report: Callable[[str], None]) -> Counts:
    """Log whatever MLflow lacks, as :func:`sync` does.

    Raise a StoreError if nothing was logged for :data:`STALL_SECONDS`.
    """
    news: SimpleQueue[str | Counts | Exception] = SimpleQueue()

    def work() -> None:
        try:
            news.put(sync(settings, news.put))
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            news.put(error)

    threading.Thread(target=work, name="mlflow", daemon=True).start()
    with suppress(Empty):
        while isinstance(latest := news.get(timeout=STALL_SECONDS), str):
            report(latest)
        if isinstance(latest, Exception):
            raise latest
        return latest
    raise StoreError(
        f"MLflow at {destination(settings).shown} accepted nothing for {STALL_SECONDS:.0f} s; "
        "check the server, then run the same command again"
    )


def sync(
    settings: Settings,
    report: Callable[[str], None] = lambda _: None,
    keys: Collection[str] | None = None,
    *,
    timeout: int = 30,
    retries: int = 2,
) -> Counts:
    """Compare a store with MLflow and log what is missing, has changed or was cut short.

    ``report`` is called with a line for each logged item. ``keys`` of runs, experiments and studies
    restrict the comparison. The timeout is in seconds for one answer of a server, retries are those
    of a request. Raise a BenchError if MLflow cannot be reached or must not be, or a record is
    damaged.
    """
    where, root = destination(settings), settings.store.absolute()
    listed = list(items(Store(root), keys))
    counts = Counts(len(listed))
    lock = root / "locks" / f"tracking-{content_hash(where.uri)[:12]}.lock"
    with locked(lock, timeout=LOCK_SECONDS) as held:
        if not held:
            counts.problem = "another process logs from this store; try again later"
            return counts
        client = _Client(where, timeout, retries)
        # The trials of a study share the first characters of their keys.
        runs = client.find([""] if keys is None else {item.key[:12] for item in listed})
        in_a_row = 0
        for item in listed:
            run = runs.get(item.key)
            parent = runs[item.parent].info.run_id if item.parent in runs else ""
            tags = run.data.tags if run else {}
            if (tags.get(DIGEST), tags.get(PARENT, "")) == (item.digest, parent):
                counts.present += 1
                continue
            try:
                data = item.load()
            except Exception as error:  # noqa: BLE001 - the store's, which says nothing of MLflow
                named = "" if isinstance(error, BenchError) else f"{item.kind} {item.key[:12]}: "
                counts.problem = counts.problem or f"{named}{error}"
                continue
            try:
                runs[item.key] = client.log(item, data, run, parent)
            except BenchError as error:
                counts.problem = counts.problem or str(error)
                in_a_row += 1
                if in_a_row == FAILURES_IN_A_ROW:
                    break
            else:
                in_a_row = 0
                counts.logged += 1
                report(f"{item.kind} {item.key[:12]} logged")
    return counts


class _Client:
    """MLflow's client for one experiment, which is made if it is missing."""

    def __init__(self, where: Destination, timeout: int, retries: int) -> None:
        _configure(timeout, retries)
        self._where = where
        with self._errors():
            if where.uri.startswith("sqlite"):
                _make_database(where)
            from mlflow import MlflowClient

            if where.uri.startswith("http"):
                _bound_answers(where.uri, timeout)
            self._client = MlflowClient(tracking_uri=where.uri)
            experiment = self._experiment()
            where.check_artifacts(experiment.artifact_location)
            self._experiment_id = str(experiment.experiment_id)

    def find(self, prefixes: Iterable[str]) -> dict[str, Run]:
        """Find the runs whose keys begin in one of several ways, by key.

        Of two runs for one item, such as two machines may begin at the same moment, the
        incomplete or later one is deleted.
        """
        found: dict[str, Run] = {}
        with self._errors():
            runs = [run for prefix in prefixes for run in self._search(prefix)]
            for run in sorted(runs, key=_complete_and_early):
                if found.setdefault(run.data.tags[KEY], run) is not run:
                    self._client.delete_run(run.info.run_id)
        return found

    def log(self, item: Item, data: RunData, run: Run | None, parent: str) -> Run:
        """Create the run of an item, or complete an existing one.

        MLflow keeps one of several equal metrics, so existing ones may be logged again.
        """
        from mlflow.entities import DatasetInput, InputTag, Param, RunTag
        from mlflow.tracking.context.registry import resolve_tags

        with self._errors():
            if run is None:
                # The commit that MLflow finds is that of whatever calls bench, at this moment.
                named = {name: v for name, v in resolve_tags().items() if ".git." not in name}
                named |= {KIND: item.kind, KEY: item.key}
                begun = _ms(data.begun)
                run = self._client.create_run(self._experiment_id, begun, named, data.title)
            run_id = run.info.run_id
            self._where.check_artifacts(run.info.artifact_uri)
            tagged = {**data.tags, **({PARENT: parent} if parent else {})}
            params = [Param(name, value[:LONGEST]) for name, value in data.params.items()]
            tags = [RunTag(name, value[:LONGEST]) for name, value in tagged.items()]
            self._client.log_batch(run_id, params=params, tags=tags)
            for start in range(0, len(data.metrics), BATCH):
                self._client.log_batch(run_id, metrics=data.metrics[start : start + BATCH])
            if data.dataset is not None:
                context = InputTag("mlflow.data.context", "training")
                self._client.log_inputs(run_id, [DatasetInput(data.dataset, [context])])
            with tempfile.TemporaryDirectory() as folder:
                data.write(Path(folder))
                self._client.log_artifacts(run_id, folder)
            if data.status == "RUNNING":
                self._client.update_run(run_id, status="RUNNING")
            else:
                self._client.set_terminated(run_id, data.status, _ms(data.ended))
            self._client.set_tag(run_id, DIGEST, item.digest)
        return run

    def _experiment(self) -> Experiment:
        name, folder = self._where.experiment, self._where.folder
        location = None if folder is None else (folder / "artifacts").as_uri()
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return self._client.get_experiment(self._client.create_experiment(name, location))
        if found.lifecycle_stage != "active":
            raise StoreError(
                f"MLflow at {self._where.shown}: the experiment '{name}' is deleted; restore it, "
                "or set MLFLOW_EXPERIMENT_NAME"
            )
        before = str(found.artifact_location)
        if folder is None or before == location or not before.endswith("/tracking/artifacts"):
            return found
        # The store was moved or copied; MLflow would write to where it was.
        with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                moved = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608
                connection.execute(moved, (before, location))
        return self._client.get_experiment(found.experiment_id)

    def _search(self, prefix: str) -> Iterator[Run]:
        token, condition = None, f"tags.`{KEY}` LIKE '{prefix}%'"
        for _ in range(MOST_PAGES):
            page = self._client.search_runs([self._experiment_id], condition, page_token=token)
            yield from page
            token = page.token
            if not token:
                return
        raise StoreError(
            f"MLflow at {self._where.shown} lists runs without end; look at the server"
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BenchError:
            raise
        except ImportError as error:
            raise StoreError(
                f"MLflow at {self._where.shown} needs the package '{error.name}', which is not "
                "installed; install it with pip"
            ) from error
        except Exception as error:  # MLflow raises whatever its libraries raise
            cause = first_line(error)[:300]
            raise StoreError(masked(f"MLflow at {self._where.shown}: {cause}")) from error


def _configure(timeout: int, retries: int) -> None:
    """Limit how long MLflow waits and silence it, which only its environment variables can."""
    for name, value in {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


@cache
def _bound_answers(uri: str, timeout: int) -> None:
    """Bound time and size of a server's answers: a timeout of requests is that of one read."""
    from requests.adapters import HTTPAdapter
    from requests.exceptions import ConnectionError as NoAnswerError

    send = HTTPAdapter.send

    def bounded(self: HTTPAdapter, request: Any, *args: Any, **kwargs: Any) -> Any:
        response = send(self, request, *args, **kwargs)
        if str(request.url).startswith(uri) and not kwargs.get("stream"):
            content, until = bytearray(), time.monotonic() + timeout
            while part := response.raw.read1(2**16, decode_content=True):
                content += part
                if len(content) > MOST_BYTES or time.monotonic() > until:
                    response.close()
                    raise NoAnswerError("the server answers without end")
            response._content = bytes(content)  # noqa: SLF001 - what reading it all would set
        return response

    HTTPAdapter.send = bounded  # type: ignore[method-assign]


def _make_database(where: Destination) -> None:
    """Create a new SQLite database under a temporary name, so that it is complete or missing.

    One that is there is looked at first: MLflow tries for minutes to open a damaged one, and adds
    its tables to that of another program. In the store, one without runs that MLflow cannot open
    was left by a process that died while it made the tables, and is created again.
    """
    from sqlalchemy import make_url

    url = make_url(where.uri)
    path = Path(url.database or ":memory:")
    if path.name == ":memory:" or str(path).startswith("file:"):
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    def make(file: Path) -> None:
        address = url.set(drivername="sqlite+pysqlite", database=str(file.absolute()))
        artifacts = path.with_name("artifacts").absolute().as_uri()
        made = SqlAlchemyStore(address.render_as_string(), artifacts)  # type: ignore[no-untyped-call]
        made.engine.dispose()

    if path.exists() and path.stat().st_size > 0:
        with closing(sqlite3.connect(path)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if names and "experiments" not in names:
                raise StoreError(f"{path} is the database of another program; name another")
            if "runs" in names and connection.execute("SELECT 1 FROM runs").fetchone():
                return
        try:
            with tempfile.TemporaryDirectory() as folder:  # MLflow keeps what it opens once
                make(shutil.copyfile(path, Path(folder) / path.name))
        except Exception:
            if where.folder is None:
                raise
        else:
            return
        for rest in ("-journal", "-wal", "-shm"):  # SQLite would apply them to the new one
            path.with_name(f"{path.name}{rest}").unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        make(temporary)


def _complete_and_early(run: Run) -> tuple[bool, int, str]:
    return DIGEST not in run.data.tags, run.info.start_time or 0, run.info.run_id


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
