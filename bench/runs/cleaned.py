"""Write the data that a finished experiment keeps as a separate data set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.load import parse_card
from bench.data.locate import Located
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.errors import BenchError, ConfigError, DataError, StoreError
from bench.files import atomic_path, write_json
from bench.plan.data_card import Card, card_names, load_card
from bench.plan.formats import CleanedFormat, CleanedPart
from bench.plan.protocol import LEAVE_ONE_OUT
from bench.plan.result import Decisions
from bench.runs.stored import StoredExperiment
from bench.version import __version__

LEAST: dict[CleanedPart, int] = {"train": 3, "all": 1}
"""Training interactions that each user keeps, so that leave-one-out can split what is written."""
CARD, DROPPED, PROVENANCE = "card.yaml", "dropped.csv", "provenance.json"
_RECBOLE = {"user_id": ":token", "item_id": ":token", "timestamp": ":float", "title": ":token_seq"}
"""Types of RecBole's columns, by name."""


@dataclass(frozen=True, eq=False)
class Kept:
    """Which training interactions stay; arrays are ``[training interactions]``.

    Attributes
    ----------
    keep
        bool: what is written.
    score
        float32: noise score, NaN where nothing was decided.
    restored
        Interactions that stay although the decision drops them, because too few others would.
    """

    keep: NDArray[np.bool_]
    score: NDArray[np.float32]
    restored: int

    @property
    def undecided(self) -> int:
        """Interactions before the last ``max_length``, which the model did not see; they stay."""
        return int(np.isnan(self.score).sum())

    @property
    def dropped(self) -> int:
        """Interactions that are left out."""
        return int((~self.keep).sum())


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A written data set.

    Attributes
    ----------
    card
        Path of its card.
    dataset
        As it is read again through the card.
    kept
        What was kept.
    short
        Ids of users who have too few interactions for leave-one-out to begin with; the files have
        them, and the card's filter leaves them out.
    gone
        Ids of items none of whose interactions is left.
    """

    card: Path
    dataset: Dataset = field(repr=False)
    kept: Kept = field(repr=False)
    short: Sequence[str] = field(repr=False)
    gone: Sequence[str] = field(repr=False)


def choose(
    train: Sequences, decisions: Decisions, threshold: float | None = None, least: int = 1
) -> Kept:
    """Decide which training interactions are kept.

    With a threshold, those are dropped that score above this quantile of the scores, in (0, 1);
    None takes the method's own decisions. A user of whom fewer than ``least`` would stay keeps
    those with the lowest noise scores, the most recent among equals, until there are as many, or
    all there are. Raise a StoreError if the decisions are about other interactions.
    """
    flat = train.offsets[decisions.user] + decisions.position
    if flat.max(initial=-1) >= len(train.items) or (train.items[flat] != decisions.item).any():
        raise StoreError(
            "the stored decisions are not about the training interactions of the data set; delete "
            "the experiment's folder and run it again"
        )
    score = np.full(len(train.items), np.nan, dtype=np.float32)
    score[flat] = decisions.score
    keep = np.ones(len(train.items), dtype=np.bool_)
    if threshold is None:
        keep[flat] = decisions.keep
    else:
        limit = np.quantile(decisions.score, threshold, method="inverted_cdf")
        keep[flat] = decisions.score <= limit
    user = train.owners
    lacking = np.minimum(least, train.lengths) - np.bincount(user[keep], minlength=len(train))
    restored = 0
    for row in np.flatnonzero(lacking > 0):
        places = np.arange(train.offsets[row], train.offsets[row + 1])[::-1]
        places = places[~keep[places]]
        best = places[np.argsort(score[places], kind="stable")][: lacking[row]]
        keep[best] = True
        restored += len(best)
    return Kept(keep, score, restored)


def write_cleaned(
    stored: StoredExperiment,
    dataset: Dataset,
    folder: Path,
    *,
    source: str,
    fmt: CleanedFormat = "csv",
    part: CleanedPart = "train",
    threshold: float | None = None,
) -> Cleaned:
    """Write what an experiment keeps: files, card, dropped interactions and provenance.

    ``source`` is the name or card of the data set; the other parameters are those of
    :func:`bench.denoise`.

    Raises
    ------
    ConfigError
        The folder exists, the method has no decisions or drops nothing, or the threshold is not
        between 0 and 1.
    DataError
        The format cannot hold the ids.
    StoreError
        The experiment is damaged, or the folder cannot be written.
    """
    if folder.exists():
        raise ConfigError(f"{folder} exists; name another folder with --out")
    rule = stored.experiment.protocol.split
    if part == "all" and rule != LEAVE_ONE_OUT:
        raise ConfigError(
            f"{stored.experiment.label} was split by time, whose targets another split of the "
            "written data would not hold out; give --part train"
        )
    dataset = Split.of(dataset, rule).dataset
    kept = _kept(stored, dataset.histories("train"), part, threshold)
    rows = _rows(dataset, kept.keep, part)
    present = set(rows["item_id"])
    titles = pd.DataFrame({"item_id": dataset.item_ids, "title": dataset.item_texts}, dtype=object)
    titles = titles[titles["item_id"].isin(present)]
    gone = [name for name in dataset.item_ids if name not in present]
    lengths = rows["user_id"].value_counts()
    short = [user for user in dataset.user_ids if lengths.get(user, 0) < 3]
    card = _card(stored, dataset, load_card(source), fmt, part, short=bool(short))
    files = card["forms"][0]["files"] = _files(fmt, folder.name, texts=any(dataset.item_texts))
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        _write_files(temporary, fmt, files, rows, titles)
        _write_csv(temporary / DROPPED, _dropped(dataset, kept))
        _write_card(temporary, card)
        again = _read_again(temporary, fmt, rows[~rows["user_id"].isin(short)])
        _write_card(temporary, {**card, "expected": _counts(again)})
        cleaned = Cleaned(folder / CARD, again, kept, short, gone)
        provenance = _provenance(stored, dataset, cleaned)
        provenance["cleaned"] |= {"format": fmt, "part": part, "threshold": threshold}
        write_json(temporary / PROVENANCE, provenance)
    return cleaned


def _kept(
    stored: StoredExperiment, train: Sequences, part: CleanedPart, threshold: float | None
) -> Kept:
    label = stored.experiment.label
    if threshold is not None and not 0 < threshold < 1:
        raise ConfigError(f"threshold {threshold} is not a quantile between 0 and 1; try 0.8")
    decisions = stored.decisions("train")
    if decisions is None:
        raise ConfigError(f"{label} decides about no interaction; choose a denoiser's experiment")
    kept = choose(train, decisions, threshold, LEAST[part])
    if not kept.dropped:
        raise ConfigError(
            f"{label} keeps every interaction; give --threshold, such as 0.8, to drop those of the "
            "highest scores"
        )
    return kept


def _table(
    dataset: Dataset, users: NDArray[np.int64], items: NDArray[np.int32], places: NDArray[np.int64]
) -> pd.DataFrame:
    """Name users and items by their ids; places are those in the users' histories."""
    return pd.DataFrame(
        {
            "user_id": np.array(dataset.user_ids, dtype=object)[users],
            "item_id": np.array(dataset.item_ids, dtype=object)[items - 1],
            "timestamp": places,
        }
    )


