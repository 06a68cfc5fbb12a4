"""Passes over DCRec's graphs against dense matrices."""

import math

import pytest
import torch
from dcrec_toys import ITEMS, counted, dense, histories

from bench.methods.dcrec.config import DCRecConfig
from bench.methods.dcrec.graphs import convolution, edge_dropout_mask
from bench.methods.dcrec.neighbours import means, split, split_sampled
from bench.methods.dcrec.views import GraphEncoder, PassNoise

NODES = ITEMS + 1


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def doubly(matrix, stored):
    """Add one more loop, then divide by both ends' numbers of stored edges; row i gathers."""
    into, out = (stored.sum(axis) + 1.0 for axis in (1, 0))
    scale = 1 / (into[:, None] * out).sqrt()
    return matrix * scale + torch.diag(scale.diagonal())


def perturbed():
    graph, kept_without = counted()
    return graph, kept_without([1, 4, 4, 7])


@pytest.mark.parametrize("norm", ["single", "double"])
@pytest.mark.parametrize("with_kept", [False, True])
def test_a_convolution_equals_its_dense_matrix(norm, with_kept):
    graph, kept = perturbed()
    kept = kept if with_kept else None
    dropout_mask = uniform(graph.edges) > 0.3
    features = normal(NODES, 5).requires_grad_()
    found = convolution(graph, norm, kept, dropout_mask)(features)
    stored = dense(graph, torch.ones(graph.edges) if kept is None else kept)
    matrix = dense(graph) * stored * dense(graph, dropout_mask)
    matrix = doubly(matrix, stored) if norm == "double" else matrix
    torch.testing.assert_close(found, matrix @ features, rtol=1e-5, atol=1e-6)
    weight = normal(NODES, 5, seed=3)
    gradient = torch.autograd.grad((found * weight).sum(), features)[0]
    torch.testing.assert_close(gradient, matrix.T @ weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["single", "double"])
def test_an_isolated_node_keeps_its_direction(norm):
    graph, _ = counted([[1, 2, 3], [2, 4]])
    features = normal(NODES, 5)
    found = convolution(graph, norm)(features)[9]
    torch.testing.assert_close(
        found / found.norm(), features[9] / features[9].norm(), rtol=1e-6, atol=1e-7
    )


def test_edges_drop_one_by_one():
    graph, _ = counted()
    noise = uniform(graph.edges)
    assert edge_dropout_mask(graph, "single", 0.3, noise=noise).equal(noise >= 0.3)
    assert edge_dropout_mask(graph, "single", 0.0) is None


def test_edges_drop_with_replacement():
    graph, kept = perturbed()
    stored = torch.nonzero(kept).squeeze(1)
    noise = torch.tensor([0.0, 0.5, 0.5, 0.999999])
    dropout_mask = edge_dropout_mask(graph, "double", 0.3, kept, noise)
    gone = {int(stored[int(x * len(stored))]) for x in noise.tolist()}
    assert set(torch.nonzero(~dropout_mask).squeeze(1).tolist()) == gone
    assert len(gone) == 3


def test_the_share_that_replacement_drops():
    graph, _ = counted(histories(users=4000, items=ITEMS), NODES)
    torch.manual_seed(0)
    shares = [(~edge_dropout_mask(graph, "double", 0.5)).double().mean() for _ in range(200)]
    assert torch.stack(shares).mean().item() == pytest.approx(1 - math.exp(-0.5), abs=0.01)


@pytest.mark.parametrize("norm", ["single", "double"])
def test_a_view_is_a_mean_of_convolutions_and_the_table(norm):
    graph, kept = perturbed()
    config = DCRecConfig(
        embedding_size=6, graph_norm=norm, hidden_dropout=0.4, edge_dropout=0.25, convolutions=2
    )
    encoder, table = GraphEncoder(config).double(), normal(NODES, 6)
    torch.nn.init.normal_(encoder.norm.weight)
    draws = graph.edges if norm == "single" else int(0.25 * kept.sum())
    noise = PassNoise(uniform(NODES, 6, seed=1), uniform(draws, seed=2))
    rows = torch.tensor([3, 3, 8])
    found = encoder(table, graph, kept, rows, dropped=True, noise=noise)
    dropout_mask = edge_dropout_mask(graph, norm, 0.25, kept, noise.edges)
    stored = dense(graph, kept)
    matrix = dense(graph) * stored * dense(graph, dropout_mask)
    matrix = doubly(matrix, stored) if norm == "double" else matrix
    f0 = table * (noise.table >= 0.4) / 0.6
    f1 = matrix @ f0
    expected = (f0 + f1 + matrix @ f1) / 3 + f0
    mean, deviation = expected.mean(1, keepdim=True), expected.std(1, correction=0, keepdim=True)
    expected = (expected - mean) / deviation * encoder.norm.weight
    torch.testing.assert_close(found, expected[rows], rtol=1e-5, atol=1e-6)


