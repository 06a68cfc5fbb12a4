"""What a results store holds, and what of it nothing needs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError, ConfigError, StoreError, suggestion
from bench.files import discard, leftovers
from bench.hashing import canonical_json
from bench.packs.published import COMMIT
from bench.packs.tags import read_tags
from bench.plan.protocol import PARTS
from bench.reports.comparison import EVERYTHING, comparison_keys
from bench.reports.differences import distinguishing_settings, format_settings, settings_of
from bench.reports.page.provenance import command_of
from bench.reports.request import Request
from bench.runs.record import RunRecord, read_record, read_records, record_paths
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable

COLUMNS = ("label", "metric", "finished", "size", "key")
"""What a listing may be sorted by."""


@dataclass(frozen=True)
class Entry:
    """One finished experiment of a listing.

    Attributes
    ----------
    key, label
        Of the experiment.
    name, metric
        Name and value of its main test metric.
    settings
        Settings that distinguish it from others of the listing.
    code, commit
        Start of the hash of its source; start of the commit, where that is known.
    finished
        Seconds since 1970.
    size
        Bytes on disk.
    tags
        Names of the sets that it is in.
    """

    key: str
    label: str
    name: str
    metric: float
    settings: str
    code: str
    commit: str
    finished: float
    size: int
    tags: Sequence[str]


def selected(
    store: Store, keys: Iterable[str] = (), where: Iterable[str] = (), tag: str | None = None
) -> list[StoredExperiment]:
    """Return the finished experiments that satisfy all conditions.

    Parameters
    ----------
    store
        Where they are.
    keys
        First digits of keys; none admits all.
    where
        Conditions as of :func:`bench.reports.comparison.comparison_keys`.
    tag
        Name of a set that they are in.

    Raises
    ------
    ConfigError
        No experiment has a key or setting, or there is no such tag.
    StoreError
        The store holds no experiment.
    """
    found = list(readable(store.experiments()))
    if not found:
        raise StoreError(f"no finished experiment in {store.root}; correct --store")
    chosen = comparison_keys(store, run=EVERYTHING, where=where)
    tags = read_tags(store.root)
    if tag is not None and tag not in tags:
        raise ConfigError(f"{store.root} has no tag '{tag}'{suggestion(tag, tags)}")
    prefixes = tuple(keys)
    for prefix in prefixes:
        if not any(stored.key.startswith(prefix) for stored in found):
            raise ConfigError(f"{store.root} has no experiment {prefix}; see 'bench store ls'")
    return [
        stored
        for stored in found
        if (not prefixes or stored.key.startswith(prefixes))
        and (chosen is None or stored.key in chosen)
        and (tag is None or stored.key in tags[tag])
    ]


def listing(store: Store, experiments: Sequence[StoredExperiment], sort: str) -> list[Entry]:
    """Describe experiments, one entry each; the highest metric, last and largest come first.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    tags = read_tags(store.root)
    alike: dict[tuple[str | None, ...], list[StoredExperiment]] = {}
    for stored in experiments:
        one = stored.experiment
        alike.setdefault((one.backbone, one.method, one.encoder), []).append(stored)
    entries = []
    for group in alike.values():
        settings = [settings_of(stored.experiment) for stored in group]
        distinct = distinguishing_settings([{**own, "code": ""} for own in settings])
        for stored, own in zip(group, distinct, strict=True):
            named = [tag for tag, keys in tags.items() if stored.key in keys]
            entries.append(_entry(stored, format_settings(own), named))
    descending = sort in {"metric", "finished", "size"}
    return sorted(entries, key=lambda entry: getattr(entry, sort), reverse=descending)


def _entry(stored: StoredExperiment, settings: str, tags: Sequence[str]) -> Entry:
    request, experiment = Request(), stored.experiment
    metric = request.main_metric(experiment.protocol)
    return Entry(
        key=stored.key,
        label=experiment.label,
        name=metric.name,
        metric=metric.mean(request.ranking(stored.ranks("test"), experiment.protocol)),
        settings=settings,
        code=experiment.code[:8],
        commit=stored.metadata.versions.get(COMMIT, "")[:12],
        finished=stored.finished,
        size=size_of(stored.folder),
        tags=tags,
    )


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file())


