"""DCRec computes what a port of the published step computes."""

import pytest
import torch
from oracles import dcrec

from bench.data.sequences import Sequences


@pytest.fixture(scope="module")
def train():
    whole = dcrec.histories()
    return Sequences.from_lists([whole[user] for user in range(400)])


def test_both_sides_compute_the_same_losses(train):
    assert dcrec.compare(train) < 1e-4


def test_the_comparison_notices_a_difference(train, monkeypatch):
    plain = dcrec.convolve
    monkeypatch.setattr(dcrec, "convolve", lambda graph, x: 1.1 * plain(graph, x))
    assert dcrec.compare(train) > 1e-3


def test_the_loops_remove_what_ours_removes(train):
    ours = dcrec.model(train)
    loops = dcrec.Published(ours, train, dcrec.DRAWN)
    users = [3, 9, 3, 250]
    graph = ours.training_graphs.transition
    kept = ours.perturbation.kept(torch.tensor(users), graph.edges)
    assert loops.perturbed(users).weight.equal(graph.matrix.values[kept])


def test_the_loops_draw_no_more_neighbours_than_they_may(train):
    loops = dcrec.Published(dcrec.model(train), train, 3)
    assert len(loops.draw({1, 2, 3, 4, 5})) == 3
    assert loops.draw({1, 2}) == {1, 2}