def _rows(dataset: Dataset, keep: NDArray[np.bool_], part: CleanedPart) -> pd.DataFrame:
    """Return the interactions to write, user by user."""
    train = dataset.histories("train")
    places = np.arange(len(train.items)) - train.offsets[train.owners]
    users, items, places = train.owners[keep], train.items[keep], places[keep]
    if part == "all":
        split, everyone = Split.of(dataset), np.arange(dataset.n_users)
        users = np.concatenate([users, everyone, everyone])
        items = np.concatenate([items, split.targets("validation"), split.targets("test")])
        places = np.concatenate([places, train.lengths, train.lengths + 1])
        order = np.lexsort((places, users))
        users, items, places = users[order], items[order], places[order]
    return _table(dataset, users, items, places)


def _dropped(dataset: Dataset, kept: Kept) -> pd.DataFrame:
    """Return what is left out, in the form that the method ``decisions`` reads."""
    train = dataset.histories("train")
    flat = np.flatnonzero(~kept.keep)
    users = train.owners[flat]
    rows = _table(dataset, users, train.items[flat], flat - train.offsets[users])
    rows.columns = pd.Index(["user", "item", "position"])
    rows = rows[["user", "position", "item"]]
    return rows.assign(keep="false", score=kept.score[flat].astype(np.float64))


def _files(fmt: CleanedFormat, name: str, *, texts: bool) -> dict[str, str]:
    """Name the files by role."""
    if fmt == "sequences":
        files = {"sequences": "user_sequence.txt", "items": "items.tsv"}
    elif fmt == "recbole":  # RecBole reads NAME.inter in a folder of the same name
        files = {"interactions": f"{name}.inter", "items": f"{name}.item"}
    else:
        files = {"interactions": f"interactions.{fmt}", "items": f"items.{fmt}"}
    return files if texts else {role: file for role, file in files.items() if role != "items"}