def details(store: Store, stored: StoredExperiment) -> dict[str, Any]:
    """Return all that is known of an experiment, as plain data.

    Raises
    ------
    StoreError
        It is damaged.
    """
    experiment, metadata = stored.experiment, stored.metadata
    drops = {part: counts.share for part in PARTS if (counts := stored.drops(part)) is not None}
    return {
        "key": stored.key,
        "label": experiment.label,
        "finished": date(stored.finished),
        "command": command_of(experiment, metadata.card or experiment.dataset),
        "runs": [run.name for run in read_records(store.root) if stored.key in run.experiments],
        "tags": [tag for tag, keys in read_tags(store.root).items() if stored.key in keys],
        "files": {path.name: size_of(path) for path in sorted(stored.folder.iterdir())},
        "removed": drops,
        "metadata": metadata.model_dump(mode="json", exclude_none=True),
        "settings": settings_of(experiment),
        "fingerprint": experiment.fingerprint,
        "protocol": experiment.protocol.model_dump(mode="json"),
        "problems": stored.problems(),
    }


def date(seconds: float) -> str:
    """Write a time of day in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


@dataclass(frozen=True)
class Removable:
    """A file or folder that nothing needs.

    Attributes
    ----------
    path
        Where it is.
    reason
        Why nothing needs it.
    size
        Bytes on disk.
    """

    path: Path
    reason: str
    size: int

    @classmethod
    def of(cls, path: Path, reason: str) -> Removable:
        """Measure a file or folder."""
        return cls(path, reason, size_of(path))


def chosen_for_removal(store: Store, experiments: Iterable[StoredExperiment]) -> list[Removable]:
    """List experiments that a user wants to remove, and what belongs to them.

    Raises
    ------
    ConfigError
        One of them has a tag.
    """
    tags = read_tags(store.root)
    entries = []
    for stored in experiments:
        for tag, keys in tags.items():
            if stored.key in keys:
                raise ConfigError(
                    f"{stored.key[:12]} has the tag '{tag}'; remove the tag first with "
                    f"'bench store tag {tag} --remove'"
                )
        places = (stored.folder, store.work(stored.key))
        entries += [
            Removable(path, stored.experiment.label, size_of(path))
            for path in places
            if path.exists()
        ]
    return entries


def unneeded(store: Store, *, superseded: bool = False) -> list[Removable]:
    """Find what no run record and no tag needs.

    These are experiments that no record or tag names, checkpoints and failures of such and of
    finished experiments, and what killed processes left half-written.

    Parameters
    ----------
    store
        Where to look.
    superseded
        Whether a run counts for nothing where a later run of the same specification has ended.

    Raises
    ------
    StoreError
        A record or tag is damaged; nothing is certain then.
    """
    records = list(read_records(store.root))
    old = _superseded(records) if superseded else set()
    needed = {key for keys in read_tags(store.root).values() for key in keys}
    needed |= {key for record in records if record.key not in old for key in record.experiments}
    runs = [
        Removable.of(path, "a later run of the same specification has ended")
        for path in record_paths(store.root)
        if read_record(path).key in old
    ]
    half = [
        Removable.of(path, f"left half-written: {target}")
        for name in ("experiments", "failures", "runs", "tags")
        for target, path in leftovers(store.root / name, seconds=3600)
    ]
    return [*runs, *_experiments(store, needed), *_beginnings(store, needed), *half]


def _superseded(records: Sequence[RunRecord]) -> set[str]:
    """Return the keys of runs before the last that ended, of each specification."""
    last: dict[str, RunRecord] = {}
    for record in records:
        if record.ended is not None:
            content = canonical_json([record.spec, record.tuned])
            last[content] = max(last.get(content, record), record, key=lambda one: one.begun)
    return {
        record.key
        for record in records
        if (final := last.get(canonical_json([record.spec, record.tuned])))
        and record.begun < final.begun
    }


def _experiments(store: Store, needed: Collection[str]) -> Iterator[Removable]:
    for stored in store.experiments():
        try:
            if stored.key not in needed:
                yield Removable.of(stored.folder, "no run or tag names it")
        except BenchError:
            yield Removable.of(stored.folder, "damaged: it does not say which experiment it holds")


def _beginnings(store: Store, needed: Collection[str]) -> Iterator[Removable]:
    """Yield checkpoints and failures of experiments that have finished, or that nothing needs."""
    for path in sorted((*store.root.glob("work/[!.]*"), *store.root.glob("failures/[!.]*.json"))):
        key = path.name.removesuffix(".json")
        if store.has(key):
            yield Removable.of(path, "its experiment has finished")
        elif key not in needed:
            yield Removable.of(path, "no run or tag names its experiment")


def remove(store: Store, entries: Iterable[Removable]) -> list[Removable]:
    """Remove files and folders, but for those of experiments that a process runs now.

    Returns
    -------
    list
        What is gone.
    """
    gone = [entry for entry in entries if not store.is_in_use(entry.path.name)]
    for entry in gone:
        discard(entry.path)
    return gone
