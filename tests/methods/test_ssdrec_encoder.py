"""The relation encoder against its formulas on dense matrices."""

import math

import pytest
import torch
from ssdrec_toys import N_ITEMS, N_USERS, WIDTH, random_histories

from bench.methods.parts.dropout import fast_dropout
from bench.methods.ssdrec.encoder import RelationEncoder
from bench.methods.ssdrec.relations import RelationSettings, build_relations

GRAPHS = build_relations(random_histories(), N_ITEMS, RelationSettings(8, 0, 1.0, 1.0))
DENSE = {name: torch.from_numpy(graph.toarray()) for name, graph in GRAPHS.items()}


@pytest.fixture
def encoder():
    torch.manual_seed(1)
    built = RelationEncoder(GRAPHS, WIDTH, 0.3)
    # Scalars away from their start, so that none of them can be left out unnoticed.
    for scalars in (built.item_scalars, built.user_scalars):
        torch.nn.init.normal_(scalars.bias)
    return built


@pytest.fixture
def tables():
    generator = torch.Generator().manual_seed(2)
    return (
        torch.randn(N_ITEMS + 1, WIDTH, generator=generator, requires_grad=True),
        torch.randn(N_USERS, WIDTH, generator=generator, requires_grad=True),
    )


def formulas(encoder, items, users, noise):
    """Equations 1 and 2 as written: both pairs of relations by attention, the mean last."""
    w_1, w_2 = encoder.incoming_key.weight.T, encoder.outgoing_key.weight.T

    def drop(x, uniform):
        return x if uniform is None else x * (uniform >= encoder.dropout) / (1 - encoder.dropout)

    def joined(a, b):
        logits = [
            torch.nn.functional.leaky_relu((items * h) @ w, 0.2).sum(1) / math.sqrt(WIDTH)
            for h, w in ((a @ items, w_1), (b @ items, w_2))
        ]
        weights = torch.softmax(torch.stack(logits), 0)
        return weights[0][:, None] * (a @ items) + weights[1][:, None] * (b @ items)

    def fused(interacted, own, messages, scalars, fusion, uniform):
        (w_0, w_own), bias = scalars.weight[0], scalars.bias
        parts = []
        for number, message in enumerate(messages):
            g = drop(
                w_0 * message + w_own * own + bias, None if uniform is None else uniform[number]
            )
            parts.append(torch.cat([interacted, g], 1) @ fusion.join.weight.T)
        mean = sum(parts) / len(parts)
        return torch.sigmoid(mean @ fusion.inner.weight.T) @ fusion.outer.weight.T

    transition = joined(DENSE["incoming"], DENSE["outgoing"])
    apart = joined(DENSE["incompatible"], DENSE["incompatible"])
    around = [DENSE["similar"] @ users, DENSE["dissimilar"] @ users]
    of_items = fused(
        DENSE["interacted_by"] @ users,
        items,
        [transition, apart],
        encoder.item_scalars,
        encoder.item_fusion,
        noise and noise[0],
    )
    of_users = fused(
        DENSE["interaction"] @ items,
        users,
        around,
        encoder.user_scalars,
        encoder.user_fusion,
        noise and noise[1],
    )
    return of_items, of_users


@pytest.mark.parametrize("training", [True, False])
def test_vectors_and_gradients_equal_the_formulas(encoder, tables, training):
    encoder.train(training)
    noise = (torch.rand(2, N_ITEMS + 1, WIDTH), torch.rand(2, N_USERS, WIDTH))
    everyone = torch.arange(N_USERS)
    found = (
        encoder.encode_items(*tables, noise[0]),
        encoder.encode_users(everyone, *tables, noise[1]),
    )
    expected = formulas(encoder, *tables, noise if training else None)
    inputs = [*tables, *encoder.parameters()]
    gradients = []
    for pair in (found, expected):
        torch.testing.assert_close(pair, expected)
        weighted = sum((x * torch.arange(x.numel()).view_as(x).cos()).sum() for x in pair)
        gradients.append(torch.autograd.grad(weighted, inputs, retain_graph=True))
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_some_users_equal_those_among_all(encoder, tables):
    encoder.eval()
    chosen = torch.tensor([4, 0, 4, 29])
    everyone = encoder.encode_users(torch.arange(N_USERS), *tables)
    torch.testing.assert_close(encoder.encode_users(chosen, *tables), everyone[chosen])


def test_evaluation_has_no_chance(encoder, tables):
    encoder.eval()
    assert encoder.encode_items(*tables).equal(encoder.encode_items(*tables))
    encoder.train()
    assert not encoder.encode_items(*tables).equal(encoder.encode_items(*tables))


def test_every_parameter_is_drawn_whatever_memory_held(monkeypatch):
    # The official code never sets two of the matrices; here new tensors begin as NaN.
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        parameters = dict(RelationEncoder(GRAPHS, WIDTH, 0.3).named_parameters())
    finally:
        torch.use_deterministic_algorithms(before)
    for name, values in parameters.items():
        assert values.isfinite().all(), name
        bound = math.sqrt(6 / sum(values.shape)) if values.ndim == 2 else 0
        assert values.abs().max() <= bound + 1e-6, name


def test_graphs_stay_out_of_the_checkpoint(encoder):
    assert set(encoder.state_dict()) == {name for name, _ in encoder.named_parameters()}


def test_dropout_keeps_the_mean_and_takes_given_noise():
    x = torch.ones(100_000)
    assert float(fast_dropout(x, 0.25).mean()) == pytest.approx(1, abs=0.02)
    noise = torch.tensor([0.1, 0.25, 0.9])
    assert fast_dropout(torch.ones(3), 0.25, noise).tolist() == pytest.approx([0, 4 / 3, 4 / 3])
    assert fast_dropout(x, 0.0) is x
