"""Finished cells as figures: which are read, and how their ranks are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.data.dataset import Phase
from bench.errors import ConfigError, suggestion
from bench.evaluate.metrics import NDCG, HitRatio, Metric, rank_of
from bench.protocol import Candidates, Protocol, Ties
from bench.runs.cell import Cell
from bench.runs.stored import StoredCell, readable

if TYPE_CHECKING:
    from bench.runs.store import Failure, Store
    from bench.tuning.records import TrialNumbers


@dataclass(frozen=True)
class Reading:
    """How stored ranks become figures.

    Attributes
    ----------
    phase
        Held-out item that is ranked.
    candidates, ties
        None takes what each cell's protocol says.
    metrics
        Columns; None takes HR and NDCG at the cut-offs of each cell's protocol.
    """

    phase: Phase = "test"
    candidates: Candidates | None = None
    ties: Ties | None = None
    metrics: tuple[Metric, ...] | None = None

    def metrics_for(self, protocol: Protocol) -> tuple[Metric, ...]:
        """Columns of a table of one protocol."""
        if self.metrics is not None:
            return self.metrics
        return tuple(kind(k) for kind in (HitRatio, NDCG) for k in protocol.cutoffs)

    def candidates_for(self, protocol: Protocol) -> Candidates:
        """Which items compete."""
        return self.candidates or protocol.candidates

    def ties_for(self, protocol: Protocol) -> Ties:
        """Which rank equal scores give."""
        return self.ties or protocol.ties


@dataclass(frozen=True)
class Selection:
    """Which cells are shown; an empty field selects all.

    Attributes
    ----------
    keys
        Keys of cells, as a plan lists them.
    datasets, backbones, methods
        Names; their order is the order of rows.
    trials
        Trials of tuning that a ledger counts, by study; None counts all that have ended.
    """

    keys: Sequence[str] | None = None
    datasets: Sequence[str] = ()
    backbones: Sequence[str] = ()
    methods: Sequence[str] = ()
    trials: TrialNumbers | None = None

    def admits(self, key: str, cell: Cell) -> bool:
        """Whether a finished cell is shown."""
        return self._names(key, (cell.dataset,), (cell.backbone,), (cell.method,))

    def admits_label(self, key: str, label: str) -> bool:
        """Whether a cell of which only :attr:`bench.runs.cell.Cell.label` is known is shown."""
        parts = label.split("/")
        return self._names(key, parts[:1], parts[1:], parts[1:])

    def _names(
        self,
        key: str,
        dataset: Sequence[str | None],
        backbone: Sequence[str | None],
        method: Sequence[str | None],
    ) -> bool:
        pairs = ((self.datasets, dataset), (self.backbones, backbone), (self.methods, method))
        named = all(not wanted or any(name in wanted for name in names) for wanted, names in pairs)
        return named and (self.keys is None or key in self.keys)


@dataclass(frozen=True)
class Result:
    """One finished cell, its ranks averaged over users.

    Attributes
    ----------
    values
        Mean over users by name of the metric.
    facts, curve
        As stored; see :class:`bench.runs.result.CellResult`.
    """

    cell: Cell
    values: Mapping[str, float]
    facts: Mapping[str, Any]
    curve: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Results:
    """What a store holds of a selection.

    Attributes
    ----------
    finished
        Figures of the finished cells.
    problems
        One sentence a kind of what is not shown: failed, unfinished and unreadable cells.
    """

    finished: Sequence[Result]
    problems: Sequence[str]


def read_results(store: Store, selection: Selection, reading: Reading) -> Results:
    """Read the selected cells one after another, so that only one cell's ranks are in memory.

    Raises
    ------
    ConfigError
        The selection names what no cell in the store has.
    StoreError
        A cell's folder is damaged.
    """
    everything = list(store.cells())
    understood = list(readable(everything))
    folders = {stored.folder for stored in understood}
    failures = list(store.failures())
    _check_names(selection, [stored.cell.label for stored in understood], failures)
    chosen = [stored for stored in understood if selection.admits(stored.key, stored.cell)]
    finished = [_read(stored, reading) for stored in chosen]
    keys = {stored.key for stored in chosen}
    problems = [*_failed(failures, selection, keys), *_unfinished(selection, keys)]
    if unreadable := [one for one in everything if one.folder not in folders]:
        problems.append(
            f"Not shown: {_count(len(unreadable), 'cell')} damaged or written by another version "
            f"of bench (first: {unreadable[0].folder.name}); delete the folder and run again."
        )
    return Results(finished, problems)


def _read(stored: StoredCell, reading: Reading) -> Result:
    protocol = stored.cell.protocol
    ranks = rank_of(
        stored.ranks(reading.phase), reading.candidates_for(protocol), reading.ties_for(protocol)
    )
    values = {metric.name: metric.mean(ranks) for metric in reading.metrics_for(protocol)}
    return Result(stored.cell, values, stored.facts, stored.curve)


def _check_names(
    selection: Selection, finished: Iterable[str], failures: Iterable[tuple[str, Failure]]
) -> None:
    """Refuse a name that no cell in the store has, rather than leave it out without a word."""
    labels = [*finished, *(failure.label for _, failure in failures)]
    names = {part for label in labels for part in label.split("/")[:-1]}
    for name in (*selection.datasets, *selection.backbones, *selection.methods):
        if labels and name not in names:
            raise ConfigError(f"the store has no cell of '{name}'{suggestion(name, names)}")


def _failed(
    failures: Iterable[tuple[str, Failure]], selection: Selection, finished: Set[str]
) -> Iterator[str]:
    for key, failure in failures:
        if key not in finished and selection.admits_label(key, failure.label):
            yield f"Failed: {failure.label}: {failure.cause}"


def _unfinished(selection: Selection, finished: Set[str]) -> Iterator[str]:
    wanted = set(selection.keys or ())
    if missing := len(wanted - finished):
        yield f"Missing: {_count(missing, 'cell')} of {len(wanted)} asked for have no result."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
