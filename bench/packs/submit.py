"""Turn a checked pack into the files and the text of a pull request."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.errors import StoreError
from bench.evaluate.metrics import NDCG, HitRatio, rank_of
from bench.files import atomic_path
from bench.hashing import file_hash
from bench.packs.check import PackCheck
from bench.packs.published import SUFFIX, PublishedExperiment
from bench.plan.progress import counted
from bench.reports.page.provenance import command_of

_FOLDER, _TEXT = "reports/published", "PULL_REQUEST.md"
_HEADS = ("Experiment", "HR@10", "NDCG@10", "Epochs", "Commit", "Processor or GPU", "torch")


def write_submission(pack: Path, checked: PackCheck, target: Path) -> list[Path]:
    """Write the new folder of a pull request: a checked pack without problems, and the text.

    The pack gets a name of its own, so that two pull requests never change the same file. Raise a
    StoreError if the folder exists.
    """
    if target.exists():
        raise StoreError(f"{target} exists already; choose a new folder with --out")
    digits = file_hash(pack)
    place = f"{_FOLDER}/{pack.name.removesuffix(SUFFIX)}-{digits[:8]}{SUFFIX}"
    with atomic_path(target) as folder:
        (folder / _FOLDER).mkdir(parents=True)
        shutil.copyfile(pack, folder / place)
        (folder / _TEXT).write_text(_text(checked, place, digits), encoding="utf-8")
    return [target / place, target / _TEXT]


def _text(checked: PackCheck, place: str, digits: str) -> str:
    entries = checked.experiments
    names = dict.fromkeys(entry.experiment.configuration for entry in entries)
    rows = [_HEADS, tuple("---" for _ in _HEADS), *(tuple(_cells(entry)) for entry in entries)]
    lines = [
        f"# Results: {', '.join(names)}",
        "",
        f"Adds `{place}` (SHA-256 `{digits}`) with {counted(len(entries), 'experiment')}.",
        "`bench submit` found no problem in it; CI runs the same check.",
        "",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "## For the reviewer",
        "",
        *(f"- {alarm}" for alarm in checked.alarms or ["No alarm."]),
        "",
        f"Train some of it again: `bench verify {shlex.quote(place)} --sample 1`",
        "",
        "## Commands",
        "",
        "```sh",
        *(command_of(entry.experiment, entry.experiment.dataset) for entry in entries),
        "```",
        "",
    ]
    return "\n".join(lines)


def _cells(entry: PublishedExperiment) -> Iterator[str]:
    protocol, metadata = entry.experiment.protocol, entry.parts.metadata
    ranks = rank_of(entry.ranks["test"], protocol.candidates, protocol.ties)
    yield entry.experiment.label
    yield from (f"{metric.mean(ranks):.4f}" for metric in (HitRatio(10), NDCG(10)))
    where = metadata.processor if metadata.device == "cpu" else metadata.device
    yield from (str(metadata.epochs), (entry.commit or "")[:12], where or "")
    yield metadata.versions.get("torch", "")
