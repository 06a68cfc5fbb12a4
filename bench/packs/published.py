"""The published form of finished experiments: one Parquet file, one row per experiment.

A row holds the ranks of every user, the metadata, the learning curve and how many interactions a
denoiser drops by popularity: all that a report needs, and neither training data nor item texts.
``docs/stores.md`` describes the columns, which any reader of Parquet can read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, InstanceOf, Json, ValidationError

from bench.config import Config
from bench.errors import BenchError, ConfigError, StoreError
from bench.files import atomic_path, first_problem
from bench.hashing import canonical_json, content_hash
from bench.plan.experiment import Experiment, Key, Moment, key_of
from bench.plan.protocol import LEAVE_ONE_OUT, PARTS, PHASES, Part, Phase
from bench.plan.result import Drops, Epoch, ExperimentResult, Metadata, Ranks
from bench.reports.tables.denoising import Buckets
from bench.reports.tables.noise_detection import Summary
from bench.runs.record import Search
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment

if TYPE_CHECKING:
    import pyarrow as pa


FORMAT = 1
SUFFIX = ".parquet"
WHOLE_COMMIT = re.compile(r"[0-9a-f]{40}")
_MARK = b"bench"
COMMIT = "commit"
"""Under this name the versions of an experiment's metadata hold the commit of the source."""
_JSON = ("experiment", "metadata", "curve", "drops", "run")
_TEXTS = ("key", "finished", *_JSON)
OF_DATA = ("target", "target_count", "history_length", "candidates_all", "candidates_unseen")
"""Arrays that the data alone decide: null where they equal those of the row above."""
_OWN = ("better_all", "ties_all", "better_seen", "ties_seen")
_ARRAYS = [f"{phase}_{name}" for phase in PHASES for name in (*OF_DATA, *_OWN)]
_USERS = [f"{phase}_user" for phase in PHASES]
"""The user of each target; only in packs with a split by time. Empty if every user has one target,
and null as the other arrays of the data are."""
_TYPES = {
    **dict.fromkeys((*_TEXTS, "sha256"), "string"),
    **dict.fromkeys((*_ARRAYS, *_USERS), r"list<\w+: uint(8|16|32)>"),
}
_MOST_ROWS, _MOST_VALUES, _MOST_BYTES = 100_000, 2 * 10**9, 2 * 2**30
_PARQUET_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class PublishedRun(Config):
    """The specification of the ``bench run`` that asked for an experiment.

    ``tuned`` experiments have the settings that tuning found; ``search`` is what that took, None in
    packs of versions of bench that did not keep it.
    """

    name: str
    spec: dict[str, Any]
    tuned: bool = False
    search: Search | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, without a search that is not known."""
        return self.model_dump(mode="json", exclude=None if self.search else {"search"})


def _drops(columns: Mapping[str, list[int]]) -> Drops:
    found = Drops(**{name: np.array(values, dtype=np.int32) for name, values in columns.items()})
    for name, counts in found.columns().items():
        alike = counts.ndim == 1 and counts.size == found.interactions.size
        if not alike or counts.tolist() != columns[name]:
            raise ValueError(f"{name} is not one whole number for each bucket")
    if found.dropped.min(initial=0) < 0 or (found.dropped > found.interactions).any():
        raise ValueError("more interactions are dropped than there are, or fewer than none")
    if not found.interactions.any():
        raise ValueError("there are no interactions")
    return found


class Parts(BaseModel):
    """What the texts of a published experiment say; the key is that of when it ran.

    ``drops`` are counts of dropped interactions for each fifth of the test targets by popularity,
    by part, empty if nothing is removed; ``run`` is None if no run record names the experiment.
    """

    key: Key
    finished: Moment
    experiment: Json[Experiment]
    metadata: Json[Metadata]
    curve: Json[list[Epoch]]
    drops: Json[dict[Part, Annotated[InstanceOf[Drops], BeforeValidator(_drops)]]]
    run: Json[PublishedRun | None]


@dataclass(frozen=True, eq=False)
class PublishedExperiment:
    """A finished experiment in its published form: ranks by phase, and all the rest as texts.

    These are by column, see :class:`Parts`: ``key`` and ``finished`` as plain text, the others as
    JSON. ``experiment`` is as it was when it ran; the versions in ``metadata`` include the commit.
    """

    texts: Mapping[str, str]
    ranks: Mapping[Phase, Ranks]

    @classmethod
    def of(
        cls,
        stored: StoredExperiment,
        run: PublishedRun | None,
        commit: str | None,
        detection: Mapping[str, Summary],
    ) -> PublishedExperiment:
        """Bring a finished experiment into its published form; raise a StoreError if it is damaged.

        The commit of the source is not needed where its metadata say it; ``detection`` is for data
        with known noise, see :func:`bench.reports.tables.noise_detection.summaries`.
        """
        versions = {**({COMMIT: commit} if commit else {}), **stored.metadata.versions}
        metadata = stored.metadata.model_copy(
            update={"versions": versions, "card": None, "detection": detection}
        )
        ranks = {phase: stored.ranks(phase) for phase in PHASES}
        if any(min(one.better_all.min(), one.better_unseen.min()) < 0 for one in ranks.values()):
            raise ConfigError(
                f"{stored.experiment.label} was imported from a file that does not say every rank "
                "among all items and among unseen ones; leave it out"
            )
        buckets = Buckets.of(ranks["test"].target_count)
        plain = {
            "experiment": stored.content,
            "metadata": metadata.model_dump(
                mode="json", exclude=None if detection else {"detection"}
            ),
            "curve": [row.model_dump(mode="json") for row in stored.curve],
            "drops": {
                part: {name: v.tolist() for name, v in buckets.merged(counts).columns().items()}
                for part in PARTS
                if (counts := stored.drops(part)) is not None
            },
            "run": None if run is None else run.plain(),
        }
        texts = {name: canonical_json(value) for name, value in plain.items()}
        return cls({"key": stored.key, "finished": repr(stored.finished), **texts}, ranks)

    @property
    def key(self) -> str:
        """The experiment's key when it ran."""
        return self.texts["key"]

    @cached_property
    def content(self) -> dict[str, Any]:
        """The experiment as plain data, as it was when it ran."""
        found: dict[str, Any] = json.loads(self.texts["experiment"])
        return found

    @cached_property
    def parts(self) -> Parts:
        """What the texts say; raise a ValidationError if one cannot be read."""
        return Parts.model_validate(self.texts)

    @property
    def experiment(self) -> Experiment:
        """What ran."""
        return self.parts.experiment

    @property
    def label(self) -> str:
        """Name of the experiment in a message."""
        return f"{self.experiment.label} ({self.key[:12]})"

    @property
    def commit(self) -> str | None:
        """Commit of the source that trained it."""
        return self.parts.metadata.versions.get(COMMIT)

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
        return all(users_that_differ(self.ranks[p], other.ranks[p]) == 0 for p in PHASES)

    def save(self, store: Store) -> None:
        """Write it as a finished experiment of a store; raise a StoreError if that fails."""
        parts = self.parts
        drops = {str(part): counts for part, counts in parts.drops.items()}
        result = ExperimentResult(dict(self.ranks), parts.curve, parts.metadata, drops=drops)
        store.write(self.key, self.experiment.label, self.content, result, parts.finished)


