"""GRU4Rec's recurrence on a CPU against torch's own layers on packed sequences."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.methods.backbones.gru4rec.config import GRU4RecConfig
from bench.methods.backbones.gru4rec.model import GRU4Rec
from bench.methods.backbones.gru4rec.recurrence import gru_layer, time_order
from bench.model.backbone import Sizes


def frame(lengths):
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def test_time_order_by_hand():
    places, sizes = time_order(frame([1, 3, 0, 2]))
    # Longest row first: row 1 (places 3..5), row 3 (9, 10), row 0 (0).
    assert places.tolist() == [3, 9, 0, 4, 10, 5]
    assert sizes == [3, 2, 1]


def packed(backbone, x, valid):
    """Torch's layers on packed sequences."""
    lengths = valid.sum(1)
    given_x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(backbone.gru(given_x)[0], batch_first=True)[0]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 3))
def test_states_and_gradients_are_those_of_packed_sequences(lengths, layers):
    config = GRU4RecConfig(embedding_size=3, hidden_size=4, layers=layers, dropout=0)
    torch.manual_seed(0)
    backbone = GRU4Rec(config, Sizes(1, 5, 6)).double()
    valid = frame(lengths)
    x = torch.randn(*valid.shape, 3, dtype=torch.float64)
    pull = torch.randn(*valid.shape, 4, dtype=torch.float64) * valid[..., None]
    found = []
    for encode in (backbone.encode, partial(packed, backbone)):
        given_x = x.clone().requires_grad_()
        backbone.zero_grad()
        states = encode(given_x, valid)
        (states * pull).sum().backward()
        gradients = [given_x.grad[valid], *(p.grad.clone() for p in backbone.gru.parameters())]
        found.append([states[valid].detach(), *gradients])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_gradient_by_finite_differences():
    torch.manual_seed(0)
    tokens, into, within = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((6, 2), (9, 2), (9, 3))
    )
    assert torch.autograd.gradcheck(
        lambda *tensors: gru_layer(*tensors, [3, 2, 1]), (tokens, into, within)
    )


@pytest.mark.parametrize("lengths", [[0, 2], [0, 0, 1]])
def test_rows_without_items_are_numbers(lengths):
    backbone = GRU4Rec(GRU4RecConfig(), Sizes(1, 5, 6))
    valid = frame(lengths)
    states = backbone.encode(torch.randn(*valid.shape, 64), valid)
    assert torch.isfinite(states).all()
    states.sum().backward()
