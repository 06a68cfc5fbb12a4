"""The recurrent layer against torch's own on packed sequences."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.methods.parts import bilstm
from bench.methods.parts.bilstm import BiLSTM
from bench.model.shapes import static_shapes


def frame(lengths, width, size, dtype=torch.float64):
    x = torch.randn(len(lengths), width, size, dtype=dtype, requires_grad=True)
    return x, torch.arange(width) < torch.tensor(lengths)[:, None]


def torchs_own(layer, x, lengths):
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(
        layer.lstm(packed)[0], batch_first=True, total_length=x.shape[1]
    )
    return states.chunk(2, -1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lengths", [[3, 7, 1, 7], [1], [4, 4], [1, 1, 1], [2, 9, 5, 3, 8]])
@pytest.mark.parametrize("block", [1, 6, 512])
def test_states_and_gradients_are_torchs(monkeypatch, lengths, bias, block):
    monkeypatch.setattr(bilstm, "TOKENS_PER_BLOCK", block)
    torch.manual_seed(0)
    layer = BiLSTM(3, 4, bias=bias).double()
    x, valid = frame(lengths, 9, 3)
    weights = torch.randn(2, len(lengths), 9, 4, dtype=torch.float64)
    found = []
    with static_shapes():
        padded = layer(x, valid)
    for forward, backward in (layer(x, valid), padded, torchs_own(layer, x, lengths)):
        real = valid[..., None]
        loss = (forward * real * weights[0]).sum() + (backward * real * weights[1]).sum()
        grads = torch.autograd.grad(loss, [x, *layer.parameters()])
        found.append([forward * real, backward * real, *grads])
    for ours, padded_ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(padded_ours, theirs)


def test_the_gradient_passes_a_numerical_check():
    torch.manual_seed(0)
    layer = BiLSTM(2, 2).double()
    x, valid = frame([2, 3], 3, 2)
    assert torch.autograd.gradcheck(lambda value: layer(value, valid), (x,))


def test_padding_changes_nothing():
    torch.manual_seed(0)
    layer = BiLSTM(3, 4)
    x, valid = frame([2, 5, 4], 5, 3, torch.float32)
    spoilt = torch.nn.functional.pad(
        x.masked_fill(~valid[..., None], 99.0), (0, 0, 0, 4), value=7.0
    )
    longer = torch.nn.functional.pad(valid, (0, 4))
    for short, long in zip(layer(x, valid), layer(spoilt, longer), strict=True):
        assert torch.equal(long[:, :5], short)
        assert long[:, 5:].abs().sum() == 0
        assert short[~valid].abs().sum() == 0


def test_rows_without_tokens_have_zero_states():
    layer = BiLSTM(3, 4)
    forward, backward = layer(torch.randn(2, 3, 3), torch.tensor([[False] * 3, [True] * 3]))
    assert forward[0].abs().sum() == backward[0].abs().sum() == 0
    assert forward[1].abs().sum() > 0
    empty = layer(torch.randn(1, 3, 3), torch.zeros(1, 3, dtype=torch.bool))
    assert empty[0].abs().sum() == 0


def test_single_precision_is_close_to_torchs():
    torch.manual_seed(0)
    layer = BiLSTM(16, 16)
    lengths = [50, 3, 20, 1]
    x, valid = frame(lengths, 50, 16, torch.float32)
    for ours, theirs in zip(layer(x, valid), torchs_own(layer, x, lengths), strict=True):
        torch.testing.assert_close(ours, theirs * valid[..., None], rtol=1e-4, atol=1e-6)
