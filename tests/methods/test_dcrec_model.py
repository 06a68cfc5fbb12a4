"""DCRec as a whole."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from dcrec_toys import ITEMS, STILL, batch, dense, histories, model
from test_dcrec_counting import counted, similarities
from torch import nn
from torch.nn import functional
from torch_layers import load
from toys import data_of

from bench.components import METHODS
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.errors import ConfigError
from bench.methods.parts.ragged import Ragged

NODES = ITEMS + 1
REFERENCE = dict(METHODS.get("dcrec:reference").defaults) | {"neighbour_sample": 30}
"""More neighbours than there are, so that the sample is everything."""


def matrices(method):
    return [
        dense(graph)
        for pair in (method.training_graphs, method.evaluation_graphs)
        for graph in (pair.transition, pair.co_interaction)
    ]


def training_part(rows):
    return Split.of(data_of(Sequences.from_lists(rows), ITEMS)).train


def test_held_out_items_change_no_graph():
    rows = histories(longest=12)
    changed = [[*row[:-2], *reversed(row[-2:])] for row in rows]
    changed[0][-1] = changed[0][-1] % ITEMS + 1
    first, second = (list(map(list, training_part(part))) for part in (rows, changed))
    for one, other in zip(matrices(model(first)), matrices(model(second)), strict=True):
        assert one.equal(other)


def test_the_last_training_item_is_in_the_evaluation_graphs_only():
    rows = histories()
    changed = [[*row[:-1], row[-1] % ITEMS + 1] for row in rows]
    pairs = list(zip(matrices(model(rows)), matrices(model(changed)), strict=True))
    assert [one.equal(other) for one, other in pairs] == [True, True, False, False]


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_the_graphs_are_the_counted_ones(direction):
    rows = histories()
    found = matrices(model(rows, co_direction=direction, neighbours=ITEMS))
    for part, transition, similar in ((slice(-1), *found[:2]), (slice(None), *found[2:])):
        kept = [row[part] for row in rows]
        count = counted(kept, NODES)
        scale = np.diag(count.sum(1) ** -0.5)
        np.testing.assert_allclose(transition, scale @ count @ scale, atol=1e-6)
        expected = similarities(kept, NODES)
        expected /= np.maximum(expected.sum(1, keepdims=True), 1e-300)
        expected = expected if direction == "pull" else expected.T
        np.testing.assert_allclose(similar, expected, atol=1e-6)


@pytest.mark.parametrize("rows", [[[1, 2], [3, 4]], [[1, 1, 1, 2], [2, 2, 2, 1]]])
def test_graphs_without_a_transition_are_refused(rows):
    with pytest.raises(ConfigError, match="'transition' has no edge"):
        model(rows)


def double_norm(matrix):
    """Both ends' numbers of edges, one more loop included; row i gathers."""
    stored = matrix > 0
    scale = (stored.sum(1)[:, None] + 1.0).rsqrt() * (stored.sum(0) + 1.0).rsqrt()
    return matrix * scale + torch.diag(scale.diagonal())


def view(method, matrix):
    """A graph view (equation 1) on dense matrices."""
    norm = method.graph_encoder.norm
    matrix = double_norm(matrix) if method.config.graph_norm == "double" else matrix
    table = method.items.weight
    once = matrix @ table
    mixed = (table + once + matrix @ once) / 3 + table
    return functional.layer_norm(mixed, mixed.shape[1:], norm.weight, norm.bias, norm.eps)


def cos(a, b):
    return functional.cosine_similarity(a, b, dim=-1, eps=1e-12)


def mean_of(views, members):
    return views[members].mean(0) if members else torch.zeros_like(views[0])


def brute_force(method, rows, prefixes, states):
    """Losses of sections 4.4 to 5, one row and one edge at a time; a prefix ends in its target."""
    config = method.config
    loop = config.loop_is_neighbour
    whole_graph, similar = matrices(method)[:2]
    left = whole_graph.clone()
    for row in rows:
        for a, b in pairwise(row[:-1]):
            if a != b:
                left[a, b] = left[b, a] = 0
    x_all, z_all, x2_all = (view(method, m) for m in (whole_graph, similar, left))
    v = [row[-2] for row in prefixes]
    g = []
    for item in v:
        foreign = [j for j in range(NODES) if left[item, j] > 0 and (loop or j != item)]
        everyone = [j for j in range(NODES) if whole_graph[item, j] > 0]
        own = [j for j in everyone if left[item, j] == 0]
        assert loop or set(own) | set(foreign) == set(everyone) - {item}
        f, c = mean_of(x_all, foreign), mean_of(x_all, own)
        found = cos(x_all[item], x2_all[item]) + cos(c, f) + cos(x_all[item], f)
        g.append(torch.sigmoid(found / 3))
    g = torch.stack(g)
    o = (g - g.min()) / (g.max() - g.min())
    omega = config.conformity * o / o.mean()
    if config.first_item_weight is not None:
        single = torch.tensor([len(row) == 2 for row in prefixes])
        omega = torch.where(single, config.first_item_weight, omega)
    psi = omega.max() - omega
    x, z = x_all[v], z_all[v]

    def contrast(p, q):
        e = (cos(p[:, None], q[None]) / config.temperature).exp()
        return -(1e-8 + e.diagonal() / e.sum(1)).log()

    views = torch.stack([states, x, z], 1)
    shares = torch.softmax(views @ method.fusion.map @ method.fusion.query, 1)
    fused = (shares[..., None] * views).sum(1)
    targets = torch.tensor([row[-1] for row in prefixes])
    return {
        "next_item": functional.cross_entropy(fused @ method.items.weight[1:].T, targets - 1),
        "contrast": 0.1 * (omega * contrast(states, x) + psi * contrast(x, z)).mean(),
    }


