"""Sparse graphs mined from training interactions: normalisation, pruning, and a cache.

A graph is a scipy matrix in float32; a method needs several, by name. On disk they are one
safetensors file whose key hashes the histories, the settings and the code that builds them. A
damaged file is rebuilt.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy import sparse

from bench.data.sequences import Sequences
from bench.errors import ConfigError, StoreError
from bench.files import atomic_path
from bench.hashing import content_hash, file_hash
from bench.settings import cache_dir

Graphs = dict[str, sparse.csr_array]
_LOG = logging.getLogger(__name__)


def normalise_rows(matrix: Any) -> sparse.csr_array:
    """Divide rows by their sums; empty rows stay empty."""
    rows = sparse.csr_array(matrix)
    sums = np.asarray(rows.sum(1)).ravel()
    weights = rows.data / np.repeat(sums, np.diff(rows.indptr))
    return sparse.csr_array((weights, rows.indices, rows.indptr), rows.shape)


def top_k_per_row(matrix: sparse.csr_array, most: int | None) -> sparse.csr_array:
    """Keep the ``most`` largest entries of every row, smaller column indices first among equals.

    Parameters
    ----------
    matrix
        Positive entries, with ascending columns within each row.
    most
        Number of entries to keep per row; None keeps all.
    """
    if most is None:
        return matrix
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    rank = np.arange(len(order)) - matrix.indptr[rows[order]]
    kept = np.sort(order[rank < most])
    return sparse.csr_array((matrix.data[kept], (rows[kept], matrix.indices[kept])), matrix.shape)


def edge_counts(graphs: Mapping[str, sparse.csr_array]) -> dict[str, int]:
    """Return the number of edges of each relation."""
    return {name: int(graph.nnz) for name, graph in graphs.items()}


def require_edges(graphs: Mapping[str, sparse.csr_array], remedies: Mapping[str, str]) -> None:
    """Check that relations have edges.

    Parameters
    ----------
    graphs
        All relations by name.
    remedies
        What to change when a relation is empty, for each relation that must have edges.

    Raises
    ------
    ConfigError
        A relation is empty.
    """
    for name, remedy in remedies.items():
        if not graphs[name].nnz:
            raise ConfigError(f"the relation '{name}' has no edge on these data; {remedy}")


def load_or_build(
    name: str,
    train: Sequences,
    settings: Mapping[str, Any],
    build: Callable[[], Graphs],
    code: tuple[Callable[..., Any], ...] = (),
) -> Graphs:
    """Read graphs from the cache, or build and store them.

    Parameters
    ----------
    name
        Name of the method, used in the file name.
    train
        Training interactions, the only ones that ``build`` may read.
    settings
        Everything else that the graphs depend on, as plain data.
    build
        Builds the graphs.
    code
        Functions whose modules the graphs depend on; a change in one of them changes the key.

    Returns
    -------
    dict of csr_array
        Graphs by name.
    """
    path = cache_dir() / "graphs" / f"{name}-{_key(train, settings, code)[:32]}.safetensors"
    graphs = _read(path)
    if graphs is None:
        graphs = build()
        _write(path, graphs)
    edges = ", ".join(f"{key} {count:,}" for key, count in edge_counts(graphs).items())
    _LOG.info("%s: edges of each relation: %s", name, edges)
    return graphs


def _key(
    train: Sequences, settings: Mapping[str, Any], code: tuple[Callable[..., Any], ...]
) -> str:
    digest = hashlib.sha256()
    for array in (train.offsets, train.items):
        digest.update(np.ascontiguousarray(array).tobytes())
    files = {Path(inspect.getfile(function)) for function in (normalise_rows, *code)}
    return content_hash(
        {
            "sequences": digest.hexdigest(),
            "settings": dict(settings),
            "code": sorted(file_hash(file) for file in files),
        }
    )


def _write(path: Path, graphs: Graphs) -> None:
    """Store graphs; a folder that cannot be written to is only logged."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, graph in graphs.items():
        arrays[f"{name}.starts"] = graph.indptr.astype(np.int64)
        arrays[f"{name}.columns"] = graph.indices.astype(np.int32)
        arrays[f"{name}.weights"] = graph.data.astype(np.float32)
        arrays[f"{name}.shape"] = np.asarray(graph.shape, dtype=np.int64)
    try:
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, metadata={"digest": _digest(arrays)})
    except StoreError as error:
        _LOG.warning("%s; the graphs will be built again next time", error)


def _read(path: Path) -> Graphs | None:
    """Return the graphs of a file, or None if the file is missing or damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as stream:
            arrays = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
            if (stream.metadata() or {}).get("digest") != _digest(arrays):
                raise ValueError("its content does not have its checksum")
        return {name: _matrix(arrays, name) for name in _names(arrays)}
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        _LOG.warning("%s is damaged (%s); building the graphs again", path, error)
        return None


def _names(arrays: Mapping[str, Any]) -> list[str]:
    return sorted(key.removesuffix(".shape") for key in arrays if key.endswith(".shape"))


def _matrix(arrays: Mapping[str, NDArray[Any]], name: str) -> sparse.csr_array:
    rows, columns = arrays[f"{name}.shape"].tolist()
    parts = (arrays[f"{name}.{part}"] for part in ("weights", "columns", "starts"))
    return sparse.csr_array(tuple(parts), (rows, columns))


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
