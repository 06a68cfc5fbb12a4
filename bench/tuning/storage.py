"""Optuna's side of a study: storage, sampler and pruner."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError

from bench.errors import ConfigError, StoreError
from bench.files import locked
from bench.seeds import seed_for
from bench.settings import expanded, masked
from bench.tuning.plan import Pruning, StudyPlan
from bench.tuning.records import JOURNAL, place_of

BUSY_SECONDS = 120
"""How long a process waits for its turn to write SQLite."""
HEARTBEAT_SECONDS, GRACE_SECONDS = 30, 300
"""Between two signs of life of a trial on a server, and without any until it counts as dead."""
STARTUP_TRIALS, WARMUP_EPOCHS = 5, 5
"""Ended trials, and epochs of a trial, before the median rule prunes."""
REDUCTION = 3
"""Hyperband keeps one of this many at each rung."""
SEEDS = 2**32
"""NumPy's older generator, which Optuna draws from, takes smaller seeds only."""


def file_of(url: str) -> Path | None:
    """Return the file that a storage consists of; None for a database server.

    Raises
    ------
    ConfigError
        An SQLite database in memory, which no other process can read.
    """
    if url.startswith(JOURNAL):
        return expanded(url.removeprefix(JOURNAL)).absolute()
    if not url.startswith("sqlite"):
        return None
    database = make_url(url).database
    if not database or database == ":memory:":
        raise ConfigError(
            f"--storage '{url}' names no file, and no other process can read a database in memory; "
            "write sqlite:///FILE"
        )
    return Path(database).absolute()


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn whatever a storage raises into one sentence.

    Raises
    ------
    ConfigError
        The URL is wrong, its driver is not installed, or another version of Optuna made it.
    StoreError
        The storage cannot be reached, read or written.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"--storage {masked(url)}: its driver is not installed ({error}); install it with pip"
        ) from error
    except ArgumentError as error:
        raise ConfigError(
            f"--storage '{masked(url)}' is neither 'journal:FILE' nor a URL such as "
            "'sqlite:///FILE' or 'postgresql+psycopg2://user@host/database'; correct it"
        ) from error
    except (StorageInternalError, SQLAlchemyError, OSError) as error:
        cause = error.__cause__ or error
        first = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        raise StoreError(
            f"tuning storage {masked(url)}: {masked(first)}; make sure that it runs and can be "
            "written, then run the same command again"
        ) from error


def open_storage(url: str) -> BaseStorage:
    """Open a storage of studies; make it where it does not exist.

    Parameters
    ----------
    url
        ``journal:FILE`` or a URL of SQLAlchemy: ``sqlite:///FILE``, ``postgresql+psycopg2://...``,
        ``mysql+pymysql://...``.

    Raises
    ------
    ConfigError, StoreError
        As :func:`storage_errors`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Heartbeats and retries are marked experimental, and meant for another loop than ask and tell.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")
    try:
        with storage_errors(url):
            return _journal(url) if url.startswith(JOURNAL) else _database(url)
    except (ValueError, LookupError) as error:
        raise ConfigError(
            f"--storage '{masked(url)}' is damaged, or a part of its address is wrong ({error}); "
            "correct it or name another"
        ) from error
    except RuntimeError as error:  # Optuna's word on a database with other tables
        text = " ".join(str(error).split())
        raise ConfigError(f"--storage '{masked(url)}': {text}") from error


def _journal(url: str) -> BaseStorage:
    path = expanded(url.removeprefix(JOURNAL))
    if path.is_file() and not _is_journal(path):  # Optuna would append to whatever it is
        raise ConfigError(
            f"--storage '{url}' is no journal of tuning; name another file, or one that does not "
            "exist yet"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))


def _is_journal(path: Path) -> bool:
    """Return whether a file is empty or begins with an entry of Optuna's journal."""
    with path.open("rb") as stream:
        line = stream.readline(1 << 20)
    try:
        return "op_code" in dict(json.loads(line or b'{"op_code": 0}'))
    except (ValueError, TypeError):
        return False


def _database(url: str) -> BaseStorage:
    path = file_of(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}.lock").touch()  # where it cannot, a lock would wait for ever
        arguments = {"connect_args": {"timeout": BUSY_SECONDS}}
        # Of two that begin together, one makes the tables.
        with locked(path.with_name(f"{path.name}.lock")):
            return RDBStorage(url, engine_kwargs=arguments)
    server = partial(
        RDBStorage,
        url,
        engine_kwargs={"pool_pre_ping": True},
        heartbeat_interval=HEARTBEAT_SECONDS,
        grace_period=GRACE_SECONDS,
    )
    try:
        return server()
    except (IntegrityError, ProgrammingError):  # another machine makes the tables right now
        time.sleep(1)
        return server()


def open_study(plan: StudyPlan, storage: BaseStorage) -> optuna.Study:
    """Open the study of a plan, with the default configuration first in its queue."""
    study = optuna.create_study(
        study_name=plan.name,
        storage=storage,
        pruner=pruner_for(plan.pruning, plan.experiment.training.epochs),
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
    the trial's place among those that count, so a study that is killed and resumed suggests, with
    one worker, what it would have suggested. Running trials count as bad ones, so that parallel
    workers look elsewhere.

    Parameters
    ----------
    trials
        Returns all trials of the study. Hyperband hands a sampler the trials of one bracket only.
    *axes
        Names that every seed derives from.
    """

    def __init__(self, trials: Callable[[], Collection[FrozenTrial]], *axes: str | int) -> None:
        self._trials = trials
        self._axes = axes
        super().__init__(multivariate=True, constant_liar=True)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed all generators."""
        seed = seed_for(*self._axes, place_of(trial.number, self._trials())) % SEEDS
        super().__init__(multivariate=True, constant_liar=True, seed=seed)
        super().before_trial(study, trial)


def pruner_for(pruning: Pruning, epochs: int) -> BasePruner:
    """Return the rule that ends hopeless trials of at most so many epochs.

    ``median`` ends what is below the median of earlier trials at the same epoch; ``hyperband`` is
    that of Li et al., JMLR 2018.
    """
    if pruning == "median":
        return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS)
    if pruning == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=REDUCTION)
    return NopPruner()