def gradients(parts, method):
    parameters = list(method.parameters())
    total = parts["next_item"] + parts["contrast"]
    return torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)


@pytest.mark.parametrize("settings", [{}, REFERENCE], ids=["fixed", "reference"])
def test_the_losses_and_their_gradients_are_those_of_the_readme(settings):
    rows = [*histories(12), [3, 4, 9], [4, 4, 5], [9, 2, 9]]
    method = model(rows, **STILL, **settings).double()
    prefixes = [row[: 2 + number % (len(row) - 1)] for number, row in enumerate(rows)]
    assert {len(prefix) for prefix in prefixes} > {2, 3, 4}
    asked = batch(prefixes)
    ragged = Ragged(asked.valid)
    states = method.encoder(ragged.take(method.items(asked.items)), ragged)
    found, expected = method.losses(asked), brute_force(method, rows, prefixes, states)
    for name, value in expected.items():
        # The shared softmax computes in float32.
        torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(gradients(found, method), gradients(expected, method), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def states_by_torch(method, items):
    """The sequence encoder with torch's own layers on the padded frame."""
    encoder, config = method.encoder, method.config
    valid = items > 0
    x = method.items(items) + encoder.positions.weight[: items.shape[1]]
    x = encoder.norm(x)
    for block in encoder.blocks:
        sizes = (config.embedding_size, config.heads, config.inner_size)
        layer = nn.TransformerEncoderLayer(
            *sizes, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True
        ).double()
        x = load(layer, block).train()(x, src_key_padding_mask=~valid)
    return x[torch.arange(len(items)), valid.sum(1) - 1]


def test_the_encoder_is_a_bidirectional_transformer_read_at_the_last_item():
    method = model(**STILL).double()
    items = batch(histories()).items
    ragged = Ragged(items > 0)
    found = [method.encoder(ragged.take(method.items(items)), ragged) for _ in range(2)]
    torch.testing.assert_close(found[0], states_by_torch(method, items))
    assert found[0].equal(found[1])


def scores(method, rows):
    items = method.item_vectors()
    return method.user_vectors(batch(rows, targets=False)) @ items.T


@torch.no_grad()
def test_evaluation_repeats_itself_whatever_the_batch_and_the_padding():
    rows = histories()
    method = model().eval()
    together = scores(method, rows)
    assert together.equal(scores(method, rows))
    assert together.shape == (len(rows), ITEMS)
    for user in (0, 7):
        # Next to the longest row this one is padded, alone it is not.
        torch.testing.assert_close(scores(method, rows[user : user + 1])[0], together[user])


@torch.no_grad()
def test_the_first_item_of_a_history_matters():
    rows = [[1, 5, 7, 9, 3], [2, 5, 7, 9, 3]]
    first, second = scores(model().eval(), rows)
    assert not torch.allclose(first, second)


def counting_views(method, monkeypatch):
    calls = []
    encoder = method.graph_encoder
    forward = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    return calls


@torch.no_grad()
def test_graph_views_are_computed_once_an_evaluation(monkeypatch):
    method = model().eval()
    calls = counting_views(method, monkeypatch)
    for _ in range(2):
        method.item_vectors()
        for user in range(3):
            method.user_vectors(batch(histories()[user : user + 2], targets=False))
    assert len(calls) == 4


@pytest.mark.parametrize("change", ["trained", "loaded"])
@torch.no_grad()
def test_graph_views_follow_the_weights(change):
    asked = batch(histories(), targets=False)
    method, other = model(seed=0).eval(), model(seed=1).eval()
    expected = other.user_vectors(asked)
    method.user_vectors(asked)
    if change == "loaded":
        method.load_state_dict(other.state_dict())
    else:
        method.train()
        for mine, theirs in zip(method.parameters(), other.parameters(), strict=True):
            mine.copy_(theirs)
        method.eval()
    assert method.user_vectors(asked).equal(expected)


def test_evaluation_can_be_differentiated_twice():
    method, asked = model().eval(), batch(histories(), targets=False)
    gradients = []
    for _ in range(2):
        method.zero_grad()
        method.user_vectors(asked).sum().backward()
        gradients.append(method.items.weight.grad.clone())
    assert gradients[0].any()
    assert gradients[1].equal(gradients[0])


@pytest.mark.parametrize("settings", [{}, {"contrast": "grace"}, REFERENCE])
def test_everything_learns_but_padding(settings):
    method = model(**settings)
    parts = method.losses(batch(histories()))
    assert set(parts) == {"next_item", "contrast", "prior"}
    torch.stack(list(parts.values())).sum().backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert method.items.weight.grad[0].abs().sum() == 0


def test_padding_stays_zero_after_a_step():
    method = model()
    optimiser = torch.optim.Adam(method.parameters(), lr=0.1)
    sum(method.losses(batch(histories())).values()).backward()
    optimiser.step()
    assert method.items.weight[0].abs().sum() == 0


def test_without_auxiliary_losses_nothing_is_perturbed(monkeypatch):
    method = model(contrast_weight=0, prior_weight=0)
    monkeypatch.setattr(method.perturbation, "kept", lambda *_: pytest.fail("perturbed"))
    assert set(method.losses(batch(histories()))) == {"next_item"}


def test_only_one_row_in_a_batch_is_no_trouble():
    parts = model().losses(batch(histories()[:1]))
    assert all(part.isfinite() for part in parts.values())


def next_item_without(method, rows, removed_weight):
    """Loss after the weights of the edges that the batch's users made are set to something."""
    asked = batch(rows)
    graph = method.training_graphs.transition
    kept = method.perturbation.kept(asked.users, graph.edges)
    with torch.no_grad():
        graph.matrix.values.masked_fill_(~kept, removed_weight)
    return method.losses(asked)["next_item"].detach()


@pytest.mark.parametrize("hidden", [True, False])
def test_the_edge_to_the_target_can_be_hidden(hidden):
    rows = histories()[:4]
    losses = [
        next_item_without(model(hide_target_edge=hidden, **STILL), rows, weight)
        for weight in (0.1, 0.9)
    ]
    assert losses[0].equal(losses[1]) is hidden


def test_weights_can_be_detached():
    asked = batch(histories())
    one, other = (model(detach_weights=detached, **STILL) for detached in (False, True))
    contrast = [method.losses(asked)["contrast"] for method in (one, other)]
    torch.testing.assert_close(*contrast)
    tables = [
        torch.autograd.grad(loss, method.items.weight)[0]
        for loss, method in zip(contrast, (one, other), strict=True)
    ]
    assert not torch.allclose(*tables)


def test_conformity_is_read_without_dropout_by_default(monkeypatch):
    for source, passes in (("clean", [False, False]), ("dropped", [True])):
        method = model(weights_from=source)
        seen = []
        forward = method.graph_encoder.forward

        def follow(*args, forward=forward, seen=seen, **options):
            seen.append(options.get("dropped", False))
            return forward(*args, **options)

        monkeypatch.setattr(method.graph_encoder, "forward", follow)
        method.losses(batch(histories()))
        # Both views for prediction come first, dropped out.
        assert seen == [True, True, *passes]


def test_diagnostics_count_edges_and_follow_an_epoch():
    rows = histories()
    method = model(rows)
    method.begin_epoch(0)
    expected = (counted([row[:-1] for row in rows], NODES) > 0).sum() - NODES
    assert method.diagnostics() == {
        "training_transition_edges": expected,
        "training_co_interaction_edges": method.training_graphs.co_interaction.links,
        "evaluation_transition_edges": (counted(rows, NODES) > 0).sum() - NODES,
        "evaluation_co_interaction_edges": method.evaluation_graphs.co_interaction.links,
    }
    method.losses(batch(rows))
    diagnostics = method.diagnostics()
    assert diagnostics["mean_edges_removed"] == 1  # all users are in the batch
    assert diagnostics["mean_beta"] == 0  # so nobody has a foreign neighbour
    assert diagnostics["mean_omega_deviation"] > 0
    twin = model(rows, seed=1)
    twin.load_state_dict(method.state_dict())
    assert twin.diagnostics() == diagnostics


def test_it_decides_nothing_about_interactions():
    assert model().denoise(batch(histories())) is None


def test_graphs_are_not_in_the_checkpoint():
    method = model()
    names = set(method.state_dict())
    assert names == {name for name, _ in method.named_parameters()} | {"statistics"}


def test_it_trains_on_prefixes_and_reads_one_set_of_graphs_from_the_cache(private_cache):
    assert METHODS.get("dcrec").sampling == "prefixes"
    folder = private_cache / "graphs"
    before = set(folder.glob("dcrec-*"))
    method = model(cache=private_cache)
    assert set(folder.glob("dcrec-*")) - before
    for one, other in zip(matrices(method), matrices(model(cache=private_cache)), strict=True):
        assert one.equal(other)