def users_that_differ(one: Ranks, other: Ranks) -> int | None:
    """Count the users whose ranks differ; None if the numbers of users or targets do."""
    a, b = one.columns(), other.columns()
    if len({len(values) for values in (*a.values(), *b.values())}) > 1 or a.keys() != b.keys():
        return None
    return int(np.any([a[name] != b[name] for name in a], axis=0).sum())


def contradictions(one: Experiment, ranks: Callable[[Phase], Ranks]) -> Iterator[str]:
    """Yield a sentence for each way in which the ranks of an experiment cannot be."""
    # An imported file need not say everything, and a split by time may leave a target unranked.
    if not one.imported and one.protocol.split == LEAVE_ONE_OUT:
        for phase in PHASES:
            yield from (f"{phase}: {text}" for text in _impossible(ranks(phase)))


def _impossible(ranks: Ranks) -> Iterator[str]:
    columns = ranks.columns()
    if not len(ranks.target):
        yield "there are no users"
        return
    if ranks.user is not None:
        yield "one target of every user is held out, but the targets name users"
    if any(values.min() < 0 for values in columns.values()):
        yield "a count is negative"
    if ranks.target.min() < 1 or (ranks.target > ranks.candidates_all).any():
        yield "a target is not an item"
    for kind in ("all", "unseen"):
        better, ties, candidates = (
            columns[f"{n}_{kind}"] for n in ("better", "ties", "candidates")
        )
        if count := int((better.astype(np.int64) + ties >= candidates).sum()):
            yield f"{count} users have a rank beyond the number of candidates ({kind})"
    for name in ("better", "ties", "candidates"):
        fewer = columns[f"{name}_all"] - columns[f"{name}_unseen"]
        if ((fewer < 0) | (fewer > ranks.history_length)).any():
            yield f"{name}: all items and unseen ones differ by more than the history holds"
    if (ranks.candidates_all != ranks.candidates_all[0]).any():
        yield "users compete with different numbers of items"


