"""Read files of ranks that other programs wrote, and check them against a data set.

*Ranks* are rows of ``user`` and ``target`` with ``rank``, or with the counts of
:class:`bench.plan.result.Ranks` (``better_all``, ``ties_all``, ``better_unseen``,
``ties_unseen``); *scores* are one number for every user and item; *lists* are rows of ``user``,
``rank`` and ``item``. Users and items are named by the ids of the data set.
"""

from __future__ import annotations

import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.foreign import ForeignTable, as_read
from bench.data.split import Split
from bench.errors import ConfigError, DataError, first_line
from bench.plan.protocol import PHASES, Candidates, Phase
from bench.plan.result import Ranks

COUNTS = ("better_all", "ties_all", "better_unseen", "ties_unseen")
FINGERPRINT = b"bench.fingerprint"
"""Key of the data set's fingerprint in the metadata of a Parquet file."""
_COLUMNS = ("user", "target", "rank", "item", "phase", *COUNTS)
_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
    *(OSError, EOFError, KeyError, ValueError, TypeError, OverflowError),
    *(MemoryError, RuntimeError),  # a header that claims a huge size; encryption
)
"""What zipfile and numpy raise while they read a damaged npz file."""

Counts = Mapping[str, NDArray[np.int64]]
"""The columns :data:`COUNTS` of every user of the data set."""


