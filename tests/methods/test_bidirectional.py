"""Backbones that are not causal: equations written anew, and that no target is in sight."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hsd_toys import batch as prefixes
from hsd_toys import model as hsd_on
from small_models import batch_of, build_backbone, build_method
from toys import training_data

from bench.components import BACKBONES, METHODS
from bench.data.sequences import Sequences
from bench.errors import ConfigError
from bench.methods.iadsr.config import IADSRConfig
from bench.methods.iadsr.model import IADSR
from bench.methods.none.cloze import Cloze
from bench.methods.none.config import ClozeConfig, NoneConfig
from bench.methods.none.model import BareBackbone
from bench.methods.parts.frames import filtered, filtered_last, kernel, real_at_ends
from bench.model.backbone import Sizes
from bench.model.batch import SequenceData
from bench.model.samples import covering_windows
from bench.plan.spec import Spec
from bench.testing import example, example_items

SIZES = Sizes(n_users=7, n_items=50, max_length=12)
NOT_CAUSAL = [name for name in BACKBONES.names() if not BACKBONES.get(name).causal]
ITEMS = example_items()


def build(name, sizes=SIZES, **settings):
    """Build a backbone in evaluation mode, its weights large enough to matter."""
    torch.manual_seed(0)
    backbone = build_backbone(name, sizes, **{"embedding_size": 8} | settings).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(std=0.5)
        backbone.items.weight[0].zero_()
    return backbone


def arrays(module):
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


def layer_norm(z, weights, name):
    centred = z - z.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def softmax(x):
    shares = np.exp(x - x.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def feed(z, w, block):
    fed = linear(gelu(linear(z, w, f"{block}.expand")), w, f"{block}.contract")
    return layer_norm(z + fed, w, f"{block}.norm_feed")


def attention(z, w, block, heads, allowed):
    n, width = z.shape
    q, k, v = np.split(linear(z, w, f"{block}.qkv"), 3, axis=1)
    found, size = [], width // heads
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        logits = q[:, part] @ k[:, part].T / math.sqrt(size)
        found.append(softmax(np.where(allowed, logits, -np.inf)) @ v[:, part])
    assert found[0].shape == (n, size)
    return linear(np.concatenate(found, 1), w, f"{block}.out")


# BERT4Rec


@pytest.mark.parametrize("head", [True, False])
def test_bert4rec_reads_the_state_of_a_mask_behind_the_last_item(head):
    backbone = build("bert4rec", head=head, bias=head)
    w, valid = arrays(backbone), ITEMS > 0
    states = backbone.encode(backbone.embed(ITEMS), valid)
    last = backbone.encode_last(backbone.embed(ITEMS), valid)
    scores = backbone.scores(last).detach()
    for row, ids in enumerate(ITEMS.tolist()):
        n = sum(item > 0 for item in ids)
        z = np.concatenate([w["items.weight"][ids[:n]], w["mask"][None]])
        z = layer_norm(z + w["positions.weight"][: n + 1], w, "norm")
        for number in range(2):
            block = f"blocks.{number}"
            z = layer_norm(
                z + attention(z, w, block, 2, np.ones((n + 1, n + 1), bool)),
                w,
                f"{block}.norm_attention",
            )
            z = feed(z, w, block)
        np.testing.assert_allclose(last[row].detach(), z[n], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(states[row, n - 1].detach(), z[n], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(states[row, : n - 1].detach(), z[: n - 1], rtol=1e-3, atol=1e-4)
        vector, bias = z[n], 0.0
        if head:
            vector, bias = layer_norm(gelu(linear(vector, w, "head")), w, "head_norm"), w["bias"]
        expected = w["items.weight"][1:] @ vector + bias
        np.testing.assert_allclose(scores[row], expected, rtol=1e-3, atol=1e-3)


def test_bert4rec_reads_as_many_items_as_any_other_backbone():
    backbone = build("bert4rec")
    items = torch.arange(1, SIZES.max_length + 1)[None]
    other = items.clone()
    other[0, 0] = 40
    oldest = [backbone.encode_last(backbone.embed(i), i > 0) for i in (items, other)]
    assert not torch.allclose(*oldest)
    alone = [backbone.encode_last(backbone.embed(i[:, :1]), i[:, :1] > 0) for i in (items, other)]
    assert not torch.allclose(*alone)


def test_a_constant_added_to_the_biases_changes_no_rank():
    backbone = build("bert4rec")
    scores = backbone.scores(backbone.encode_last(backbone.embed(ITEMS), ITEMS > 0))
    with torch.no_grad():
        backbone.bias += 3.0
    moved = backbone.scores(backbone.encode_last(backbone.embed(ITEMS), ITEMS > 0))
    torch.testing.assert_close(moved, scores + 3)


def test_denoisers_read_embeddings_and_no_biases():
    method, rows = hsd_on("bert4rec"), prefixes([5, 3, 7])
    seen = []
    method.core.gates.register_forward_hook(lambda _, given, out: seen.append((given, out)))
    for bias in (0.0, 5.0):
        with torch.no_grad():
            method.backbone.bias.normal_().add_(bias)
        torch.manual_seed(1)
        method.losses(rows)
    (first, before), (_, after) = seen
    assert before.item.equal(after.item)
    assert first[2].equal(method.backbone.embed(rows.targets.sum(1))), "the query is an embedding"


# Filters over frames


def complex_response(length, channels=3):
    return torch.randn(length // 2 + 1, channels, dtype=torch.complex128)


@pytest.mark.parametrize("length", [6, 7])
def test_a_filter_is_a_circular_sum_over_lags(length):
    response = real_at_ends(complex_response(length), length)
    z, taps = torch.randn(2, length, 3, dtype=torch.float64), kernel(response, length).numpy()
    expected = np.zeros(z.shape)
    for t in range(length):
        for s in range(length):
            expected[:, t] += taps[(t - s) % length] * z[:, s].numpy()
    np.testing.assert_allclose(filtered(z, response), expected, atol=1e-12)
    np.testing.assert_allclose(filtered_last(z, response), expected[:, -1], atol=1e-12)
    impulse = torch.zeros(1, length, 3, dtype=torch.float64)
    impulse[:, 0] = 1
    np.testing.assert_allclose(filtered(impulse, response)[0], taps, atol=1e-12)
    ones = torch.ones_like(response)
    torch.testing.assert_close(filtered(z, ones), z)


@pytest.mark.parametrize("length", [6, 7])
def test_a_filter_has_no_imaginary_part_where_a_real_signal_has_none(length):
    response = complex_response(length).requires_grad_()
    z = torch.randn(1, length, 3, dtype=torch.float64)
    for apply in (filtered, filtered_last):
        result = apply(z, real_at_ends(response, length))
        weights = torch.randn_like(result)
        (gradient,) = torch.autograd.grad((result * weights).sum(), response)
        silent = (gradient.imag == 0).all(1).tolist()
        assert silent == [place == 0 or 2 * place == length for place in range(len(response))]


def frame_of(ids, w, length):
    """Left-padded embeddings plus positions, and which positions hold an item."""
    padded = [0] * (length - len(ids)) + ids
    z = layer_norm(w["items.weight"][padded] + w["positions.weight"], w, "norm")
    return z, np.array(padded) > 0


def convolved(z, taps):
    n = len(z)
    return np.stack([sum(taps[(t - s) % n] * z[s] for s in range(n)) for t in range(n)])


@pytest.mark.parametrize("pads", ["live", "zero"])
@pytest.mark.parametrize("length", [12, 11])
def test_fmlp_filters_a_frame_that_ends_with_the_last_item(pads, length):
    backbone = build("fmlp", Sizes(7, 50, length), pads=pads)
    w = arrays(backbone)
    states = backbone.encode(backbone.embed(ITEMS), ITEMS > 0)
    last = backbone.encode_last(backbone.embed(ITEMS), ITEMS > 0)
    for row, ids in enumerate(ITEMS.tolist()):
        ids = [item for item in ids if item]
        z, real = frame_of(ids, w, length)
        silent = ~real[:, None] & (pads == "zero")
        z = np.where(silent, 0, z)
        for number in range(2):
            block = f"blocks.{number}"
            factors = w[f"{block}.factors"] @ [1, 1j]
            # The spectrum of a real filter, written out over both signs of the frequency.
            factors[0] = factors[0].real
            if length % 2 == 0:
                factors[-1] = factors[-1].real
            mirrored = factors[1 : (length + 1) // 2][::-1].conj()
            taps = np.fft.ifft(np.concatenate([factors, mirrored]), axis=0).real
            z = layer_norm(z + convolved(z, taps), w, f"{block}.norm_filter")
            z = np.where(silent, 0, feed(z, w, block))
        found = states[row, : len(ids)].detach()
        np.testing.assert_allclose(found, z[length - len(ids) :], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(last[row].detach(), z[-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pads", ["live", "zero"])
@pytest.mark.parametrize("c", [1, 4, 5, 30])
def test_bsarec_mixes_a_rescaled_spectrum_with_causal_attention(pads, c):
    length, heads = SIZES.max_length, 2
    backbone = build("bsarec", pads=pads, heads=heads, low_frequencies=c, alpha=0.3)
    w = arrays(backbone)
    states = backbone.encode(backbone.embed(ITEMS), ITEMS > 0)
    last = backbone.encode_last(backbone.embed(ITEMS), ITEMS > 0)
    for row, ids in enumerate(ITEMS.tolist()):
        ids = [item for item in ids if item]
        z, real = frame_of(ids, w, length)
        silent = ~real[:, None] & (pads == "zero")
        z = np.where(silent, 0, z)
        # A padding query may attend to nothing, and so, all logits being equal, to everything.
        allowed = np.tril(np.ones((length, length), bool)) & real | ~real[:, None]
        for number in range(2):
            block = f"blocks.{number}"
            spectrum = np.fft.rfft(z, axis=0)
            spectrum[c // 2 + 1 :] = 0
            low = np.fft.irfft(spectrum, n=length, axis=0)
            if c >= length:
                np.testing.assert_allclose(low, z, atol=1e-12)
            rescaled = low + w[f"{block}.scale"] ** 2 * (z - low)
            f = layer_norm(z + rescaled, w, f"{block}.norm_filter")
            heard = attention(z, w, block, heads, allowed)
            a = layer_norm(z + heard, w, f"{block}.norm_attention")
            z = np.where(silent, 0, feed(0.3 * f + 0.7 * a, w, block))
        found = states[row, : len(ids)].detach()
        np.testing.assert_allclose(found, z[length - len(ids) :], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(last[row].detach(), z[-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("alpha", "silent"), [(1.0, ("qkv", "out")), (0.0, ("scale",))])
def test_a_weight_of_zero_silences_a_branch_of_bsarec(alpha, silent):
    backbone = build("bsarec", alpha=alpha)
    backbone.encode_last(backbone.embed(ITEMS), ITEMS > 0).square().sum().backward()
    for name, parameter in backbone.blocks.named_parameters():
        gone = parameter.grad is None or not parameter.grad.any()
        if name.split(".")[1] in silent:
            assert gone, name
        elif name.split(".")[1] in {"expand", "qkv", "scale"}:
            assert not gone, name


@pytest.mark.parametrize("name", ["fmlp", "bsarec"])
@pytest.mark.parametrize("pads", ["live", "zero"])
def test_positions_without_an_item_count_if_they_are_live(name, pads):
    backbone = build(name, pads=pads)
    short = ITEMS[:2, :4]
    before = backbone.encode_last(backbone.embed(short), short > 0)
    with torch.no_grad():
        backbone.positions.weight[: SIZES.max_length - 4] += 1.0
    after = backbone.encode_last(backbone.embed(short), short > 0)
    assert torch.equal(before, after) == (pads == "zero")


@pytest.mark.parametrize("name", NOT_CAUSAL)
def test_rows_without_items_have_finite_states(name):
    backbone = build(name)
    empty = torch.zeros(2, 3, dtype=torch.long)
    for encode in (backbone.encode, backbone.encode_last):
        assert encode(backbone.embed(empty), empty > 0).isfinite().all()
    assert backbone.encode_empty(torch.zeros(2, dtype=torch.long)).isfinite().all()


# No target in sight


@pytest.mark.parametrize("name", NOT_CAUSAL)
def test_samples_of_a_backbone_that_is_not_causal_are_decided_when_planning(name):
    backbone = BACKBONES.get(name)
    for method in ("none", "random-drop", "popularity-drop"):
        entry = METHODS.get(method)
        assert entry.sampling_for("auto", backbone) == "prefixes"
        assert entry.sampling_for("last", backbone) == "last"
        assert entry.sampling_for("auto", BACKBONES.get("sasrec")) == "positions"
    spec = {"name": "x", "datasets": ["planted"], "backbones": [name], "methods": ["none"]}
    Spec.parse(spec, "here").check()
    with pytest.raises(ConfigError, match=f"'positions'.*'{name}'.*set 'auto'"):
        Spec.parse(spec | {"training": {"samples": "positions"}}, "here").check()
    for method in ("iadsr:causal", "iadsr:leaky"):
        with pytest.raises(ConfigError, match=f"'{method}' trains at all positions.*'{name}'"):
            METHODS.get(method).sampling_for("auto", backbone)


def test_hidden_items_need_a_backbone_with_a_mask():
    cloze = METHODS.get("none:cloze")
    assert cloze.sampling_for("auto", BACKBONES.get("bert4rec")) == "windows"
    for name in BACKBONES.names():
        if not BACKBONES.get(name).has_mask:
            assert build(name).mask is None
            with pytest.raises(ConfigError, match=f"'none:cloze' hides items.*'{name}'"):
                cloze.sampling_for("auto", BACKBONES.get(name))
            with pytest.raises(ConfigError, match="no vector for a hidden item"):
                Cloze(ClozeConfig(), data(), build(name))


def test_causal_masks_are_refused_where_states_have_seen_the_whole_row():
    dataset = example.dataset()
    given = replace(data(), text_vectors=example.text_vectors(dataset))
    IADSR(IADSRConfig(progressive="causal"), given, build("sasrec"))
    with pytest.raises(ConfigError, match="choose 'carried' or 'recomputed'"):
        IADSR(IADSRConfig(progressive="causal"), given, build("bert4rec"))


def data(train=((1, 2, 3),) * SIZES.n_users):
    return training_data(SIZES, [list(row) for row in train])


@pytest.mark.parametrize("name", NOT_CAUSAL)
@pytest.mark.parametrize("method", ["none", "random-drop", "popularity-drop"])
def test_two_targets_in_a_row_are_refused(name, method):
    subject = build_method(method, data(), build(name))
    with pytest.raises(ValueError, match="in sight of its own prediction"):
        subject.losses(batch_of(ITEMS, ITEMS))


@pytest.mark.parametrize("name", NOT_CAUSAL)
def test_the_surprise_of_an_interaction_knows_no_later_one(name):
    method = BareBackbone(NoneConfig(), data(), build(name))
    other = ITEMS.clone()
    other[:, 2:] = other[:, 2:].where(other[:, 2:] == 0, other[:, 2:] % 50 + 1)
    first, second = (method.denoise(batch_of(items, items * 0)).score for items in (ITEMS, other))
    assert first[:, :2].equal(second[:, :2])
    assert not torch.allclose(first[:, 2], second[:, 2])
    # By hand: the softmax after the first item, at the second.
    backbone = method.backbone
    scores = backbone.scores(backbone.encode_last(backbone.embed(ITEMS[:, :1]), ITEMS[:, :1] > 0))
    expected = -scores.log_softmax(1).gather(1, ITEMS[:, 1:2] - 1)
    torch.testing.assert_close(first[:, 1:2], expected)


def chance_of_guessing(name, objective, sampling, steps=100):
    """Train on fresh random sequences; return the mean loss of the last steps."""
    sizes = Sizes(n_users=1, n_items=50, max_length=8)
    torch.manual_seed(0)
    inside = build_backbone(name, sizes, embedding_size=32, dropout=0.0)
    method = build_method(objective, training_data(sizes, [[1]]), inside)
    optimiser, found = torch.optim.Adam(method.parameters(), lr=5e-3), []
    for _ in range(steps):
        drawn = torch.randint(1, 51, (64, 9))
        items, targets = drawn[:, :8], drawn[:, 1:].clone()
        if sampling == "prefixes":
            targets[:, :-1] = 0
        loss = method.losses(batch_of(items, targets))["next_item"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    return sum(found[-30:]) / 30


@pytest.mark.parametrize(
    "name",
    [name if name == "fmlp" else pytest.param(name, marks=pytest.mark.slow) for name in NOT_CAUSAL],
)
def test_nothing_can_be_learnt_from_random_sequences(name):
    assert chance_of_guessing(name, "none", "prefixes") > math.log(50) - 0.05


@pytest.mark.slow
def test_nothing_can_be_learnt_from_what_hides_random_items():
    assert chance_of_guessing("bert4rec", "none:cloze", "windows") > math.log(50) - 0.05


def test_a_target_in_sight_would_be_learnt(monkeypatch):
    monkeypatch.setattr("bench.methods.backbones.fmlp.model.FMLP.causal", True)
    assert chance_of_guessing("fmlp", "none", "positions") < math.log(50) - 0.5


# Hidden items


def test_windows_cover_every_training_history_to_its_end():
    lengths = [1, 5, 9, 23]
    sequences = Sequences.from_lists([list(range(1, n + 1)) for n in lengths])
    source, generator = SequenceData(sequences), torch.Generator().manual_seed(0)
    rows = covering_windows(source, 9, generator)
    assert rows.length.max() <= 9
    assert not rows.targets.any()
    assert rows.weight.equal(rows.length)
    for user, n in enumerate(lengths):
        own = rows.user == user
        start = rows.start[own] - source.offsets[user]
        covered = {
            t for s, size in zip(start, rows.length[own], strict=True) for t in range(s, s + size)
        }
        assert covered == set(range(n))
        assert int((start + rows.length[own]).max()) == n
        assert int(own.sum()) == 1 or n > 9


def test_shares_of_hidden_items():
    method = Cloze(ClozeConfig(mask_share=0.3, last_share=0.25), data(), build("bert4rec"))
    torch.manual_seed(0)
    valid = torch.arange(10) < torch.tensor([10, 4, 1]).repeat_interleave(4000)[:, None]
    hidden = method.hide(valid)
    assert not (hidden & ~valid).any()
    assert hidden.any(1).all()
    only_last = hidden[:4000, 9] & ~hidden[:4000, :9].any(1)
    # By coin all but the last stay visible with probability 0.7^9.
    assert only_last.float().mean().item() == pytest.approx(0.25 + 0.75 * 0.7**9 * 0.37, abs=0.03)
    none_by_coin = 0.7**10
    expected = 0.75 * (0.3 + none_by_coin / 10) + 0.25 * 0.1
    assert hidden[:4000].float().mean().item() == pytest.approx(expected, abs=0.01)
    all_last = Cloze(ClozeConfig(last_share=1.0), data(), build("bert4rec")).hide(valid)
    assert all_last.sum(1).eq(1).all()
    assert all_last[:4000, 9].all()


def test_a_hidden_item_is_seen_by_its_loss_alone():
    method = Cloze(ClozeConfig(mask_share=0.4), data(), build("bert4rec"))
    torch.manual_seed(3)
    hidden = method.hide(ITEMS > 0)
    other = ITEMS.where(~hidden, ITEMS % 50 + 1)
    seen = []
    method.next_item_loss = lambda vectors, table, targets: (
        seen.append((vectors, targets)) or vectors.sum()
    )
    for items in (ITEMS, other):
        torch.manual_seed(3)
        method.losses(batch_of(items, items * 0))
    assert seen[0][0].equal(seen[1][0])
    assert seen[0][1].equal(ITEMS[hidden])
    assert seen[1][1].equal(other[hidden])