def write_published(path: Path, experiments: Iterable[PublishedExperiment]) -> None:
    """Write a pack; the same experiments give the same file, in whatever order they come.

    Raise a StoreError if the file system refuses, or ranks contradict each other.
    """
    import pyarrow.parquet as pq

    table = _table(sorted(experiments, key=_order))
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=19,
            use_dictionary=False,
            write_statistics=False,
            # Bytes of the same weight next to each other: high ones repeat, and compress.
            column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in _ARRAYS},
        )


def _order(entry: PublishedExperiment) -> tuple[str, ...]:
    one = entry.content
    protocol = canonical_json(one["protocol"])
    return one["dataset"], one["fingerprint"], protocol, entry.experiment.label, entry.key


def _table(rows: Sequence[PublishedExperiment]) -> pa.Table:
    import pyarrow as pa

    checksums = [row.checksum for row in rows]
    texts = {name: [row.texts[name] for row in rows] for name in _TEXTS} | {"sha256": checksums}
    columns: dict[str, Any] = {name: pa.array(v, pa.string()) for name, v in texts.items()}
    arrays = [_arrays(row) for row in rows]
    users = _USERS if any(len(row[name]) for row in arrays for name in _USERS) else []
    for name in (*_ARRAYS, *users):
        cells: list[NDArray[Any] | None] = [row[name] for row in arrays]
        most = max((int(row[name].max(initial=0)) for row in arrays), default=0)
        if name.partition("_")[2] in {*OF_DATA, "user"}:
            repeats = (np.array_equal(a[name], b[name]) for a, b in pairwise(arrays))
            cells[1:] = [None if same else c for c, same in zip(cells[1:], repeats, strict=True)]
        kind = pa.from_numpy_dtype(np.min_scalar_type(most))
        columns[name] = pa.array(cells, pa.list_(kind))
    about = {"format": FORMAT, "sha256": content_hash(checksums)}
    return pa.table(columns).replace_schema_metadata({_MARK: canonical_json(about)})


def _arrays(row: PublishedExperiment) -> dict[str, NDArray[Any]]:
    """Return the arrays of all phases; of the items unseen, how many of ``all`` they leave out."""
    found: dict[str, NDArray[Any]] = {}
    for phase in PHASES:
        ranks = {"user": np.empty(0, dtype=np.int32), **row.ranks[phase].columns()}
        for name in ("better", "ties"):
            ranks[f"{name}_seen"] = ranks[f"{name}_all"] - ranks.pop(f"{name}_unseen")
        if any(values.min(initial=0) < 0 for values in ranks.values()):
            raise StoreError(
                f"experiment {row.key[:12]} has impossible ranks: fewer items than unseen items "
                "are better or equal; delete it and run again"
            )
        found |= {f"{phase}_{name}": values for name, values in ranks.items()}
    return found


def published_keys(path: Path) -> list[str]:
    """Return the keys of a pack that was read before."""
    import pyarrow.parquet as pq

    keys: list[str] = pq.read_table(path, columns=["key"])["key"].to_pylist()
    return keys


def read_published(path: Path) -> list[PublishedExperiment]:
    """Read a pack and compare everything in it with its checksums.

    Raise a StoreError if the file is damaged or no pack, or of an unknown format; if ranks are
    impossible, or a key does not match its settings.
    """
    import pyarrow as pa

    try:
        found = list(_read(path))
        if len({one.key for one in found}) < len(found):
            raise ValueError("it contains an experiment twice")
        return found
    except StoreError:
        raise
    except ValidationError as error:
        reason = first_problem(error)
    except (*_PARQUET_ERRORS, pa.ArrowException, BenchError) as error:
        reason = str(error) or type(error).__name__
    raise StoreError(
        f"{path} is not a pack of published results, or is damaged: {reason}; get it again"
    )