def test_a_view_without_dropout_repeats_itself():
    graph, _ = counted()
    encoder, table = GraphEncoder(DCRecConfig(embedding_size=6)), normal(NODES, 6).float()
    with torch.no_grad():
        assert encoder(table, graph).equal(encoder(table, graph))
        assert not encoder(table, graph, dropped=True).equal(encoder(table, graph, dropped=True))


def test_perturbation_removes_what_the_users_linked():
    rows = [*histories(), [5, 5, 6], [7]]
    graph, kept_without = counted(rows)
    users = [2, 30, 31, 2, 11]
    kept = kept_without(users)
    gone = set()
    for user in users:
        for a, b in zip(rows[user], rows[user][1:], strict=False):
            gone |= {(a, b), (b, a)}
    for edge, (row, column) in enumerate(
        zip(graph.rows.tolist(), graph.matrix.columns.tolist(), strict=True)
    ):
        assert kept[edge] == (row == column or (row, column) not in gone)


def test_perturbation_counts_a_user_once_and_leaves_the_graph_alone():
    graph, kept_without = counted()
    before = graph.matrix.values.clone()
    once = kept_without([3, 8])
    assert once.equal(kept_without([8, 3, 3, 8]))
    convolution(graph, "double", once, edge_dropout_mask(graph, "double", 0.5, once))(
        normal(NODES, 3)
    )
    assert graph.matrix.values.equal(before)


def neighbours(graph, members):
    """Neighbours of every item, one edge at a time."""
    found = [set() for _ in range(graph.nodes)]
    for row, column, member in zip(
        graph.rows.tolist(), graph.matrix.columns.tolist(), members.tolist(), strict=True
    ):
        if member:
            found[row].add(column)
    return found


def test_own_and_foreign_neighbours_split_the_neighbourhood():
    # 300 users on 20 items: more than 10 neighbours each.
    graph, kept_without = counted(histories(users=300))
    kept = kept_without(torch.arange(20))
    own, foreign = (neighbours(graph, members) for members in split(graph, kept))
    everyone = neighbours(graph, torch.ones(graph.edges, dtype=torch.bool))
    assert max(len(found) for found in everyone) > 10
    for item in range(NODES):
        assert not own[item] & foreign[item]
        assert own[item] | foreign[item] == everyone[item] - {item}
    with_loop = neighbours(graph, split(graph, kept, loop_is_neighbour=True)[1])
    assert all(with_loop[item] == foreign[item] | {item} for item in range(NODES))


def test_the_official_split_samples_the_foreign_side_first():
    graph, kept_without = counted(histories(users=300))
    kept = kept_without(torch.arange(20))
    noise = uniform(2, graph.edges)
    chosen = split_sampled(graph, kept, 3, noise=noise)
    own, foreign = (neighbours(graph, members) for members in chosen)
    everyone = neighbours(graph, torch.ones(graph.edges, dtype=torch.bool))
    remaining = neighbours(graph, kept)
    by_pair = dict(
        zip(
            zip(graph.rows.tolist(), graph.matrix.columns.tolist(), strict=True),
            noise.T.tolist(),
            strict=True,
        )
    )
    for item in range(NODES):
        ranked = sorted(remaining[item], key=lambda other: by_pair[item, other][0])
        assert foreign[item] == set(ranked[:3])
        rest = everyone[item] - foreign[item]
        ranked = sorted(rest, key=lambda other: by_pair[item, other][1])
        assert own[item] == set(ranked[:3])


def test_means_over_neighbours():
    graph, kept = perturbed()
    own, foreign = split(graph, kept)
    features = normal(NODES, 4)
    for members in (own, foreign):
        found = means(graph, members, features)
        for item, others in enumerate(neighbours(graph, members)):
            expected = features[sorted(others)].mean(0) if others else torch.zeros(4).double()
            torch.testing.assert_close(found[item], expected, rtol=1e-6, atol=1e-7)


def test_means_of_equal_views_are_equal():
    graph, kept = perturbed()
    own, foreign = split(graph, kept)
    constant = normal(4).expand(NODES, 4).contiguous()
    both = [means(graph, members, constant) for members in (own, foreign)]
    have = (both[0].abs().sum(1) > 0) & (both[1].abs().sum(1) > 0)
    assert have.any()
    torch.testing.assert_close(both[0][have], both[1][have])
