"""The shared transformer block against torch's own layer, and its independence of padding."""

import pytest
import torch
from torch import nn
from torch_layers import load

from bench.methods.parts.attention import PostNormBlock
from bench.methods.parts.ragged import Ragged

WIDTH, HEADS, INNER = 8, 2, 12


def block(seed=0, **changes):
    torch.manual_seed(seed)
    made = PostNormBlock(WIDTH, HEADS, INNER, **({"dropout": 0.0} | changes))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.double().eval()


def frame(lengths, width=None, seed=1):
    generator = torch.Generator().manual_seed(seed)
    valid = torch.arange(width or max(lengths)) < torch.tensor(lengths)[:, None]
    x = torch.randn(*valid.shape, WIDTH, generator=generator, dtype=torch.float64)
    return x, valid


def twin(ours, eps=1e-5):
    """PyTorch's own post-norm encoder layer with our weights."""
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, INNER, 0.0, "gelu", layer_norm_eps=eps, batch_first=True
    ).double()
    return load(layer, ours).train()  # the fused inference path pads differently; dropout is 0


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [[1], [3, 1, 9, 20, 2, 8, 17], [5, 5], [40, 1]])
def test_it_equals_torchs_encoder_layer(causal, lengths):
    ours = block(causal=causal, eps=1e-3)
    x, valid = frame(lengths, max(lengths) + 2)
    future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
    theirs = twin(ours, 1e-3)(x, src_mask=future, src_key_padding_mask=~valid)
    ragged = Ragged(valid)
    mine = ours(ragged.take(x), ragged)
    torch.testing.assert_close(ragged.put(mine)[valid], theirs[valid])


@pytest.mark.parametrize("causal", [False, True])
def test_last_is_the_last_token_of_the_whole(causal):
    ours = block(causal=causal)
    x, valid = frame([3, 1, 30, 0, 2, 8, 9])
    ragged = Ragged(valid)
    z = ragged.take(x)
    whole = ragged.put(ours(z, ragged))
    last = ours.last(z, ragged)
    for row, length in enumerate(valid.sum(1).tolist()):
        if length:
            torch.testing.assert_close(last[row], whole[row, length - 1])
    assert torch.isfinite(last).all()


def test_each_dropout_acts_in_training_only():
    x, valid = frame([4, 12])
    ragged = Ragged(valid)
    z = ragged.take(x)
    plain = block()(z, ragged)
    for name in ("dropout", "attention_dropout", "inner_dropout"):
        noisy = block(**{name: 0.5})
        torch.testing.assert_close(noisy(z, ragged), plain, rtol=0, atol=0)
        assert not torch.allclose(noisy.train()(z, ragged), plain)


def test_the_activation_is_the_given_one():
    x, valid = frame([4])
    ragged = Ragged(valid)
    z = ragged.take(x)
    silent = block(activation=torch.zeros_like)
    attended = silent(z, ragged)
    gelu = block()
    changed = gelu(z, ragged)
    assert not torch.allclose(attended, changed)
    with torch.no_grad():
        gelu.contract.weight.zero_()
    torch.testing.assert_close(gelu(z, ragged), attended)


def test_gradients_are_those_of_torchs_layer():
    ours = block().train()
    x, valid = frame([3, 1, 9, 20])
    ragged = Ragged(valid)
    x.requires_grad_()
    theirs = twin(ours)
    weight = torch.randn(int(valid.sum()), WIDTH, dtype=torch.float64)
    mine = ragged.put(ours(ragged.take(x), ragged))[valid]
    (mine * weight).sum().backward()
    got, x.grad = x.grad.clone(), None
    (theirs(x, src_key_padding_mask=~valid)[valid] * weight).sum().backward()
    torch.testing.assert_close(got[valid], x.grad[valid])
    torch.testing.assert_close(ours.qkv.weight.grad, theirs.self_attn.in_proj_weight.grad)


def test_rows_without_tokens_give_numbers():
    ours = block()
    nothing = Ragged(torch.zeros(2, 3, dtype=torch.bool))
    z = torch.zeros(0, WIDTH, dtype=torch.float64)
    assert ours(z, nothing).shape == (0, WIDTH)
    assert torch.isfinite(ours.last(z, nothing)).all()


def test_lower_precision_of_autocast_mixes_with_full():
    ours = block().float()
    x, valid = frame([3, 1, 9])
    ragged = Ragged(valid)
    z = ragged.take(x).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, last = ours(z, ragged), ours.last(z, ragged)
    torch.testing.assert_close(rounded.float(), ours(z, ragged), rtol=0.1, atol=0.1)
    torch.testing.assert_close(last.float(), ours.last(z, ragged), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_slices_of_the_feed_forward_layer_give_the_same_values_and_gradients(dropout):
    """Recomputed on the way back with the same noise: torch's own graph of the slices says so."""
    rates = {"dropout": dropout, "inner_dropout": dropout}
    sliced, whole = block(max_stored_tokens=7, **rates).train(), block(**rates).train()
    x, valid = frame([3, 1, 9, 2, 8])
    ragged = Ragged(valid)
    tokens = ragged.take(x)

    def by_hand(z):
        return torch.cat([whole._feed(part) for part in z.split(7)])

    whole.feed = by_hand
    found = []
    for model in (sliced, whole):
        torch.manual_seed(5)
        given = tokens.clone().requires_grad_()
        out = model(given, ragged)
        out.square().sum().backward()
        found.append([out, given.grad, *(p.grad for p in model.parameters())])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
    if not dropout:
        torch.testing.assert_close(found[0][0], block()(tokens, ragged))
        with torch.no_grad():
            torch.testing.assert_close(sliced(tokens, ragged), found[0][0])
