"""SSDRec's graphs, insertion and step as the published code computes them, and ours.

Graphs, insertion and losses of both sides are compared before they are timed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy import sparse

from bench.data.dataset import LeaveOneOut
from bench.data.load import load_dataset
from bench.errors import BenchError
from bench.methods.parts.sparse import SparseMatrix
from bench.methods.ssdrec.insertion import Insertion, insert, untouched
from bench.methods.ssdrec.relations import GraphSettings, mine
from bench.perf.parts import Comparison, best_seconds
from bench.settings import Settings

from .graphs import loop_graphs
from .step import (
    ITEMS,
    LENGTH,
    WIDTH,
    Published,
    agreement,
    histories,
    loop_insertion,
    model,
    some_batch,
    step_seconds,
)

USERS, MEAN_LENGTH = 943, 100.0
"""ML-100K's."""
ROWS, OFFICIAL_ROWS, MANY_ROWS = 51, 255, 510
"""What the requirement counts by, as many of them as the published batch of 256 holds, and more."""
OFFICIAL_STEP = 1.2
"""Seconds that the published code needs for 51 users of ML-100K on two such cores, as the
project's requirements state it; not measured here."""
MINUTE = 60.0
STEP_GOAL, LOOP_GOAL = 10.0, 10.0
SOME_USERS, SHORT = 400, 6.0
SETTINGS = GraphSettings(max_length=LENGTH, c_min=1, hot_items=0.2, hot_users=0.1)


def comparisons() -> Iterator[Comparison]:
    """Time graphs, products with them, insertion and whole steps."""
    yield some_graphs()
    yield from all_of_beauty()
    yield insertions()
    yield from steps()


def some_graphs() -> Comparison:
    """Mine the relations of a few hundred users on both sides."""
    train = histories(SOME_USERS, ITEMS, SHORT)
    ours, loops = mine(train, ITEMS, SETTINGS), loop_graphs(train, ITEMS, SETTINGS)
    error = max(float(np.abs(ours[name].toarray() - loops[name]).max()) for name in loops)
    return Comparison(
        f"ssdrec: relations of {SOME_USERS} users and {ITEMS:,} items",
        best_seconds(lambda: loop_graphs(train, ITEMS, SETTINGS), 1),
        best_seconds(lambda: mine(train, ITEMS, SETTINGS)),
        LOOP_GOAL,
        f"largest difference {error:.0e}",
    )


def all_of_beauty() -> Iterator[Comparison]:
    """Mine Beauty, and multiply with its largest relation of items; nothing without the data."""
    try:
        data = load_dataset("beauty", Settings.from_environment())
    except BenchError:
        return
    train = LeaveOneOut.of(data).train
    graphs = mine(train, data.n_items, SETTINGS)
    edges = sum(graph.nnz for graph in graphs.values())
    yield Comparison(
        f"ssdrec: relations of Beauty, {len(train):,} users, {edges:,} edges",
        MINUTE,
        best_seconds(lambda: mine(train, data.n_items, SETTINGS), 1),
        1.0,
        "baseline: the minute that the requirements allow; the loops take hours",
    )
    largest = graphs["incompatible"]
    x = torch.randn(largest.shape[1], WIDTH)
    bags, rows = SparseMatrix(largest), sparse_rows(largest)
    error = float((bags(x) - rows @ x).abs().max())
    yield Comparison(
        f"ssdrec: product with {largest.nnz:,} edges, width {WIDTH}",
        best_seconds(lambda: rows @ x),
        best_seconds(lambda: bags(x)),
        1.0,
        f"baseline: torch's product of compressed rows; largest difference {error:.0e}",
    )


def sparse_rows(matrix: sparse.csr_array) -> torch.Tensor:
    """Turn a scipy matrix into torch's compressed rows."""
    bags = SparseMatrix(matrix)
    return torch.sparse_csr_tensor(
        bags.starts, bags.columns, bags.values, bags.shape, check_invariants=False
    )


def insertions(rows: int = 256) -> Comparison:
    """Insert two items into each of some rows on both sides."""
    batch = some_batch(histories(rows, ITEMS, 20.0), rows)
    x = torch.randn(rows, LENGTH, WIDTH)
    lengths = batch.valid.sum(1)
    chosen = Insertion(
        rows=lengths <= LENGTH - 2,
        place=(torch.rand(rows) * lengths).long(),
        items=torch.randint(1, ITEMS + 1, (2, rows)),
        vectors=torch.randn(2, rows, WIDTH),
        gate=torch.ones(rows),
    )
    whole = untouched(batch.items, x)
    ours, loops = insert(whole, chosen), loop_insertion(batch.items, x, chosen)
    same = ours.items[:, :LENGTH].equal(loops[0]) and ours.x[:, :LENGTH].equal(loops[1])
    return Comparison(
        f"ssdrec: insertion into {rows} rows of {LENGTH}",
        best_seconds(lambda: loop_insertion(batch.items, x, chosen)),
        best_seconds(lambda: insert(whole, chosen)),
        LOOP_GOAL,
        "equal" if same else "DIFFERENT",
    )


def steps() -> Iterator[Comparison]:
    """Run whole training steps at ML-100K's sizes, every row of full length."""
    train = histories(USERS, ITEMS, MEAN_LENGTH)
    error = agreement(train, ROWS)
    for rows in (ROWS, OFFICIAL_ROWS, MANY_ROWS):
        batch = some_batch(train, rows)
        method, compat = model("ssdrec", "sasrec", train), model("ssdrec:compat", "sasrec", train)
        ours = step_seconds(method, batch)
        yield Comparison(
            f"ssdrec with SASRec: step of {rows} users of ML-100K's sizes",
            step_seconds(Published(compat), batch),
            ours,
            STEP_GOAL,
            f"losses of the port and ssdrec:compat differ by {error:.0e}",
        )
        yield Comparison(
            f"the same, per {ROWS} users, and the published code",
            OFFICIAL_STEP,
            ours * ROWS / rows,
            STEP_GOAL,
            "baseline: figure of the requirements; not measured",
        )
