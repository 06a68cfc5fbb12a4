"""The published form of finished experiments: one Parquet file, one row an experiment.

A row holds the ranks of every user, the metadata, the learning curve and how many interactions a
denoiser drops by popularity: all that a report needs, and neither training data nor item texts.
``docs/stores.md`` describes the columns, which any reader of Parquet can read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import RootModel, ValidationError

from bench.config import Config
from bench.errors import BenchError, ConfigError, StoreError
from bench.files import atomic_path
from bench.hashing import canonical_json, content_hash
from bench.plan.experiment import Experiment
from bench.plan.protocol import LEAVE_ONE_OUT, PARTS, PHASES, Part, Phase
from bench.plan.result import Drops, Epoch, ExperimentResult, Metadata, Ranks
from bench.reports.tables.denoising import Buckets

if TYPE_CHECKING:
    import pyarrow as pa

    from bench.runs.store import Store
    from bench.runs.stored import StoredExperiment

FORMAT = 1
SUFFIX = ".parquet"
WHOLE_COMMIT = re.compile(r"[0-9a-f]{40}")
_MARK = b"bench"
COMMIT = "commit"
"""Under this name the versions of an experiment's metadata hold the commit of the source."""
_TEXTS = ("key", "finished", "experiment", "metadata", "curve", "drops", "run")
_SHARED = ("target", "target_count", "history_length", "candidates_all", "candidates_unseen")
"""Arrays that experiments on the same data share: null where they equal those of the row above."""
_OWN = ("better_all", "ties_all", "better_seen", "ties_seen")
_MOST_ROWS, _MOST_VALUES, _MOST_BYTES = 100_000, 2 * 10**9, 2 * 2**30
_PARQUET_ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError)


class PublishedRun(Config):
    """The ``bench run`` that asked for an experiment.

    Attributes
    ----------
    name
        Of the specification.
    spec
        What it sets.
    tuned
        Whether the experiments have the settings that tuning found.
    """

    name: str
    spec: dict[str, Any]
    tuned: bool = False


class _Curve(RootModel[list[Epoch]]):
    """Content of the column ``curve``."""


