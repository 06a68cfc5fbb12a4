"""Compare the files of a results store with their checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from bench.errors import BenchError
from bench.runs.record import read_record, record_paths
from bench.runs.store import Store


@dataclass(frozen=True)
class StoreCheck:
    """What a check of a store has found: how many finished experiments, and what is wrong.

    ``unchecked`` are those that an earlier version wrote without checksums; their files were read.
    Each of ``problems`` is a sentence about a damaged or missing file, with the remedy.
    """

    experiments: int
    unchecked: int
    problems: list[str]


def check_store(*stores: Store) -> StoreCheck:
    """Read every finished experiment, failure and run record of one or several stores.

    The experiments of ``bench tune`` have a store of their own,
    :func:`bench.tuning.records.tuning_store`.
    """
    experiments = [stored for store in stores for stored in store.experiments()]
    problems = [problem for stored in experiments for problem in stored.problems()]
    unchecked = sum(not stored.has_checksums for stored in experiments)
    records: Iterable[Callable[[], object]] = (
        *(partial(store.failure, key) for store in stores for key in store.failed()),
        *(partial(read_record, path) for store in stores for path in record_paths(store.root)),
    )
    for read in records:
        try:
            read()
        except BenchError as error:
            problems.append(str(error))
    return StoreCheck(len(experiments), unchecked, problems)
