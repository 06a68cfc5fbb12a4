"""Sparse graphs mined from training interactions: normalisation, pruning, and a cache.

A graph is a scipy matrix in float32; a method needs several, by name. They are kept in the cache
under a key of the histories, the settings and the code that builds them.
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
from scipy import sparse

from bench.cache import Content, Entry
from bench.data.sequences import Sequences
from bench.errors import ConfigError
from bench.hashing import file_hash

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
    cache: Path | None,
    train: Sequences,
    settings: Mapping[str, Any],
    build: Callable[[], Graphs],
    code: tuple[Callable[..., Any], ...] = (),
) -> Graphs:
    """Read graphs from the cache, or build and store them.

    Parameters
    ----------
    name
        Name of the method.
    cache
        The cache's folder, :attr:`bench.model.method.TrainingData.cache`; None keeps nothing.
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
    if cache is None:
        graphs = build()
    else:
        entry = Entry.of(cache, "graphs", name, _key(train, settings, code))
        graphs = _from_content(entry.get(lambda: _to_content(build())))
    edges = ", ".join(f"{key} {count:,}" for key, count in edge_counts(graphs).items())
    _LOG.info("%s: edges of each relation: %s", name, edges)
    return graphs


def _key(
    train: Sequences, settings: Mapping[str, Any], code: tuple[Callable[..., Any], ...]
) -> dict[str, Any]:
    digest = hashlib.sha256()
    for array in (train.offsets, train.items):
        digest.update(np.ascontiguousarray(array).tobytes())
    files = {Path(inspect.getfile(function)) for function in (normalise_rows, *code)}
    return {
        "sequences": digest.hexdigest(),
        "settings": dict(settings),
        "code": sorted(file_hash(file) for file in files),
    }


def _to_content(graphs: Graphs) -> Content:
    arrays: dict[str, NDArray[Any]] = {}
    for name, graph in graphs.items():
        arrays[f"{name}.starts"] = graph.indptr.astype(np.int64)
        arrays[f"{name}.columns"] = graph.indices.astype(np.int32)
        arrays[f"{name}.weights"] = graph.data.astype(np.float32)
    return Content(arrays, {name: [int(n) for n in graph.shape] for name, graph in graphs.items()})


def _from_content(content: Content) -> Graphs:
    return {
        name: sparse.csr_array(
            tuple(content.arrays[f"{name}.{part}"] for part in ("weights", "columns", "starts")),
            tuple(shape),
        )
        for name, shape in content.metadata.items()
    }