@dataclass(frozen=True, eq=False)
class PublishedExperiment:
    """A finished experiment in its published form.

    Attributes
    ----------
    texts
        All but the ranks by column, as plain text ``key`` and ``finished``, as JSON ``experiment``,
        as it was when it ran; ``metadata``, whose versions include the commit;
        ``curve``; ``drops``, counts for each fifth of the test targets by popularity; ``run``, what
        asked for it.
    ranks
        By phase.
    """

    texts: Mapping[str, str]
    ranks: Mapping[Phase, Ranks]

    @classmethod
    def of(
        cls, stored: StoredExperiment, run: PublishedRun | None, commit: str | None
    ) -> PublishedExperiment:
        """Bring a finished experiment into its published form.

        Parameters
        ----------
        stored
            The experiment.
        run
            What asked for it; None where no run record names it.
        commit
            Of the source, unless its metadata say it.

        Raises
        ------
        StoreError
            It is damaged.
        """
        metadata = stored.metadata
        versions = {**({COMMIT: commit} if commit else {}), **metadata.versions}
        about = metadata.model_copy(update={"versions": versions, "card": None})
        ranks = {phase: stored.ranks(phase) for phase in PHASES}
        if any(one.user is not None for one in ranks.values()):
            raise ConfigError(
                f"{stored.experiment.label} was split by time; published results are of "
                f"{LEAVE_ONE_OUT} alone, leave it out"
            )
        buckets = Buckets.of(ranks["test"].target_count)
        drops = {
            part: {name: v.tolist() for name, v in buckets.merged(counts).columns().items()}
            for part in PARTS
            if (counts := stored.drops(part)) is not None
        }
        plain = {
            "experiment": stored.content,
            "metadata": about.model_dump(mode="json"),
            "curve": [row.model_dump(mode="json") for row in stored.curve],
            "drops": drops,
            "run": None if run is None else run.model_dump(mode="json"),
        }
        texts = {name: canonical_json(value) for name, value in plain.items()}
        return cls({"key": stored.key, "finished": repr(stored.finished), **texts}, ranks)

    @property
    def key(self) -> str:
        """The experiment's key when it ran."""
        return self.texts["key"]

    @property
    def finished(self) -> float:
        """When it ended, in seconds since 1970."""
        return float(self.texts["finished"])

    @cached_property
    def content(self) -> dict[str, Any]:
        """The experiment as plain data, as it was when it ran."""
        found: dict[str, Any] = json.loads(self.texts["experiment"])
        return found

    @cached_property
    def experiment(self) -> Experiment:
        """What ran.

        Raises
        ------
        ConfigError
            Another version of bench wrote it with other settings.
        """
        return Experiment.parse(self.content, f"experiment {self.key[:12]} of the pack")

    @cached_property
    def metadata(self) -> Metadata:
        """Costs, versions and diagnostics."""
        return Metadata.model_validate_json(self.texts["metadata"])

    @cached_property
    def curve(self) -> list[Epoch]:
        """Learning curve, one row an epoch."""
        return _Curve.model_validate_json(self.texts["curve"]).root

    @cached_property
    def run(self) -> PublishedRun | None:
        """What asked for it; None where no run record names it."""
        found = json.loads(self.texts["run"])
        return None if found is None else PublishedRun.parse(found, "column run")

    @cached_property
    def drops(self) -> dict[Part, Drops]:
        """Counts of dropped interactions by part; empty where nothing is removed."""
        rows: dict[Part, dict[str, list[int]]] = json.loads(self.texts["drops"])
        return {
            part: Drops(
                **{name: np.array(values, dtype=np.int32) for name, values in rows[part].items()}
            )
            for part in PARTS
            if part in rows
        }

    @property
    def commit(self) -> str | None:
        """Commit of the source that trained it."""
        return self.metadata.versions.get(COMMIT)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of everything in it, however it is stored."""
        total = hashlib.sha256()
        for name, text in sorted(self.texts.items()):
            total.update(f"{name} {len(text.encode())}:{text}".encode())
        for phase in PHASES:
            for name, values in sorted(self.ranks[phase].columns().items()):
                total.update(f"{phase} {name} {len(values)}:".encode())
                total.update(np.ascontiguousarray(values, dtype="<i4").tobytes())
        return total.hexdigest()

    def has_ranks_of(self, other: PublishedExperiment) -> bool:
        """Return whether every user's ranks are those of another experiment."""
        return all(
            np.array_equal(values, other.ranks[phase].columns()[name])
            for phase in PHASES
            for name, values in self.ranks[phase].columns().items()
        )

    def check(self) -> None:
        """Read every part.

        Raises
        ------
        BenchError, ValueError, TypeError
            A part cannot be read.
        """
        for name in ("finished", "experiment", "metadata", "curve", "run", "drops"):
            getattr(self, name)

    def save(self, store: Store) -> None:
        """Write it as a finished experiment of a store.

        Raises
        ------
        StoreError
            The file system refuses.
        """
        result = ExperimentResult(
            ranks=dict(self.ranks),
            curve=self.curve,
            metadata=self.metadata,
            drops={str(part): counts for part, counts in self.drops.items()},
        )
        store.write(self.key, self.experiment.label, self.content, result, self.finished)


def write_published(path: Path, experiments: Iterable[PublishedExperiment]) -> None:
    """Write a pack; the same experiments give the same file, in whatever order they come.

    Raises
    ------
    StoreError
        The file system refuses, or ranks contradict each other.
    """
    import pyarrow.parquet as pq

    rows = sorted(experiments, key=_order)
    table = _table(rows)
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=19,
            use_dictionary=False,
            write_statistics=False,
            # Bytes of the same weight next to each other: high ones repeat, and compress.
            column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in _names()},
        )


def _order(entry: PublishedExperiment) -> tuple[str, ...]:
    one = entry.content
    protocol = canonical_json(one["protocol"])
    return one["dataset"], one["fingerprint"], protocol, entry.experiment.label, entry.key


def _table(rows: Sequence[PublishedExperiment]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, Any] = {
        name: pa.array([row.texts[name] for row in rows], pa.string()) for name in _TEXTS
    }
    checksums = [row.checksum for row in rows]
    columns["sha256"] = pa.array(checksums, pa.string())
    arrays = [_arrays(row) for row in rows]
    for name in _names():
        values = [row[name] for row in arrays]
        kind = np.min_scalar_type(max((int(one.max(initial=0)) for one in values), default=0))
        whole = [one.astype(kind) for one in values]
        is_shared = name.partition("_")[2] in _SHARED
        cells: Sequence[object] = list(_without_repeats(whole)) if is_shared else whole
        columns[name] = pa.array(cells, pa.list_(pa.from_numpy_dtype(kind)))
    about = {"format": FORMAT, "sha256": content_hash(checksums)}
    return pa.table(columns).replace_schema_metadata({_MARK: canonical_json(about)})


def _names() -> list[str]:
    return [f"{phase}_{name}" for phase in PHASES for name in (*_SHARED, *_OWN)]


