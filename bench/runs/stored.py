"""A finished experiment on disk, read part by part; each file is compared with its checksum."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, RootModel

from bench.errors import BenchError, StoreError
from bench.files import read_model
from bench.manifest import MANIFEST, DamagedError, Manifest
from bench.plan.experiment import Experiment, Key, Moment, key_of
from bench.plan.protocol import PARTS, PHASES, Phase
from bench.plan.result import Decisions, Drops, Epoch, Metadata, Ranks, TopLists

WEIGHTS, LISTS = "weights.safetensors", "lists-test.parquet"
_Table = TypeVar("_Table", Ranks, Decisions, Drops, TopLists)
_REMEDY = "delete its folder and run again"
_PROPERTIES = ("experiment", "metadata", "curve", "weights", "lists")
_LOG = logging.getLogger(__name__)


class _Head(BaseModel):
    """Content of ``experiment.json``."""

    key: Key
    finished: Moment
    experiment: dict[str, Any]
    decisions: list[str]


class _Curve(RootModel[list[Epoch]]):
    """Content of ``curve.json``."""


@dataclass(frozen=True)
class StoredExperiment:
    """A finished experiment; each part is read from disk when it is asked for.

    Every part raises a StoreError that names its file if that is damaged.
    """

    folder: Path

    @cached_property
    def key(self) -> str:
        """The experiment's key when it ran."""
        return self._head.key

    @property
    def finished(self) -> float:
        """When it ended, in seconds since 1970."""
        return self._head.finished

    @property
    def content(self) -> dict[str, Any]:
        """The experiment as plain data, as the version of bench wrote it that ran it."""
        return self._head.experiment

    @cached_property
    def experiment(self) -> Experiment:
        """What ran; raise a ConfigError if a version of bench with other settings wrote it."""
        return Experiment.parse(
            self._head.experiment, f"{self.folder / 'experiment.json'} (delete the folder)"
        )

    @cached_property
    def metadata(self) -> Metadata:
        """Costs, versions and diagnostics."""
        return read_model(self._checked("metadata.json"), Metadata, _REMEDY)

    @cached_property
    def curve(self) -> list[Epoch]:
        """Learning curve, one row per epoch."""
        return read_model(self._checked("curve.json"), _Curve, _REMEDY).root

    @property
    def seconds(self) -> float:
        """Wall seconds of all epochs."""
        return sum(row.seconds for row in self.curve)

    @property
    def weights(self) -> Path | None:
        """File with the weights of the best epoch; None if they were not kept."""
        return self._checked(WEIGHTS) if self._holds(WEIGHTS) else None

    @property
    def lists(self) -> TopLists | None:
        """Top items of every user; None if they were not kept."""
        return _read_columns(self._checked(LISTS), TopLists) if self._holds(LISTS) else None

    def ranks(self, phase: Phase) -> Ranks:
        """Every user's ranks of one phase."""
        return _read_columns(self._checked(f"ranks-{phase}.parquet"), Ranks)

    def decisions(self, part: str) -> Decisions | None:
        """Read the decisions of ``train`` or ``test``; None of a method that removes nothing."""
        if part not in self._head.decisions:
            return None
        return _read_columns(self._checked(f"decisions-{part}.parquet"), Decisions)

    def drops(self, part: str) -> Drops | None:
        """Count the interactions that the method drops; None if it removes nothing.

        Published experiments have these counts and no decisions.
        """
        if self._holds(name := f"drops-{part}.parquet"):
            return _read_columns(self._checked(name), Drops)
        decisions = self.decisions(part)
        return None if decisions is None else decisions.drops()

    def problems(self) -> list[str]:
        """Read every file and return a sentence for each one that is damaged or missing."""
        parts: list[Callable[[], object]] = [
            *(partial(getattr, self, name) for name in _PROPERTIES),
            self._check_key,
            *(partial(self.ranks, phase) for phase in PHASES),
            *(partial(read, part) for read in (self.decisions, self.drops) for part in PARTS),
        ]
        found: dict[str, None] = {}
        for read in parts:
            try:
                read()
            except BenchError as error:
                found[str(error)] = None
        return list(found)

    @property
    def files(self) -> list[Path]:
        """Its files; what something else has put into the folder is not among them."""
        if self._manifest is None:
            return [path for path in sorted(self.folder.iterdir()) if path.is_file()]
        return [self.folder / name for name in sorted((*self._manifest.files, MANIFEST))]

    @property
    def has_checksums(self) -> bool:
        """Whether its files can be checked; those of an earlier version cannot."""
        return (self.folder / MANIFEST).exists()

    @cached_property
    def _manifest(self) -> Manifest | None:
        try:
            return Manifest.read(self.folder)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            raise _damaged(self.folder / MANIFEST, error) from None

    @cached_property
    def _head(self) -> _Head:
        return read_model(self._checked("experiment.json"), _Head, _REMEDY)

    def _check_key(self) -> None:
        if self.experiment and key_of(self.content) != self.key:
            raise _damaged(self.folder / "experiment.json", "its key is not that of its settings")

    def _holds(self, name: str) -> bool:
        if self._manifest is None:
            return (self.folder / name).exists()
        return name in self._manifest.files

    def _checked(self, name: str) -> Path:
        """Return the path of a file whose content is what was written."""
        path = self.folder / name
        if self._manifest is None:
            _note_unchecked(self.folder.parent)
            return path
        try:
            return self._manifest.check(path)
        except DamagedError as error:
            raise _damaged(path, error) from None


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write equally long arrays as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(dict(columns)), path, compression="zstd")


def _read_columns(path: Path, kind: type[_Table]) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    columns = {name: np.asarray(table[name].to_numpy()) for name in table.column_names}
    kinds = {
        name: dtype
        for name, dtype in _dtypes(cast("Any", kind)).items()
        if name in columns or not hasattr(kind, name)
    }
    if {name: column.dtype for name, column in columns.items()} != kinds:
        expected = ", ".join(f"{name} ({dtype})" for name, dtype in kinds.items())
        raise _damaged(path, f"its columns are not {expected}")
    return kind(**columns)


@cache
def _dtypes(kind: type) -> dict[str, np.dtype[Any]]:
    """Return the data type of each column of a table; its hints are compiled once."""
    return {name: _dtype(hint) for name, hint in get_type_hints(kind).items()}


def _dtype(hint: object) -> np.dtype[Any]:
    """Return the data type that an ``NDArray[...]`` names, which may be left out."""
    array = next((kind for kind in get_args(hint) if get_origin(kind) is np.ndarray), hint)
    kind: np.dtype[Any] = np.dtype(get_args(get_args(array)[1])[0])
    return kind


@cache
def _note_unchecked(experiments: Path) -> None:
    _LOG.warning(
        "%s holds experiments of an earlier version without checksums; they are read unchecked",
        experiments,
    )


def _damaged(path: Path, reason: object) -> StoreError:
    return StoreError(f"{path} is missing or damaged ({reason}); {_REMEDY}")


def readable(
    experiments: Iterable[StoredExperiment], part: str = "experiment"
) -> Iterator[StoredExperiment]:
    """Leave out experiments that are damaged, or that another version wrote with other settings.

    With ``part="key"``, only folders that do not say which experiment they hold.
    """
    for stored in experiments:
        try:
            getattr(stored, part)
        except BenchError:
            continue
        yield stored
