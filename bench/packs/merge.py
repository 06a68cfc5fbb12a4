"""Merge results stores: the union of their experiments, or a refusal that names what differs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.errors import StoreError
from bench.files import atomic_path, copy_files, whole_files, write_json
from bench.packs.inventory import read_tags, write_tag
from bench.packs.published import contradictions, users_that_differ
from bench.plan.progress import counted
from bench.plan.protocol import PARTS, PHASES
from bench.runs.record import RunRecord, read_records, write_record
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment


class Merged(NamedTuple):
    """Keys that a merge added to the target, and keys that both had with equal results."""

    added: list[str]
    equal: list[str]


def merge(source: Store, target: Store, name: Path | None = None) -> Merged:
    """Add everything of one store to another; write nothing if two results conflict.

    Experiments, run records, tags, checkpoints and failures are merged; studies of ``bench tune``
    are not. Of equal experiments the target keeps its own, unless the source has kept more of it.
    ``name`` is what messages call the source, by default its folder.

    Raises
    ------
    StoreError
        Both have an experiment with different results, an experiment of the source is damaged or
        impossible, or the file system refuses.
    """
    target.prepare()
    name = name or source.root
    fresh: dict[str, tuple[StoredExperiment, Path]] = {}
    equal: list[str] = []
    conflicts: list[str] = []
    for stored in source.experiments():
        if problems := stored.problems():
            raise StoreError(f"nothing of {name} was merged: {problems[0]}")
        for text in contradictions(stored.experiment, stored.ranks):
            label = f"{stored.experiment.label} ({stored.key[:12]})"
            raise StoreError(f"nothing of {name} was merged: {label}: {text}")
        if not stored.folder.name.endswith(f"-{stored.key[:12]}"):
            raise StoreError(
                f"nothing of {name} was merged: {stored.folder.name} holds {stored.key[:12]}"
            )
        if stored.key in fresh or stored.key in equal:
            raise StoreError(f"nothing of {name} was merged: it holds {stored.key[:12]} twice")
        held = target.load(stored.key) if target.has(stored.key) else None
        if held is not None and (difference := _difference(stored, held)):
            conflicts.append(f"{stored.experiment.label} ({stored.key[:12]}): {difference}")
        elif held is None or _kept(stored) > _kept(held):
            folder = target.root / "experiments" / stored.folder.name
            fresh[stored.key] = stored, folder if held is None else held.folder
        else:
            equal.append(stored.key)
    if conflicts:
        raise StoreError(
            f"{counted(len(conflicts), 'experiment')} of {name} and {target.root} differ, "
            f"nothing of {name} was merged: {'; '.join(conflicts)}; remove one with "
            "'bench store rm'"
        )
    for key, (stored, folder) in fresh.items():
        with target.locked(key), atomic_path(folder) as temporary:
            copy_files(stored.files, temporary)
    _merge_rest(source, target)
    return Merged([*fresh], equal)


def _difference(one: StoredExperiment, other: StoredExperiment) -> str:
    """Say in what the results of two experiments of one key differ; empty if in nothing."""
    if one.key != other.key or one.content != other.content:
        return f"its settings differ from those of {other.key[:12]}"
    for phase in PHASES:
        ranks = one.ranks(phase)
        count = users_that_differ(ranks, other.ranks(phase))
        if count is None:
            return f"{phase} ranks of other users"
        if count:
            return f"{phase} ranks of {count} of {len(ranks.target)} users"
    for part in PARTS:
        a, b = one.decisions(part), other.decisions(part)
        if a and b and any(not np.array_equal(v, b.columns()[n]) for n, v in a.columns().items()):
            return f"decisions about {part} interactions"
    return ""


def _kept(stored: StoredExperiment) -> set[str]:
    """Names of files; counts of drops are in the decisions, where those were kept."""
    return {path.name for path in stored.files if not path.name.startswith("drops-")}


def _merge_rest(source: Store, target: Store) -> None:
    """Merge run records, tags, checkpoints and failures; what the target has finished is done."""
    there = {record.key: record for record in read_records(target.root)}
    records = dict(there)
    for record in read_records(source.root):
        before = there.get(record.key)
        records[record.key] = _united(record, before) if before else record
    for record in records.values():
        # What had failed may have finished elsewhere.
        endings = {
            key: "finished" if how == "failed" and target.has(key) else how
            for key, how in record.endings.items()
        }
        record = record.model_copy(update={"endings": endings})
        if record != there.get(record.key):
            write_record(target.root, record)
    tags = read_tags(target.root)
    for name, keys in read_tags(source.root).items():
        write_tag(target.root, name, [*tags.get(name, ()), *keys])
    for key, failure in source.failures():
        place = target.root / "failures" / f"{key}.json"
        if not target.has(key) and not place.exists():
            write_json(place, failure.model_dump(mode="json"))
    for work in sorted((source.root / "work").glob("[!.]*")):
        if work.is_dir() and not (target.has(work.name) or target.work(work.name).exists()):
            with target.locked(work.name) as free:
                if free:
                    with atomic_path(target.work(work.name)) as folder:
                        copy_files(whole_files(work), folder)


def _united(record: RunRecord, before: RunRecord) -> RunRecord:
    """Return what two records of one run tell together."""
    ends = [one.ended for one in (record, before) if one.ended is not None]
    return before.model_copy(
        update={
            "endings": record.endings | before.endings,
            "searches": record.searches | before.searches,
            "begun": min(record.begun, before.begun),
            "ended": max(ends, default=None),
            "asked": max(record.asked, before.asked),
            "tuned": record.tuned or before.tuned,
        }
    )
