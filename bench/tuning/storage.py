"""Optuna's side of a study: storage, sampler and pruner."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError

from bench.errors import BenchError, ConfigError, StoreError, first_line
from bench.files import atomic_path, locked
from bench.seeds import seed_for
from bench.settings import expanded, masked
from bench.tuning.plan import StudyPlan
from bench.tuning.records import JOURNAL, copies

BUSY_SECONDS = 120
"""Seconds that a process waits for its turn to write to SQLite."""
HEARTBEAT_SECONDS, GRACE_SECONDS = 30, 300
"""Between two signs of life of a trial on a server, and without any until it counts as dead."""
STARTUP_TRIALS, WARMUP_EPOCHS = 5, 5
"""Ended trials, and epochs of a trial, before the median rule prunes."""
REDUCTION = 3
"""Hyperband keeps one of this many at each rung."""
FIRST = b'{"op_code":'
"""How a journal begins."""
SEEDS = 2**32
"""NumPy's older generator, which Optuna draws from, takes smaller seeds only."""


def file_of(url: str) -> Path | None:
    """Return the file that a storage consists of; None for a database server."""
    if url.startswith(JOURNAL):
        return expanded(url.removeprefix(JOURNAL)).absolute()
    if not url.startswith("sqlite"):
        return None
    database = sqlalchemy.make_url(url).database
    if not database or database == ":memory:":
        raise ConfigError(
            f"--storage '{url}' names no file, and no other process can read a database in memory; "
            "write sqlite:///FILE"
        )
    if database.startswith("~"):
        raise ConfigError(f"--storage '{url}': a URL does not expand '~'; write the path out")
    return Path(database).absolute()


@contextmanager
def clear_errors(url: str, *, reading: bool = False) -> Iterator[None]:
    """Turn whatever a storage raises into one sentence.

    Where the block does nothing but open or read it, any error is about its content. Raise a
    ConfigError if the URL is wrong, its driver is not installed, or it leads to another program's
    data, and a StoreError if the storage cannot be reached, read or written.
    """
    shown = f"tuning storage {masked(url)}"
    try:
        yield
    except BenchError:
        raise
    except ImportError as error:
        missing = getattr(error.__cause__ or error, "name", None) or error
        raise ConfigError(
            f"{shown}: the driver '{missing}' is not installed; install its package with pip"
        ) from error
    except ArgumentError as error:
        raise ConfigError(
            f"{shown}: the address is neither 'journal:FILE' nor a URL such as 'sqlite:///FILE' or "
            "'postgresql+psycopg2://user@host/database'; correct it"
        ) from error
    except (StorageInternalError, SQLAlchemyError, OSError) as error:
        cause = masked(first_line(error.__cause__ or error))
        raise StoreError(
            f"{shown}: {cause}; make sure that it runs, is whole and can be written, then "
            "run the same command again"
        ) from error
    except Exception as error:
        if not reading:
            raise
        what = masked(" ".join(str(error).split())) or type(error).__name__
        raise ConfigError(
            f"{shown} is damaged or of another program, or its address is wrong ({what[:300]}); "
            "correct the address or name another storage"
        ) from error


def open_storage(url: str) -> BaseStorage:
    """Open a storage of studies; create it if it does not exist.

    The URL is ``journal:FILE`` or one of SQLAlchemy: ``sqlite:///FILE``, ``postgresql+psycopg2://...``,
    ``mysql+pymysql://...``. Errors are those of :func:`clear_errors`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Heartbeats are marked experimental, and meant for another loop than ask and tell.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")
    with clear_errors(url, reading=True):
        path = file_of(url)
        if path is None:
            return _on_server(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        if url.startswith(JOURNAL):
            return _journal(path)
        database = partial(_database, url, {"connect_args": {"timeout": BUSY_SECONDS}})
        if path.is_file() and not os.access(path.parent, os.W_OK):  # a store for reading alone
            return database()
        lock = path.with_name(f"{path.name}.lock")
        lock.touch()  # where it cannot, a lock would wait for ever
        with locked(lock):  # of two that begin together, one makes the tables
            return database()


class _MendingLock(JournalFileSymlinkLock):
    """Lock of a journal whose holder first drops a line that a killed process left unfinished.

    Whatever is appended to such a line is lost with it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def acquire(self) -> bool:
        """Take the lock and mend the file."""
        taken = super().acquire()
        with self._path.open("r+b") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 1))
            if stream.read() not in {b"", b"\n"}:
                stream.seek(0)
                stream.truncate(stream.read().rfind(b"\n") + 1)
        return taken


