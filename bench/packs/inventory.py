"""What a results store holds, what names it, and what of it nothing needs.

::

    tags/<name>.json     keys of the experiments of a tag, which ``bench store gc`` keeps
"""

from __future__ import annotations

import logging
import operator
import os
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from bench.errors import ConfigError, StoreError, suggestion
from bench.files import discard, leftovers, read_model, write_json
from bench.hashing import canonical_json
from bench.packs.published import COMMIT
from bench.plan.experiment import IMPORTED
from bench.plan.progress import counted
from bench.plan.protocol import PARTS
from bench.reports.comparison import EVERYTHING, comparison_keys
from bench.reports.differences import distinguishing_settings, format_settings, settings_of
from bench.reports.page.provenance import command_of
from bench.reports.request import Request
from bench.reports.results import ScoredExperiment
from bench.runs.imported import UnknownRanksError
from bench.runs.record import RunRecord, read_record, read_records, record_paths
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable

_LOG = logging.getLogger(__name__)
_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_AN_HOUR = 3600


class _Tag(BaseModel):
    """Content of a tag's file."""

    keys: list[str]


def read_tags(root: Path) -> dict[str, list[str]]:
    """Return the keys of the experiments of each tag; raise a StoreError if a file is damaged."""
    paths = sorted((root / "tags").glob("[!.]*.json"))
    return {path.stem: read_model(path, _Tag, "delete it").keys for path in paths}


def write_tag(root: Path, name: str, keys: Iterable[str]) -> None:
    """Name a set of experiments; without any, the tag is removed.

    Raise a ConfigError if the name is not fit for a file.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"'{name}' is not a valid tag; use letters, digits, '.', '_' and '-'")
    path, chosen = root / "tags" / f"{name}.json", sorted(set(keys))
    if chosen:
        write_json(path, {"keys": chosen})
    else:
        path.unlink(missing_ok=True)


def selected(
    store: Store, keys: Iterable[str] = (), where: Iterable[str] = (), tag: str | None = None
) -> list[StoredExperiment]:
    """Return the finished experiments that satisfy all conditions; a warning names damaged ones.

    These are first digits of keys, of which one must fit; conditions as for
    :func:`bench.reports.comparison.comparison_keys`; and a tag. Raise a ConfigError if no
    experiment satisfies one of the conditions, or none satisfies all of them, and a StoreError if
    the store holds no experiment.
    """
    everything = list(store.experiments())
    found = list(readable(everything))
    if lost := [one.folder.name for one in everything if one not in found]:
        _LOG.warning(
            "left out: %s, damaged or written by another version of bench (first: %s); "
            "'bench verify --store %s' says why",
            counted(len(lost), "experiment"),
            lost[0],
            store.root,
        )
    if not found:
        raise StoreError(f"no finished experiment in {store.root}; correct --store")
    chosen = comparison_keys(store, run=EVERYTHING, where=where)
    tags, prefixes = read_tags(store.root), tuple(keys)
    if tag is not None and tag not in tags:
        raise ConfigError(f"{store.root} has no tag '{tag}'{suggestion(tag, tags)}")
    for prefix in prefixes:
        if not prefix or not any(stored.key.startswith(prefix) for stored in found):
            raise ConfigError(f"{store.root} has no experiment '{prefix}'; see 'bench store ls'")
    admitted = [
        stored
        for stored in found
        if (not prefixes or stored.key.startswith(prefixes))
        and (chosen is None or stored.key in chosen)
        and (tag is None or stored.key in tags[tag])
    ]
    if not admitted:
        raise ConfigError(f"no experiment in {store.root} meets all conditions; drop one")
    return admitted


def listing(
    store: Store, experiments: Iterable[StoredExperiment], sort: str
) -> list[dict[str, Any]]:
    """Describe experiments, one line each; the highest metric, last and largest come first.

    A line has key, label, name and value of the main test metric, the settings that distinguish
    it from others of the list, the start of the hash of its source and of the commit where that is
    known, when it finished (seconds since 1970), bytes on disk and tags. The metric is None where
    the file of an imported result does not decide it.
    """
    tags = read_tags(store.root)
    alike: dict[tuple[str | None, ...], list[StoredExperiment]] = {}
    for stored in experiments:
        one = stored.experiment
        alike.setdefault((one.backbone, one.method, one.encoder), []).append(stored)
    lines: list[dict[str, Any]] = []
    for group in alike.values():
        settings = [{**settings_of(stored.experiment), "code": ""} for stored in group]
        for stored, own in zip(group, distinguishing_settings(settings), strict=True):
            experiment, value = stored.experiment, None
            metric = Request().main_metric(experiment.protocol)
            request = Request(metrics=(metric.name,))
            with suppress(UnknownRanksError):
                value = metric.mean(ScoredExperiment(stored, request).ranking())
            lines.append(
                {
                    "key": stored.key,
                    "label": experiment.label,
                    "name": metric.name,
                    "metric": value,
                    "settings": format_settings(own),
                    "code": experiment.code[:8],
                    "commit": stored.metadata.versions.get(COMMIT, "")[:12],
                    "finished": stored.finished,
                    "size": size_of(stored.folder),
                    "tags": [tag for tag, keys in tags.items() if stored.key in keys],
                }
            )
    descending = sort in {"metric", "finished", "size"}
    unknown = [line for line in lines if line[sort] is None]
    known = [line for line in lines if line[sort] is not None]
    return [*sorted(known, key=operator.itemgetter(sort), reverse=descending), *unknown]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    return sum(one.lstat().st_size for one in (path, *path.rglob("*")) if not one.is_dir())


def details(store: Store, stored: StoredExperiment) -> dict[str, Any]:
    """Return what is known of an experiment as plain data; raise a StoreError if it is damaged."""
    experiment, metadata = stored.experiment, stored.metadata
    return {
        "key": stored.key,
        "label": experiment.label,
        "finished": date(stored.finished),
        "command": command_of(experiment, metadata.card or experiment.dataset),
        "runs": [run.name for run in read_records(store.root) if stored.key in run.experiments],
        "tags": [tag for tag, keys in read_tags(store.root).items() if stored.key in keys],
        "files": {path.name: size_of(path) for path in stored.files},
        "removed": {p: found.share for p in PARTS if (found := stored.drops(p)) is not None},
        "metadata": metadata.model_dump(mode="json", exclude_none=True),
        "settings": settings_of(experiment),
        "fingerprint": experiment.fingerprint,
        "protocol": experiment.protocol.model_dump(mode="json"),
        "problems": stored.problems(),
    }


def date(seconds: float) -> str:
    """Write a time of day in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