def _card(
    stored: StoredExperiment,
    dataset: Dataset,
    origin: Card,
    fmt: CleanedFormat,
    part: CleanedPart,
    *,
    short: bool,
) -> dict[str, Any]:
    experiment = stored.experiment
    name = f"{dataset.name}-{experiment.method}-{stored.key[:8]}".lower()
    form: dict[str, Any] = {"format": "table" if fmt in {"csv", "parquet"} else fmt}
    if fmt == "recbole":
        form["options"] = {"text": "title"}
    if any(one.missing_ids == "keep" for one in origin.forms):  # else all ids are plain
        form["missing_ids"] = "keep"
    what = {"train": "training histories", "all": "histories"}[part]
    card: dict[str, Any] = {
        "name": re.sub(r"[^a-z0-9_.-]+", "-", name),
        "title": f"{origin.title or dataset.name}, cleaned by {experiment.method}",
        "summary": f"{what} of {dataset.name} that {experiment.label} keeps",
        "forms": [form],
        "max_length": dataset.max_length,
    }
    if card["name"] in card_names():
        card["name"] += "-cleaned"
    if short:
        card["filters"] = {"min_user_interactions": 3}
    for key in ("citation", "licence"):
        if value := getattr(origin, key):
            card[key] = value
    return card


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False, lineterminator="\n")


def _write_lines(path: Path, rows: Iterable[Iterable[object]], separator: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{separator.join(map(str, row))}\n" for row in rows)


def _write_files(
    folder: Path,
    fmt: CleanedFormat,
    files: Mapping[str, str],
    rows: pd.DataFrame,
    titles: pd.DataFrame,
) -> None:
    if fmt == "sequences":
        histories = rows.groupby("user_id", sort=False)["item_id"]
        lines = ([user, *items] for user, items in histories)
        _write_lines(folder / files["sequences"], lines, " ")
    for role, table in (("interactions", rows), ("items", titles)):
        if role not in files:
            continue
        path = folder / files[role]
        if fmt == "csv":
            _write_csv(path, table)
        elif fmt == "parquet":
            table.to_parquet(path, index=False, compression="zstd")
        else:
            kinds = _RECBOLE if fmt == "recbole" else {}
            heads = [name + kinds.get(name, "") for name in table.columns]
            _write_lines(path, [heads, *table.itertuples(index=False)], "\t")


def _read_again(folder: Path, fmt: CleanedFormat, rows: pd.DataFrame) -> Dataset:
    """Read the written data through its card, and check that nothing has changed."""
    try:
        card = load_card(str(folder / CARD))
        form = card.forms[0]
        located = Located(form, {role: folder / name for role, name in form.files.items()})
        again = parse_card(card, located)
    except BenchError as error:
        problem = str(error).replace(f"{folder}{os.sep}", "")  # a folder that does not stay
    else:
        meant = rows.groupby("user_id", sort=False)["item_id"].agg(list).to_dict()
        found = {
            again.user_ids[row]: [again.item_ids[item - 1] for item in items.tolist()]
            for row, items in enumerate(again.sequences)
        }
        if found == meant:
            return again
        problem = "other histories are read back than were written"
    remedy = "rename them in the files of the data set"
    if fmt != "parquet":
        remedy = "choose another --format, such as parquet"
    raise DataError(f"format '{fmt}' cannot hold the ids of these data ({problem}); {remedy}")


def _write_card(folder: Path, card: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True)
    (folder / CARD).write_text(text, encoding="utf-8")


def _counts(dataset: Dataset) -> dict[str, int]:
    return {
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": dataset.n_interactions,
    }


def _provenance(stored: StoredExperiment, dataset: Dataset, cleaned: Cleaned) -> dict[str, Any]:
    experiment, kept = stored.experiment, cleaned.kept
    source, written = (
        {"dataset": one.name, "fingerprint": one.fingerprint, **_counts(one)}
        for one in (dataset, cleaned.dataset)
    )
    return {
        "bench": __version__,
        "experiment": {
            "key": stored.key,
            "label": experiment.label,
            "code": experiment.code,
            "versions": stored.metadata.versions,
            "content": experiment.model_dump(mode="json"),
        },
        "source": source,
        "cleaned": written,
        "training_interactions": {
            "all": len(kept.keep),
            "kept": int(kept.keep.sum()),
            "dropped": kept.dropped,
            "restored": kept.restored,
            "undecided": kept.undecided,
        },
        "users_below_three_interactions": list(cleaned.short),
        "items_without_interactions": list(cleaned.gone),
    }