def complete_ranks(split: Split, phase: Phase, counts: Counts | None) -> Ranks:
    """Complete counts by what the data set tells; without counts nothing is known."""
    history, targets = split.history(phase), split.targets(phase)
    seen = np.bincount(_seen(split, phase) // (split.n_items + 1), minlength=len(history))
    columns: dict[str, NDArray[Any]] = {
        "target": targets,
        "target_count": split.item_counts()[targets],
        "history_length": history.lengths,
        "candidates_all": np.full(len(history), split.n_items),
        "candidates_unseen": split.n_items - seen,
        **_completed(counts or {}, len(history)),
    }
    return Ranks(**{name: column.astype(np.int32) for name, column in columns.items()})


def _seen(split: Split, phase: Phase) -> NDArray[np.int64]:
    """Return ``user * (items + 1) + item`` of what is in a history and is not the target."""
    history, targets = split.history(phase), split.targets(phase)
    users = history.owners
    other = history.items != targets[users]
    return np.unique(users[other] * (split.n_items + 1) + history.items[other])


def _completed(given: Counts, users: int) -> Counts:
    """Fill in what a file does not say: -1 for unknown ranks, and no ties."""
    unknown = {"better": np.full(users, -1), "ties": np.zeros(users, dtype=np.int64)}
    return {name: given.get(name, unknown[name.partition("_")[0]]) for name in COUNTS}


def _array(file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with file.open(f"{name}.npy") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


@dataclass(frozen=True, eq=False)
class RanksFile:
    """A file that another program wrote about the ranks of a data set's targets.

    ``candidates`` says which items compete in a column ``rank``, in lists (both ``all`` if None) or
    in scores (None: those of items in the history are scores, too; ``unseen``: they mean nothing).
    """

    path: Path
    dataset: Dataset
    candidates: Candidates | None

    @cached_property
    def split(self) -> Split:
        """Targets and histories of the data set."""
        return Split.of(self.dataset)

    def read(self) -> tuple[Literal["ranks", "lists", "scores"], dict[Phase, Counts], int | None]:
        """Return the kind of file, the counts of each phase that it holds, and lists' length.

        Raise a DataError if the file is damaged, lacks users, or contradicts the data set, and a
        ConfigError if ``candidates`` is given although the file states them.
        """
        try:
            with self.path.open("rb") as stream:
                is_npz = stream.read(2) == b"PK" or self.path.suffix == ".npz"
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror}; check the path") from None
        if is_npz:
            return "scores", {"test": self._npz()}, None
        table = ForeignTable.read(self.path, _COLUMNS)
        self._check_fingerprint()
        table.need("user")
        for column, others in (("item", ("target", *COUNTS)), ("rank", COUNTS)):
            twin = next((name for name in others if name in table), None)
            if column in table and twin:
                raise DataError(
                    f"{self.path} has the columns '{column}' and '{twin}', of which only one can "
                    "count; leave the other out"
                )
        if "item" in table:
            counts, length = self._lists(table)
            return "lists", counts, length
        if "target" in table:
            return "ranks", self._ranks(table), None
        return "scores", {"test": self._wide()}, None

    def _check_fingerprint(self) -> None:
        """Compare the fingerprint that :func:`bench.runs.imported.write_ranks` leaves."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        own = self.dataset.fingerprint
        try:
            metadata = pq.read_schema(self.path).metadata or {}
        except (pa.ArrowException, OSError):  # separated text
            return
        stated = metadata.get(FINGERPRINT, own.encode()).decode("ascii", "replace")
        if stated != own:
            raise DataError(
                f"{self.path} is about data of fingerprint {stated[:8]}, and "
                f"'{self.dataset.name}' here has {own[:8]}; name the data set that it is about"
            )

    def _phases(self, table: ForeignTable) -> NDArray[np.int64]:
        """Return each row's place in :data:`PHASES`; all are test without a column."""
        if "phase" not in table:
            return np.full(len(table.columns.arrays["user"]), PHASES.index("test"))
        codes, values = table.columns.ids("phase")
        places = {str(phase): number for number, phase in enumerate(PHASES)}
        for code, value in enumerate(values):
            if value not in places:
                raise DataError(
                    f"{table.columns.place(int(np.argmax(codes == code)))}: 'phase' is '{value}', "
                    "neither validation nor test; correct it"
                )
        return np.array([places[value] for value in values])[codes]

    def _by_phase(
        self, users: NDArray[np.int64], phases: NDArray[np.int64]
    ) -> Iterator[tuple[Phase, NDArray[np.int64]]]:
        """Yield the rows of each phase that a table holds, in the order of users."""
        if not (phases == PHASES.index("test")).any():
            raise DataError(f"{self.path} has no row of the test phase; add them")
        for number, phase in enumerate(PHASES):
            rows = np.flatnonzero(phases == number)
            if not len(rows):
                continue
            missing = np.setdiff1d(np.arange(self.dataset.n_users), users[rows])
            if len(missing):
                raise DataError(
                    f"{self.path} lacks {len(missing)} of {self.dataset.n_users} users of "
                    f"'{self.dataset.name}' (first: '{self.dataset.user_ids[missing[0]]}'); full "
                    "results have every user"
                )
            yield phase, rows[np.argsort(users[rows], kind="stable")]

    def _ranks(self, table: ForeignTable) -> dict[Phase, Counts]:
        users = table.rows("user", self.dataset.user_ids, "user")
        targets = table.rows("target", self.dataset.item_ids, "item") + 1
        phases = self._phases(table)
        table.refuse_twins("user and phase", phases, users)
        if any(name in table for name in COUNTS):
            if self.candidates is not None:
                raise ConfigError(
                    f"{self.path} holds counts, whose columns name the candidates; leave "
                    "--candidates away"
                )
            for better, ties in (COUNTS[:2], COUNTS[2:]):
                table.need(*([better, ties] if better in table or ties in table else []))
            given = {name: table.whole(name) for name in COUNTS if name in table}
        else:
            table.need("rank")
            given = {f"better_{self.candidates or 'all'}": table.whole("rank", 1) - 1}
        found: dict[Phase, Counts] = {}
        for phase, rows in self._by_phase(users, phases):
            self._check_targets(table, phase, rows, targets[rows])
            own = {name: values[rows] for name, values in given.items()}
            found[phase] = _completed(own, len(rows))
            self._check_range(table, phase, rows, found[phase])
        return found

    def _check_targets(
        self, table: ForeignTable, phase: Phase, rows: NDArray[np.int64], targets: NDArray[np.int64]
    ) -> None:
        own, ids = self.split.targets(phase), self.dataset.item_ids
        wrong = targets != own
        if wrong.any():
            user = int(np.argmax(wrong))
            raise DataError(
                f"{table.columns.place(int(rows[user]))}: the {phase} target of user "
                f"'{self.dataset.user_ids[user]}' is '{ids[own[user] - 1]}', not "
                f"'{ids[targets[user] - 1]}'; {int(wrong.sum())} users differ, so the model was "
                "tested on another split"
            )

    def _check_range(
        self, table: ForeignTable, phase: Phase, rows: NDArray[np.int64], counts: Counts
    ) -> None:
        """Refuse more items above a target than compete, or more unseen ones than of all."""

        def refuse(wrong: NDArray[np.bool_], problem: str) -> None:
            if wrong.any():
                place = table.columns.place(int(rows[np.argmax(wrong)]))
                raise DataError(f"{place}: {problem}; correct the row")

        known = complete_ranks(self.split, phase, None).columns()
        for name in ("all", "unseen"):
            refuse(
                counts[f"better_{name}"] + counts[f"ties_{name}"] >= known[f"candidates_{name}"],
                "more items are ranked above the target than compete with it",
            )
        if min(counts["better_all"].min(), counts["better_unseen"].min()) < 0:
            return  # one of the two is not known
        seen = known["candidates_all"] - known["candidates_unseen"]
        refuse(
            counts["better_all"] - counts["better_unseen"] > seen,
            "more items of the history are ranked above the target than it has",
        )
        for name in ("better", "ties"):
            refuse(
                counts[f"{name}_unseen"] > counts[f"{name}_all"],
                f"'{name}_unseen' is more than '{name}_all', which counts the same items, too",
            )

    def _lists(self, table: ForeignTable) -> tuple[dict[Phase, Counts], int]:
        table.need("rank")
        users = table.rows("user", self.dataset.user_ids, "user")
        items = table.rows("item", self.dataset.item_ids, "item") + 1
        ranks, phases = table.whole("rank", 1), self._phases(table)
        table.refuse_twins("user, phase and rank", phases, users, ranks)
        table.refuse_twins("user, phase and item", phases, users, items)
        candidates, lengths = self.candidates or "all", list[int]()
        found: dict[Phase, Counts] = {}
        for phase, rows in self._by_phase(users, phases):
            counts, targets = np.bincount(users[rows]), self.split.targets(phase)
            length = int(counts.min())
            if length != counts.max() or ranks[rows].max() != length:
                short = self.dataset.user_ids[int(np.argmax(counts != counts.max()))]
                raise DataError(
                    f"{self.path}: lists have {length} to {int(counts.max())} items with ranks up "
                    f"to {int(ranks[rows].max())} (first short one: user '{short}'); write lists "
                    "of one length with ranks from 1"
                )
            if candidates == "unseen":
                pairs = users[rows] * (self.split.n_items + 1) + items[rows]
                wrong = np.isin(pairs, _seen(self.split, phase))
                if wrong.any():
                    raise DataError(
                        f"{table.columns.place(int(rows[np.argmax(wrong)]))}: the item is in the "
                        "user's history; leave --candidates unseen away where lists hold all items"
                    )
            # A target beyond its list ties with all other items that are not in it.
            hit = rows[items[rows] == targets[users[rows]]]
            better = np.full(len(targets), length)
            better[users[hit]] = ranks[hit] - 1
            known = complete_ranks(self.split, phase, None).columns()[f"candidates_{candidates}"]
            ties = np.where(better == length, np.maximum(known - 1 - length, 0), 0)
            given = {f"better_{candidates}": better, f"ties_{candidates}": ties}
            found[phase] = _completed(given, len(targets))
            lengths.append(length)
        return found, min(lengths)

    def _npz(self) -> Counts:
        try:
            with zipfile.ZipFile(self.path) as file:
                users, items, scores = (_array(file, name) for name in ("users", "items", "scores"))
        except _DAMAGES as error:
            raise DataError(
                f"{self.path} is not an npz file with the arrays users, items and scores "
                f"({first_line(error)}); write it with numpy.savez(file, users=ids, items=ids, "
                "scores=matrix), ids as arrays of text or whole numbers"
            ) from None
        for name, ids in (("users", users), ("items", items)):
            if ids.ndim != 1 or ids.dtype.kind not in "Uiu":
                raise DataError(
                    f"{self.path}: '{name}' is not a list of text or whole numbers; write ids"
                )
        if scores.shape != (len(users), len(items)) or scores.dtype.kind not in "fiu":
            raise DataError(
                f"{self.path}: scores of shape {scores.shape} and type {scores.dtype}, where "
                f"({len(users)}, {len(items)}) numbers are expected"
            )
        own, others = ([str(value) for value in ids.tolist()] for ids in (users, items))
        return self._scores(own, others, scores)

    def _wide(self) -> Counts:
        table = ForeignTable.read(self.path, ["user", *self.dataset.item_ids])
        items = [name for name in table.columns.header if name != "user"]
        if not {*items} & {*self.dataset.item_ids}:
            raise DataError(
                f"{self.path} has the columns {', '.join(table.columns.header[:8])}, which are "
                "neither ranks (user, target, rank) nor lists (user, rank, item) nor scores "
                "(user, and one column for each item's id)"
            )
        if unknown := [name for name in items if name not in table]:
            raise DataError(
                f"{self.path}: the data set has no item '{unknown[0]}'; leave its column out"
            )
        users = table.columns.strings("user")
        return self._scores(users, items, np.stack([table.numbers(n) for n in items], axis=1))

    def _scores(self, users: Sequence[str], items: Sequence[str], scores: NDArray[Any]) -> Counts:
        """Count the items above and equal to each target, user by user."""
        row_of = self._places(users, self.dataset.user_ids, "user")
        column_of = self._places(items, self.dataset.item_ids, "item")
        history, targets = self.split.history("test"), self.split.targets("test")
        counts = {name: np.zeros(len(targets), dtype=np.int64) for name in COUNTS}
        for user, target in enumerate(targets):
            own = scores[row_of[user]][column_of]
            others = np.unique(history[user])
            others = others[others != target] - 1
            if self.candidates == "unseen":
                own[others] = 0  # whatever masks them
            if not np.isfinite(own).all():
                item = self.dataset.item_ids[int(np.argmax(~np.isfinite(own)))]
                raise DataError(
                    f"{self.path}: the score of item '{item}' for user "
                    f"'{self.dataset.user_ids[user]}' is not finite; write numbers, or give "
                    "--candidates unseen if items of the history are masked"
                )
            level = own[target - 1]
            better, equal = own > level, own == level
            counts["better_all"][user], counts["ties_all"][user] = better.sum(), equal.sum() - 1
            counts["better_unseen"][user] = better.sum() - better[others].sum()
            counts["ties_unseen"][user] = equal.sum() - 1 - equal[others].sum()
        known = COUNTS[2:] if self.candidates == "unseen" else COUNTS
        return _completed({name: counts[name] for name in known}, len(targets))

    def _places(self, given: Sequence[str], ids: Sequence[str], kind: str) -> NDArray[np.int64]:
        """Return the place of each id of the data set in a file that has exactly these."""
        given = as_read(given, {*ids}, kind)
        places = {value: place for place, value in enumerate(given)}
        if len(places) < len(given):
            twin = next(value for place, value in enumerate(given) if places[value] != place)
            raise DataError(f"{self.path} has the {kind} '{twin}' twice; remove one")
        if unknown := set(given) - set(ids):
            raise DataError(
                f"{self.path}: the data set has no {kind} '{min(unknown)}'; use the ids of its "
                "files, and leave out what is not in it"
            )
        if missing := [value for value in ids if value not in places]:
            raise DataError(
                f"{self.path} lacks {len(missing)} of {len(ids)} {kind}s of the data set (first: "
                f"'{missing[0]}'); full results have every {kind}"
            )
        return np.array([places[value] for value in ids], dtype=np.int64)