def _arrays(row: PublishedExperiment) -> dict[str, NDArray[Any]]:
    """Return the arrays of all phases; of the items unseen, how many of ``all`` they leave out."""
    found: dict[str, NDArray[Any]] = {}
    for phase in PHASES:
        ranks = row.ranks[phase].columns()
        for name in ("better", "ties"):
            ranks[f"{name}_seen"] = ranks[f"{name}_all"] - ranks.pop(f"{name}_unseen")
        if any(values.min(initial=0) < 0 for values in ranks.values()):
            raise StoreError(
                f"experiment {row.key[:12]} has impossible ranks: fewer items than unseen items "
                "are better or equal; delete it and run again"
            )
        found |= {f"{phase}_{name}": values for name, values in ranks.items()}
    return found


def _without_repeats(cells: Sequence[NDArray[Any]]) -> Iterator[NDArray[Any] | None]:
    previous = None
    for cell in cells:
        repeats = previous is not None and np.array_equal(previous, cell)
        yield None if repeats else cell
        previous = cell


def read_published(path: Path) -> list[PublishedExperiment]:
    """Read a pack and compare everything in it with its checksums.

    Raises
    ------
    StoreError
        The file is damaged or no pack, or of an unknown format.
    """
    with _clear_errors(path):
        found = list(_read(path))
    keys = [one.key for one in found]
    if len(set(keys)) < len(keys):
        raise _damaged(path, "an experiment is in it twice")
    return found


def _read(path: Path) -> Iterator[PublishedExperiment]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        about = json.loads((file.schema_arrow.metadata or {})[_MARK])
        if about["format"] != FORMAT:
            raise StoreError(
                f"{path} has format {about['format']}, which this version of bench cannot read; "
                "install a newer one"
            )
        _check_size(file)
        _check_schema(file.schema_arrow)
        checksums = []
        above: dict[str, NDArray[Any]] = {}
        for batch in file.iter_batches(batch_size=1):
            row = {name: batch.column(name)[0] for name in batch.schema.names}
            arrays = {name: row[name].values for name in _names()}
            for name, values in arrays.items():
                if values is not None and not values.null_count:
                    above[name] = values.to_numpy(zero_copy_only=False).astype(np.int32)
            entry = _entry({name: row[name].as_py() for name in _TEXTS}, above)
            if entry.checksum != row["sha256"].as_py():
                raise ValueError(f"experiment {entry.key[:12]} does not match its checksum")
            checksums.append(entry.checksum)
            yield entry
        if content_hash(checksums) != about["sha256"]:
            raise ValueError("an experiment is missing")


def _check_size(file: Any) -> None:
    """Refuse a file that would fill the memory, before any of it is unpacked."""
    groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
    values = sum(group.column(n).num_values for group in groups for n in range(group.num_columns))
    size = sum(group.total_byte_size for group in groups)
    if file.metadata.num_rows > _MOST_ROWS or values > _MOST_VALUES or size > _MOST_BYTES:
        raise ValueError(f"it holds {values:,} values in {size:,} bytes, more than any pack")


def _check_schema(schema: pa.Schema) -> None:
    import pyarrow as pa

    integers = (pa.uint8(), pa.uint16(), pa.uint32())
    kinds = {
        **dict.fromkeys((*_TEXTS, "sha256"), (pa.string(),)),
        **dict.fromkeys(_names(), tuple(map(pa.list_, integers))),
    }
    if {*schema.names} != {*kinds} or len(schema.names) != len(kinds):
        odd = sorted({*schema.names} ^ {*kinds})
        raise ValueError(f"its columns are not those of a pack (first: {odd[:1]})")
    for name, allowed in kinds.items():
        if not any(schema.field(name).type.equals(kind) for kind in allowed):
            raise ValueError(f"column {name} holds {schema.field(name).type}")


def _entry(texts: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> PublishedExperiment:
    ranks: dict[Phase, Ranks] = {}
    for phase in PHASES:
        own = {name: arrays[f"{phase}_{name}"] for name in (*_SHARED, *_OWN)}
        if len({len(values) for values in own.values()}) != 1:
            raise ValueError(f"the {phase} ranks are not of equal length")
        for name in ("better", "ties"):
            own[f"{name}_unseen"] = own[f"{name}_all"] - own.pop(f"{name}_seen")
        ranks[phase] = Ranks(**own)
    entry = PublishedExperiment(texts, ranks)
    entry.check()
    return entry


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except StoreError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (*_PARQUET_ERRORS, pa.ArrowException, BenchError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from None


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(f"{path} is no pack of published results, or damaged: {reason}; get it again")
