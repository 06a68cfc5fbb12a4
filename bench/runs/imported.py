"""Ranks of models that were trained elsewhere: store them, and write those of a store to files.

:mod:`bench.runs.ranks_file` reads and checks the files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.data.dataset import Dataset
from bench.data.split import Split
from bench.errors import ConfigError, StoreError
from bench.evaluate.ndcg import Metric, Ranking
from bench.files import atomic_path
from bench.hashing import file_hash
from bench.plan.experiment import IMPORTED, Experiment
from bench.plan.protocol import LEAVE_ONE_OUT, PHASES, Candidates, Protocol
from bench.plan.result import ExperimentResult, Metadata, Origin
from bench.plan.training import TrainingConfig
from bench.runs.ranks_file import COUNTS, FINGERPRINT, RanksFile, complete_ranks
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment

NAME = re.compile(r"\w(?:[\w .()+-]{0,58}[\w.()+-])?")
"""Names of imported models."""


class UnknownRanksError(ConfigError):
    """A metric needs ranks that an imported file does not tell."""


def import_ranks(
    store: Store,
    path: Path,
    dataset: Dataset,
    protocol: Protocol,
    *,
    name: str,
    seed: int = 1,
    origin: str = "",
    candidates: Candidates | None = None,
    card: str | None = None,
) -> StoredExperiment:
    """Store the ranks of a model that was trained elsewhere; see :func:`bench.import_ranks`.

    The file is a CSV or Parquet file with the columns of ranks or lists, or with the column
    ``user`` and one column for each item, named by its id; or an npz file with the arrays ``users``
    (ids, ``[U]``), ``items`` (ids, ``[I]``) and ``scores`` (``[U, I]``). Rows whose column
    ``phase`` is ``validation`` are about validation targets, others about test targets. The result
    joins the tables of the protocol; ``card`` is the path of the data set's where it is a user's
    own.

    Raises
    ------
    ConfigError
        The name is not possible, or the protocol splits by time.
    DataError
        The file is damaged, lacks users, or contradicts the data set.
    StoreError
        Other ranks of the same name and seed are in the store, or it cannot be written.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"name '{name}' must be at most 60 letters, digits, spaces and any of _.()+-, begin "
            "with a letter or digit and end in no space; choose another"
        )
    if protocol.split != LEAVE_ONE_OUT:
        raise ConfigError(
            f"ranks are imported under the split {LEAVE_ONE_OUT} alone, not {protocol.split}; name "
            "an experiment of that split with --like"
        )
    file = RanksFile(path, dataset, candidates)
    kind, counts, length = file.read()
    source = Origin(file=path.name, sha256=file_hash(path), kind=kind, length=length, text=origin)
    experiment = Experiment(
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        backbone=None,
        backbone_settings={},
        method=f"{IMPORTED}{name}",
        method_settings={},
        training=TrainingConfig(),
        protocol=protocol,
        seed=seed,
        code=IMPORTED,
    )
    ranks = {phase: complete_ranks(file.split, phase, counts.get(phase)) for phase in PHASES}
    store.prepare()
    with store.locked(experiment.key) as mine:
        if not mine:
            raise StoreError(f"{experiment.label} is being imported by another process")
        if store.has(experiment.key):
            stored = store.load(experiment.key)
            known = stored.metadata.origin
            if known is None or (known.sha256, known.length) != (source.sha256, length):
                raise StoreError(
                    f"{experiment.label} holds the ranks of another file; choose another --name "
                    f"or --seed, or delete {stored.folder}"
                )
        store.save(experiment, ExperimentResult(ranks, [], Metadata(card=card, origin=source)))
    return store.load(experiment.key)


def check_known(stored: StoredExperiment, ranking: Ranking, metrics: Sequence[Metric]) -> None:
    """Refuse metrics that the file of an imported result does not decide.

    ``ranking`` are its ranks of one phase and one set of candidates. Raise an UnknownRanksError if
    they are not known, or a metric looks beyond the end of the lists.
    """
    label, origin = stored.experiment.label, stored.metadata.origin
    if np.isnan(ranking.ranks).any():
        raise UnknownRanksError(
            f"{label} was imported without these ranks; choose the candidates and phase that "
            f"{origin.file if origin else 'its file'} is about"
        )
    length = origin.length if origin else None
    if length is None:
        return
    beyond = [metric.name for metric in metrics if metric.k is None or metric.k > length]
    if beyond:
        raise UnknownRanksError(
            f"{label} was imported as lists of {length} items, which do not decide "
            f"{', '.join(beyond)}; choose metrics with cut-offs up to {length}"
        )


def write_ranks(stored: StoredExperiment, dataset: Dataset, path: Path) -> None:
    """Write an experiment's ranks of both phases in the form that :func:`import_ranks` reads.

    Raises
    ------
    ConfigError
        The file does not end in ``.parquet`` or ``.csv``, or the ranks were imported themselves.
    StoreError
        The experiment is damaged, or the file cannot be written.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix not in {".parquet", ".csv"}:
        raise ConfigError(f"{path}: the file must end in .parquet or .csv; rename it")
    origin = stored.metadata.origin
    if origin is not None:
        raise ConfigError(
            f"{stored.experiment.label} was imported from {origin.file}; import that file instead"
        )
    split, frames = Split.of(dataset, stored.experiment.protocol.split), []
    dataset = split.dataset
    for phase in PHASES:
        ranks = stored.ranks(phase)
        columns = {name: ranks.columns()[name] for name in COUNTS}
        named = {
            "phase": phase,
            "user": [dataset.user_ids[user] for user in split.users(phase)],
            "target": [dataset.item_ids[item - 1] for item in ranks.target],
        }
        frames.append(pd.DataFrame({**named, **columns}))
    frame = pd.concat(frames, ignore_index=True)
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False, lineterminator="\n")
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            known = {FINGERPRINT: stored.experiment.fingerprint.encode()}
            pq.write_table(table.replace_schema_metadata(known), temporary, compression="zstd")
