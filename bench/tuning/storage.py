"""Optuna's side of a study: storage, distributions, pruner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.errors import BenchError, ConfigError, StoreError
from bench.settings import expanded
from bench.tuning.plan import Pruning, StudyPlan
from bench.tuning.space import Choices, Dimension

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.storages import BaseStorage

JOURNAL = "journal:"
"""Before the path of a journal file."""
BUSY_SECONDS = 120
"""How long a process waits for its turn to write SQLite."""
STARTUP_TRIALS = 5
"""Ended trials before the median rule prunes."""
WARMUP_EPOCHS = 5
"""Epochs in which the median rule prunes nothing."""
REDUCTION = 3
"""Hyperband keeps one of this many at each rung."""


def default_url(root: Path) -> str:
    """URL of the SQLite file in a results store."""
    return f"sqlite:///{(root / 'tuning' / 'optuna.db').absolute()}"


def masked(url: str) -> str:
    """Hide the password of a URL.

    Examples
    --------
    >>> masked("postgresql+psycopg2://me:secret@host/studies")
    'postgresql+psycopg2://me:***@host/studies'
    """
    try:
        password = urlsplit(url).password
    except ValueError:
        return url
    return url.replace(f":{password}@", ":***@", 1) if password else url


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Say in one sentence what is wrong with a storage.

    Raises
    ------
    StoreError
        It cannot be reached, read or written.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError, OSError) as error:
        cause = error.__cause__ or error
        first = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        raise StoreError(
            f"tuning storage {masked(url)}: {first}; see that it runs and can be written, then run "
            "the same command again"
        ) from error


def open_storage(url: str) -> BaseStorage:
    """Open, and where needed make, a storage of studies.

    Parameters
    ----------
    url
        ``journal:FILE`` or a URL of SQLAlchemy: ``sqlite:///FILE``, ``postgresql+psycopg2://...``,
        ``mysql+pymysql://...``.

    Raises
    ------
    ConfigError
        The URL is none, or its driver is not installed.
    StoreError
        The storage cannot be reached.
    """
    import optuna
    from sqlalchemy.exc import ArgumentError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with storage_errors(url):
            return _journal(url) if url.startswith(JOURNAL) else _database(url)
    except ImportError as error:
        raise ConfigError(
            f"--storage {masked(url)}: its driver is not installed ({error}); install it with pip"
        ) from error
    except (ValueError, LookupError) as error:
        raise ConfigError(
            f"--storage '{masked(url)}' is damaged, or a part of its address is none ({error}); "
            "correct it or name another"
        ) from error
    except BenchError as error:
        if isinstance(error.__cause__, ArgumentError):
            raise ConfigError(
                f"--storage '{masked(url)}' is neither 'journal:FILE' nor a URL such as "
                "'sqlite:///FILE' or 'postgresql+psycopg2://user@host/database'; correct it"
            ) from error
        raise


def _journal(url: str) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = expanded(url.removeprefix(JOURNAL))
    if path.is_file() and not _is_journal(path):  # Optuna would append to whatever it is
        raise ConfigError(
            f"--storage '{url}' is no journal of tuning; name another file, or one not there yet"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))


def _is_journal(path: Path) -> bool:
    """Whether a file is empty or begins with an entry of Optuna's journal."""
    with path.open("rb") as stream:
        line = stream.readline(1 << 20)
    try:
        entry = json.loads(line or b'{"op_code": 0}')
    except ValueError:
        return False
    return isinstance(entry, dict) and "op_code" in entry


def _database(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage

    if not url.startswith("sqlite"):
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    path = Path(url.partition("///")[2])
    if not path.name or path.name == ":memory:":
        raise ConfigError(
            f"--storage '{url}' names no file, and what lies in memory no other process can read; "
            "write sqlite:///FILE"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}})


def open_study(plan: StudyPlan, storage: BaseStorage) -> optuna.Study:
    """Open a study, made if it is not there.

    Parameters
    ----------
    plan
        Names it.
    storage
        Where it lies.
    """
    import optuna

    from bench.tuning.sampler import SeededTPE

    pruner = pruner_for(plan.pruning, plan.experiment.training.epochs)
    study = optuna.create_study(
        study_name=plan.name,
        storage=storage,
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )
    study.sampler = SeededTPE(lambda: study.get_trials(deepcopy=False), "tuning", plan.key)
    return study


def enqueue_default(plan: StudyPlan, study: optuna.Study) -> None:
    """Let the default configuration be the first trial of a study without trials."""
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(plan.default, user_attrs={"default": True, "origin": "default"})


def distributions(plan: StudyPlan) -> dict[str, BaseDistribution]:
    """Give Optuna's form of a space."""
    return {name: _distribution(dimension) for name, dimension in plan.space.items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.choices)
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def pruner_for(pruning: Pruning, epochs: int) -> BasePruner:
    """Give the rule that ends hopeless trials.

    Parameters
    ----------
    pruning
        ``median``: end what is below the median of earlier trials at the same epoch;
        ``hyperband`` (Li et al., JMLR 2018); ``none``.
    epochs
        Most epochs of a trial.
    """
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if pruning == "median":
        return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS)
    if pruning == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=REDUCTION)
    return NopPruner()
