"""Turn a checked pack into the files and the text of a pull request."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.errors import StoreError
from bench.evaluate.metrics import NDCG, HitRatio, rank_of
from bench.files import atomic_path, write_text
from bench.hashing import file_hash
from bench.packs.check import PackCheck
from bench.packs.published import SUFFIX, PublishedExperiment, read_published
from bench.packs.reference import packs_of
from bench.plan.progress import counted
from bench.reports.page.provenance import command_of

_FOLDER = "reports/published"


def published_experiments(name: str) -> list[PublishedExperiment]:
    """Return what is published under a name; nothing where there is no pack yet.

    Raises
    ------
    StoreError
        A pack is damaged.
    """
    try:
        packs = packs_of(name)
    except StoreError:
        return []
    return [entry for path in packs for entry in read_published(path)]


def write_submission(pack: Path, checked: PackCheck, target: Path) -> list[Path]:
    """Write the folder of a pull request: the pack under its name, and the text.

    The pack gets a name of its own, so that two pull requests never change the same file.

    Parameters
    ----------
    pack
        The file that was checked.
    checked
        What the check found; without problems.
    target
        A new folder.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    StoreError
        The folder exists, or the file system refuses.
    """
    if target.exists():
        raise StoreError(f"{target} exists already; name a new folder with --out")
    digits = file_hash(pack)
    place = target / _FOLDER / f"{pack.name.removesuffix(SUFFIX)}-{digits[:8]}{SUFFIX}"
    with atomic_path(place) as temporary:
        shutil.copyfile(pack, temporary)
    text = target / "PULL_REQUEST.md"
    write_text(text, _text(checked, place.relative_to(target).as_posix(), digits))
    return [place, text]


def _text(checked: PackCheck, place: str, digits: str) -> str:
    entries = checked.experiments
    names = dict.fromkeys(entry.experiment.configuration for entry in entries)
    lines = [
        f"# Results: {', '.join(names)}",
        "",
        f"Adds `{place}` (SHA-256 `{digits}`) with {counted(len(entries), 'experiment')}.",
        "`bench submit` found no problem in it; CI runs the same check.",
        "",
        *_table(entries),
        "",
        "## For the reviewer",
        "",
        *(f"- {alarm}" for alarm in checked.alarms or ["No alarm."]),
        "",
        f"Train some of it again: `bench verify {place} --sample 1`",
        "",
        "## Commands",
        "",
        "```sh",
        *(command_of(entry.experiment, entry.experiment.dataset) for entry in entries),
        "```",
        "",
    ]
    return "\n".join(lines)


def _table(entries: Sequence[PublishedExperiment]) -> list[str]:
    heads = ("Experiment", "HR@10", "NDCG@10", "Epochs", "Commit", "Processor or GPU", "torch")
    rows = [heads, tuple("---" for _ in heads)]
    for entry in entries:
        protocol, metadata = entry.experiment.protocol, entry.metadata
        ranks = rank_of(entry.ranks["test"], protocol.candidates, protocol.ties)
        figures = (f"{metric.mean(ranks):.4f}" for metric in (HitRatio(10), NDCG(10)))
        where = metadata.processor if metadata.device == "cpu" else metadata.device
        rows.append(
            (
                entry.experiment.label,
                *figures,
                str(metadata.epochs),
                (entry.commit or "")[:12],
                where or "",
                metadata.versions.get("torch", ""),
            )
        )
    return [f"| {' | '.join(row)} |" for row in rows]