def _read(path: Path) -> Iterator[PublishedExperiment]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        about = json.loads((file.schema_arrow.metadata or {})[_MARK])
        if about["format"] != FORMAT:
            raise StoreError(
                f"{path} has format {about['format']}, which this version of bench cannot read; "
                "install a newer one"
            )
        _check(file)
        table = _table_of(file)
    texts = table.select([*_TEXTS, "sha256"]).to_pylist()
    if content_hash([row["sha256"] for row in texts]) != about["sha256"]:
        raise ValueError("an experiment is missing")
    arrays: dict[str, NDArray[Any]] = {}
    for number, row in enumerate(texts):
        for name in {*table.column_names} & {*_ARRAYS, *_USERS}:
            values = table[name][number].values
            if values is not None and not values.null_count:
                arrays[name] = values.to_numpy(zero_copy_only=False).astype(np.int32)
        checksum = row.pop("sha256")
        entry = PublishedExperiment(row, {phase: _ranks(arrays, phase) for phase in PHASES})
        entry.parts  # noqa: B018 - a text that cannot be read is noticed here
        if entry.checksum != checksum:
            raise ValueError(f"experiment {entry.key[:12]} does not match its checksum")
        for text in _forgeries(entry):
            raise ValueError(f"{entry.label}: {text}")
        yield entry


def _forgeries(entry: PublishedExperiment) -> Iterator[str]:
    """Yield what cannot be of an experiment, although its checksum fits."""
    for name in _JSON:
        if canonical_json(json.loads(entry.texts[name])) != entry.texts[name]:
            yield f"{name} is not as bench writes it"  # such as an object with a name twice
    if key_of(entry.content) != entry.key:
        yield "its key does not match its settings"
    yield from contradictions(entry.experiment, entry.ranks.__getitem__)


def _check(file: Any) -> None:
    """Refuse other columns, and what would fill the memory, before anything is unpacked."""
    groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
    values = sum(group.column(n).num_values for group in groups for n in range(group.num_columns))
    size = sum(group.total_byte_size for group in groups)
    if file.metadata.num_rows > _MOST_ROWS or values > _MOST_VALUES or size > _MOST_BYTES:
        raise ValueError(f"it holds {values:,} values in {size:,} bytes, more than any pack")
    schema = file.schema_arrow
    users = _USERS if {*schema.names} & {*_USERS} else []
    expected = {*_TEXTS, "sha256", *_ARRAYS, *users}
    if sorted(schema.names) != sorted(expected):
        odd = sorted({*schema.names} ^ expected)
        raise ValueError(f"its columns are not those of a pack (first: {odd[:1]})")
    for field in schema:
        if not re.fullmatch(_TYPES[field.name], str(field.type)):
            raise ValueError(f"column {field.name} holds {field.type}")


def _table_of(file: Any) -> pa.Table:
    """Read a pack row by row: what repeats takes next to no place in a file, but does here."""
    import pyarrow as pa

    rows, size = [], 0
    for row in file.iter_batches(batch_size=1):
        rows.append(row)
        size += row.nbytes
        if size > _MOST_BYTES:
            raise ValueError(f"it unpacks to more than {_MOST_BYTES:,} bytes")
    return pa.Table.from_batches(rows, file.schema_arrow)


def _ranks(arrays: Mapping[str, NDArray[Any]], phase: Phase) -> Ranks:
    own = {name: arrays[f"{phase}_{name}"] for name in (*OF_DATA, *_OWN)}
    user = arrays.get(f"{phase}_user")
    if user is not None and len(user):
        own["user"] = user
    if len({len(values) for values in own.values()}) != 1:
        raise ValueError(f"the {phase} ranks are not of equal length")
    if not len(own["target"]):
        raise ValueError(f"there are no {phase} ranks")
    for name in ("better", "ties"):
        own[f"{name}_unseen"] = own[f"{name}_all"] - own.pop(f"{name}_seen")
    return Ranks(**own)
