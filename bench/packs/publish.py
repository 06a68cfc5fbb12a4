"""From a results store to the packs of its data sets, and back."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import Path

from bench.errors import BenchError, ConfigError, StoreError
from bench.hashing import canonical_json, content_hash
from bench.packs.archive import unpacked
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
from bench.plan.data_card import is_path
from bench.plan.experiment import Experiment
from bench.plan.grid import code_of
from bench.plan.variants import MARK, Noise, split_source
from bench.reports.available import AvailableData
from bench.reports.report import warn
from bench.reports.tables.noise_detection import Summary, summaries
from bench.runs.record import RunRecord, read_records, write_record
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment
from bench.settings import Settings
from bench.version import checkout


def publish(
    store: Store, folder: Path, chosen: Iterable[StoredExperiment], commit: str | None = None
) -> dict[Path, int]:
    """Write finished experiments in their published form, one pack per data set.

    Noisy variants share the pack of their data set. A pack that is there is replaced by the union
    of both. The commit is that of the source that trained them; by default that of this checkout,
    if it is the same code. What decisions find of inserted noise is summarised if the data are in
    the folders of the environment. Return the number of experiments in each pack that was written.

    Raises
    ------
    ConfigError
        The commit is unknown, or an experiment is about a data set of the user's own.
    StoreError
        An experiment is damaged, contradicts the one of the same key in a pack, or the file system
        refuses.
    """
    if commit is not None and not WHOLE_COMMIT.fullmatch(commit):
        raise ConfigError(f"--commit '{commit}' is not a full commit hash; write all 40 digits")
    runs, available = _runs(store), AvailableData(Settings.from_environment())
    packs: dict[Path, dict[str, PublishedExperiment]] = defaultdict(dict)
    for stored in chosen:
        if stored.metadata.card is not None:
            raise ConfigError(
                f"{stored.experiment.label} is about a data set of your own, which others cannot "
                "check; leave it out with --where"
            )
        own = commit if COMMIT in stored.metadata.versions else commit or _commit(stored.experiment)
        found = _detection(stored, available) or stored.metadata.detection
        entry = PublishedExperiment.of(stored, runs.get(stored.key), own, found)
        name = stored.experiment.dataset.partition(MARK)[0]
        packs[folder / f"{re.sub('[^A-Za-z0-9._-]+', '-', name)}{SUFFIX}"][entry.key] = entry
    warn(available.problems)
    unions = {
        path: united(
            [(path, read_published(path) if path.exists() else ()), (store.root, entries.values())]
        )
        for path, entries in packs.items()
    }
    for path, union in unions.items():
        write_published(path, union)
    return {path: len(union) for path, union in unions.items()}


def _detection(stored: StoredExperiment, available: AvailableData) -> Mapping[str, Summary]:
    """Summarise noise detection on data with inserted noise; nothing where the data are missing."""
    one = stored.experiment
    if not any(isinstance(variant, Noise) for variant in split_source(one.dataset)[1]):
        return {}
    split = available.split(one.dataset, one.fingerprint, one.dataset, one.protocol.split)
    return {} if split is None else summaries(stored, split.dataset)


def united(
    groups: Iterable[tuple[Path, Iterable[PublishedExperiment]]],
) -> list[PublishedExperiment]:
    """Return the union by key of what some places hold, the first of equal experiments.

    Raise a StoreError if ranks differ.
    """
    found: dict[str, tuple[Path, PublishedExperiment]] = {}
    for place, experiments in groups:
        for one in experiments:
            first, held = found.setdefault(one.key, (place, one))
            if not held.has_ranks_of(one):
                raise StoreError(
                    f"{one.label} has other ranks in {place} than in {first}; nothing was written, "
                    "leave one of them out"
                )
    return [held for _, held in found.values()]


def restore(packs: Iterable[PublishedExperiment], root: Path) -> Store:
    """Write published experiments, and the runs that asked for them, as a results store."""
    store = Store(root)
    runs = defaultdict[str, list[tuple[PublishedExperiment, PublishedRun]]](list)
    for entry in packs:
        entry.save(store)
        if run := entry.parts.run:
            runs[canonical_json(run.model_dump(exclude={"search"}))].append((entry, run))
    for group in runs.values():
        run = group[0][1]
        keys = [entry.key for entry, _ in group]
        finished = [entry.parts.finished for entry, _ in group]
        record = RunRecord(
            key=content_hash([run.spec, keys]),
            **run.model_dump(exclude={"search"}),
            searches={entry.key: own.search for entry, own in group if own.search},
            experiments=keys,
            labels=[entry.experiment.label for entry, _ in group],
            command=[],
            begun=min(finished),
            ended=max(finished),
            asked=max(finished),
            endings=dict.fromkeys(keys, "finished"),
        )
        write_record(root, record)
    return store


def unpack(path: Path, target: Store) -> Merged:
    """Check a pack of either form and merge it into a store; raise a StoreError on conflicts."""
    if path.suffix != SUFFIX or zipfile.is_zipfile(path):
        with unpacked(path) as source:
            return merge(source, target, path)
    with tempfile.TemporaryDirectory(prefix="bench-unpack-") as folder:
        return merge(restore(read_published(path), Path(folder)), target, path)


def _runs(store: Store) -> Mapping[str, PublishedRun]:
    """Return the last run that asked for each experiment; one with tuned settings before others."""
    records = sorted(read_records(store.root), key=attrgetter("tuned", "last_given"))
    found: dict[str, PublishedRun] = {}
    for record in records:
        sources = record.spec.get("datasets", ())
        # Of the paths of a user's own cards, only the names of the files are published.
        datasets = [Path(source).name if is_path(source) else source for source in sources]
        spec = {**record.spec, "datasets": datasets}
        for key in record.experiments:
            search = record.searches.get(key)
            found[key] = PublishedRun(
                name=record.name, spec=spec, tuned=record.tuned, search=search
            )
    return found


def _commit(experiment: Experiment) -> str:
    """Return the commit of this checkout, if its code trained an experiment."""
    remedy = f"name the commit that trained {experiment.label} with --commit"
    try:
        now = code_of(experiment)
    except BenchError as error:
        raise ConfigError(f"{error}; {remedy}") from None
    if now != experiment.code:
        raise ConfigError(f"this checkout has other code; {remedy}")
    if not (commit := checkout()):
        raise ConfigError(f"bench is not run from a checkout; {remedy}")
    return commit
