"""From a results store to the packs of its data sets, and back."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.errors import BenchError, ConfigError, StoreError
from bench.files import folder_name, write_json
from bench.hashing import content_hash
from bench.packs import archive
from bench.packs.merge import Merged, merge
from bench.packs.published import (
    COMMIT,
    SUFFIX,
    WHOLE_COMMIT,
    PublishedExperiment,
    PublishedRun,
    read_published,
    write_published,
)
from bench.plan.code_version import code_version
from bench.plan.experiment import Experiment
from bench.plan.grid import components_of
from bench.plan.variants import MARK
from bench.runs.record import RunRecord, read_records
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment
from bench.version import checkout


def publish(
    store: Store, folder: Path, chosen: Iterable[StoredExperiment], commit: str | None = None
) -> dict[Path, int]:
    """Write finished experiments in their published form, one pack a data set.

    Noisy variants share the pack of their data set. A pack that is there gives way to the union of
    both.

    Parameters
    ----------
    store
        Holds the run records.
    folder
        Of the packs.
    chosen
        Experiments of the store.
    commit
        Of the source that trained them; by default that of this checkout, if it is the same code.

    Returns
    -------
    dict
        Number of experiments in each pack that was written.

    Raises
    ------
    ConfigError
        The commit is unknown, or an experiment is about a data set of the user's own.
    StoreError
        An experiment is damaged, contradicts the one of the same key in a pack, or the file system
        refuses.
    """
    if commit is not None and not WHOLE_COMMIT.fullmatch(commit):
        raise ConfigError(f"--commit '{commit}' is no whole commit; write all 40 digits")
    runs = _runs(store)
    packs: dict[Path, dict[str, PublishedExperiment]] = defaultdict(dict)
    for stored in chosen:
        if stored.metadata.card is not None:
            raise ConfigError(
                f"{stored.experiment.label} is about a data set of your own, which others cannot "
                "check; leave it out with --where"
            )
        own = commit if COMMIT in stored.metadata.versions else commit or _commit(stored.experiment)
        entry = PublishedExperiment.of(stored, runs.get(stored.key), own)
        name = stored.experiment.dataset.partition(MARK)[0]
        packs[folder / f"{re.sub('[^A-Za-z0-9._-]+', '-', name)}{SUFFIX}"][entry.key] = entry
    written = {}
    for path, entries in packs.items():
        union = united([*(read_published(path) if path.exists() else ()), *entries.values()])
        write_published(path, union)
        written[path] = len(union)
    return written


def united(experiments: Iterable[PublishedExperiment]) -> list[PublishedExperiment]:
    """Return the union by key; of equal experiments the first stays.

    Raises
    ------
    StoreError
        Two experiments of one key have different ranks.
    """
    found: dict[str, PublishedExperiment] = {}
    for one in experiments:
        held = found.setdefault(one.key, one)
        if not held.has_ranks_of(one):
            raise StoreError(
                f"{one.experiment.label} ({one.key[:12]}) is published with other ranks; nothing "
                "was written"
            )
    return list(found.values())


def restore(packs: Iterable[PublishedExperiment], root: Path) -> Store:
    """Write published experiments, and the runs that asked for them, as a results store.

    Raises
    ------
    StoreError
        The file system refuses.
    """
    store, runs = Store(root), defaultdict[str, list[PublishedExperiment]](list)
    for entry in packs:
        entry.save(store)
        if entry.run is not None:
            runs[content_hash(entry.run.model_dump(mode="json"))].append(entry)
    for group in runs.values():
        record = _record(group)
        write_json(
            root / "runs" / f"{folder_name(record.name, record.key)}.json",
            record.model_dump(mode="json"),
        )
    return store


def unpack(path: Path, target: Store) -> Merged:
    """Check a pack of either form and merge what it holds into a store.

    Raises
    ------
    StoreError
        The file is no pack, is damaged or conflicts with the target.
    """
    if path.suffix != SUFFIX:
        return archive.unpack(path, target)
    with tempfile.TemporaryDirectory(prefix="bench-unpack-") as folder:
        return merge(restore(read_published(path), Path(folder)), target)


def _record(group: list[PublishedExperiment]) -> RunRecord:
    run, keys = group[0].run, [entry.key for entry in group]
    if run is None:
        raise ValueError("experiments of no run have no record")
    finished = [entry.finished for entry in group]
    return RunRecord(
        key=content_hash([run.spec, keys]),
        name=run.name,
        spec=run.spec,
        tuned=run.tuned,
        experiments=keys,
        labels=[entry.experiment.label for entry in group],
        command=[],
        begun=min(finished),
        ended=max(finished),
        asked=max(finished),
        endings=dict.fromkeys(keys, "finished"),
    )


def _runs(store: Store) -> Mapping[str, PublishedRun]:
    """Return the last run that asked for each experiment; one with tuned settings before others."""
    records = sorted(read_records(store.root), key=lambda one: (one.tuned, one.asked or one.begun))
    return {
        key: PublishedRun(name=record.name, spec=record.spec, tuned=record.tuned)
        for record in records
        for key in record.experiments
    }


def _commit(experiment: Experiment) -> str:
    """Return the commit of this checkout, if its code trained an experiment."""
    remedy = f"name the commit that trained {experiment.label} with --commit"
    try:
        now = code_version(component for _, component in components_of(experiment))
    except BenchError as error:
        raise ConfigError(f"{error}; {remedy}") from None
    if now != experiment.code:
        raise ConfigError(f"the code of this checkout is another; {remedy}")
    if not (commit := checkout()):
        raise ConfigError(f"bench is not run from a checkout; {remedy}")
    return commit
