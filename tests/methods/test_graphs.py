"""Graphs of the shared cache: weights, refusals, what makes a key, damaged files."""

import logging

import numpy as np
import pytest
from scipy import sparse

from bench.data.sequences import Sequences
from bench.errors import ConfigError
from bench.methods.parts import graphs as module
from bench.methods.parts.graphs import (
    edge_counts,
    load_or_build,
    normalise_rows,
    require_edges,
    top_k_per_row,
)
from bench.methods.ssdrec.cooccurrence import co_occurrence

TRAIN = Sequences.from_lists([[1, 2, 3], [2, 3]])
SETTINGS = {"c_min": 1}


@pytest.fixture
def ask(tmp_path):
    """Ask for graphs of a cache of the test's own."""

    def run(builder, train=TRAIN, settings=SETTINGS, name="x", code=()):
        return load_or_build(name, tmp_path, train, settings, builder, code)

    return run


class Builder:
    """Counts how often it builds."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        generator = np.random.default_rng(self.calls)
        return {
            "one": sparse.random(5, 7, 0.4, "csr", np.float32, generator),
            "none": sparse.csr_array((3, 3), dtype=np.float32),
        }


def same(a, b):
    return all(
        np.array_equal(a[name].toarray(), b[name].toarray()) and a[name].shape == b[name].shape
        for name in {*a, *b}
    )


def test_rows_sum_to_one_or_stay_empty():
    matrix = sparse.csr_array(np.array([[1.0, 3.0], [0.0, 0.0], [0.0, 5.0]]))
    assert normalise_rows(matrix).toarray().tolist() == [[0.25, 0.75], [0, 0], [0, 1]]
    assert matrix.toarray().tolist() == [[1, 3], [0, 0], [0, 5]]


@pytest.mark.parametrize("most", [1, 2, 5])
def test_largest_of_rows_equal_a_sort_of_each_row(most):
    dense = np.random.default_rng(most).integers(0, 4, (8, 9)).astype(float)
    kept = top_k_per_row(sparse.csr_array(dense), most).toarray()
    for row, found in zip(dense, kept, strict=True):
        best = sorted(np.flatnonzero(row), key=lambda column: (-row[column], column))[:most]
        assert np.flatnonzero(found).tolist() == sorted(best)
        assert np.array_equal(found[best], row[best])


def test_no_limit_keeps_everything():
    matrix = sparse.csr_array(np.eye(3))
    assert top_k_per_row(matrix, None) is matrix


def test_an_empty_relation_is_refused_with_its_remedy():
    graphs = Builder()()
    require_edges(graphs, {"one": "never"})
    with pytest.raises(ConfigError, match=r"relation 'none' has no edge.*; lower c_min$"):
        require_edges(graphs, {"none": "lower c_min"})


def test_edges_are_counted_and_logged(ask, caplog):
    with caplog.at_level(logging.INFO):
        graphs = ask(Builder(), name="toy")
    assert edge_counts(graphs) == {"one": graphs["one"].nnz, "none": 0}
    assert f"toy: edges of each relation: one {graphs['one'].nnz}" in caplog.text


def test_built_once_and_read_back_equal(ask):
    builder = Builder()
    first, second = ask(builder), ask(builder)
    assert builder.calls == 1
    assert same(first, second)
    assert same(first, Builder()())
    assert second["one"].dtype == np.float32


def test_without_a_cache_nothing_is_kept(tmp_path):
    builder = Builder()
    assert same(load_or_build("x", None, TRAIN, SETTINGS, builder), Builder()())
    load_or_build("x", None, TRAIN, SETTINGS, builder)
    assert builder.calls == 2


def test_every_input_makes_another_key(ask):
    builder = Builder()
    ask(builder)
    ask(builder, train=Sequences.from_lists([[1, 3, 2], [2, 3]]))
    # The same items with another cut between the users.
    ask(builder, train=Sequences.from_lists([[1, 2], [3, 2, 3]]))
    ask(builder, settings={"c_min": 2})
    ask(builder, name="y")
    ask(builder, code=(co_occurrence,))
    assert builder.calls == 6


def test_the_key_follows_the_code_that_builds(ask, monkeypatch):
    builder = Builder()
    ask(builder)
    monkeypatch.setattr(module, "file_hash", lambda path: "changed")
    ask(builder)
    assert builder.calls == 2