class Removable(NamedTuple):
    """A file or folder that nothing needs, why, and its bytes on disk."""

    path: Path
    reason: str
    size: int

    @classmethod
    def of(cls, path: Path, reason: str) -> Removable:
        """Measure a file or folder."""
        return cls(path, reason, size_of(path))


def chosen_for_removal(store: Store, experiments: Iterable[StoredExperiment]) -> list[Removable]:
    """List what a user wants to remove of experiments; raise a ConfigError if one has a tag."""
    found, tags = list(experiments), read_tags(store.root)
    for tag, keys in tags.items():
        if named := [stored.key for stored in found if stored.key in keys]:
            raise ConfigError(
                f"{named[0][:12]} has the tag '{tag}'; remove the tag first with "
                f"'bench store tag {tag} --remove'"
            )
    return [
        Removable.of(path, stored.experiment.label)
        for stored in found
        for path in (stored.folder, store.work(stored.key))
        if path.exists()
    ]


def unneeded(store: Store, *, superseded: bool = False) -> list[Removable]:
    """Find what no run record and no tag needs.

    These are experiments that no record or tag names, unless they were imported or are damaged;
    checkpoints and failures of such and of finished experiments; and what killed processes left
    incomplete. With ``superseded``, a run counts for nothing where a later run of the same
    specification has ended without failures. Raise a StoreError if there is no store, or a record
    or tag is damaged: nothing is certain then.
    """
    if not store.root.is_dir():
        raise StoreError(f"{store.root} does not exist; correct --store")
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
        for target, path in leftovers(store.root / name, seconds=_AN_HOUR)
    ]
    return [*runs, *_experiments(store, needed), *_beginnings(store, needed), *half]


def _superseded(records: Sequence[RunRecord]) -> set[str]:
    """Return the keys of runs before the last without failures of a specification."""

    def specification(record: RunRecord) -> str:
        return canonical_json([record.spec, record.tuned])

    last: dict[str, float] = defaultdict(float)
    for record in records:
        if record.ended is not None and "failed" not in record.endings.values():
            name = specification(record)
            last[name] = max(last[name], record.last_given)
    return {one.key for one in records if one.last_given < last[specification(one)]}


def _experiments(store: Store, needed: Collection[str]) -> Iterator[Removable]:
    for stored in readable(store.experiments(), "key"):
        # No run asks for what was imported, and nothing could compute it again.
        if stored.key not in needed and stored.content.get("code") != IMPORTED:
            yield Removable.of(stored.folder, "no run or tag names it")


def _beginnings(store: Store, needed: Collection[str]) -> Iterator[Removable]:
    """Yield checkpoints and failures of experiments that have finished, or that nothing needs."""
    for path in sorted((*store.root.glob("work/[!.]*"), *store.root.glob("failures/[!.]*.json"))):
        key = path.name.removesuffix(".json")
        if not _KEY.fullmatch(key):
            continue  # not of a store
        if store.has(key):
            yield Removable.of(path, "its experiment has finished")
        elif key not in needed:
            yield Removable.of(path, "no run or tag names its experiment")


def remove(store: Store, entries: Iterable[Removable]) -> list[Removable]:
    """Remove all but what belongs to experiments that a process runs now; return what is gone.

    Raise a StoreError if the file system refuses.
    """
    unused = [entry for entry in entries if not store.is_in_use(entry.path.name)]
    for entry in unused:
        discard(entry.path)
    left = [entry for entry in unused if os.path.lexists(entry.path)]
    if left:
        raise StoreError(
            f"{len(left)} of {len(unused)} cannot be removed (first: {left[0].path}); check the "
            "permissions"
        )
    return unused