def _journal(path: Path) -> BaseStorage:
    if path.is_file():  # Optuna would append to whatever it is
        with path.open("rb") as stream:
            if not FIRST.startswith(stream.read(len(FIRST))):
                raise ValueError("no journal of Optuna")
    return JournalStorage(JournalFileBackend(str(path), _MendingLock(path)))


def _database(url: str, engine: dict[str, Any], **more: Any) -> BaseStorage:
    """Check a database's tables before opening it: Optuna adds its own to any database."""
    from optuna.storages._rdb.models import BaseModel

    connected = sqlalchemy.create_engine(url, **engine)
    try:
        present = set(sqlalchemy.inspect(connected).get_table_names())
        if "alembic_version" in present and "version_info" not in present:
            raise ValueError("it holds the tables of another program")
        missing = BaseModel.metadata.tables.keys() - present
        if missing and "studies" in present:
            with connected.connect() as connection:
                if connection.execute(sqlalchemy.text("SELECT 1 FROM studies")).first():
                    raise ValueError(f"it lacks the table {min(missing)}")
    finally:
        connected.dispose()
    return RDBStorage(url, engine_kwargs=engine, **more)


def _on_server(url: str) -> BaseStorage:
    beats = {"heartbeat_interval": HEARTBEAT_SECONDS, "grace_period": GRACE_SECONDS}
    server = partial(_database, url, {"pool_pre_ping": True}, **beats)
    try:
        return server()
    except (IntegrityError, ProgrammingError):  # another machine makes the tables right now
        time.sleep(1)
        return server()


def open_study(plan: StudyPlan, storage: BaseStorage) -> optuna.Study:
    """Open the study of a plan, with the default configuration first in its queue.

    ``median`` prunes what is below the median of earlier trials at the same epoch; ``hyperband`` is
    that of Li et al., JMLR 2018.
    """
    most = plan.experiment.training.epochs
    pruners = {
        "median": MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS),
        "hyperband": HyperbandPruner(1, most, REDUCTION),
        "none": NopPruner(),
    }
    study = optuna.create_study(
        study_name=plan.name,
        storage=storage,
        pruner=pruners[plan.pruning],
        direction="maximize",
        load_if_exists=True,
    )
    study.sampler = SeededTPE(lambda: study.get_trials(deepcopy=False), "tuning", plan.key)
    if "about" not in study.user_attrs:
        study.set_user_attr("about", plan.about())
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(plan.default, user_attrs={"default": True})
    return study


class SeededTPE(TPESampler):
    """Multivariate TPE (Bergstra et al., NeurIPS 2011), seeded anew for each trial.

    A sampler with one seed would draw the same numbers again in every process. Here the seed is
    derived from some axes and the trial's place among those that count, so a study that is killed
    and resumed suggests, with one worker, what it would have suggested. Running trials count as bad
    ones, so that parallel workers look elsewhere. ``trials`` returns all trials of the study:
    Hyperband hands a sampler those of one bracket only.
    """

    def __init__(self, trials: Callable[[], Collection[FrozenTrial]], *axes: str | int) -> None:
        self._trials = trials
        self._axes = axes
        super().__init__(multivariate=True, constant_liar=True)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed all generators."""
        before = [other for other in self._trials() if other.number < trial.number]
        place = sum("surplus" not in other.user_attrs for other in before)
        seed = seed_for(*self._axes, place) % SEEDS
        super().__init__(multivariate=True, constant_liar=True, seed=seed)
        super().before_trial(study, trial)


def keep_copies(plans: Sequence[StudyPlan], storage: BaseStorage, root: Path, *, own: bool) -> None:
    """Copy the studies of another storage into the store, for reports and later runs."""
    for plan in plans:
        target = copies(root) / f"{plan.name}.log"
        if own:
            target.unlink(missing_ok=True)
            continue
        with atomic_path(target) as temporary:
            journal = JournalStorage(JournalFileBackend(str(temporary)))
            names = {"from_study_name": plan.name, "to_study_name": plan.name}
            optuna.copy_study(from_storage=storage, to_storage=journal, **names)
