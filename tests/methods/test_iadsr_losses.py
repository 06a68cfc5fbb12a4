"""The parts of IADSR's loss, its options and its decisions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from iadsr_toys import (
    HISTORIES,
    PREFIXES,
    WITHOUT_TEXT,
    batch,
    cosine,
    losses,
    model,
    padded,
    text_vectors,
)

from bench.components import METHODS
from bench.errors import ConfigError
from bench.methods.iadsr.agreement import measure_agreement
from bench.methods.iadsr.gate import MEDIAN
from bench.methods.iadsr.reconstruction import reconstruction_loss
from bench.methods.parts.ragged import Ragged
from bench.model.method import TrainingData

BACKBONES = ["gru4rec", "sasrec", "caser"]


def scores_by_hand(method, given):
    """c1 + c2 + c3 at each real position with loops over users and positions."""
    x = method.backbone.embed(given.items)
    states = method.backbone.encode(x, given.valid, given.users).detach().numpy()
    semantic = method.semantic_interests
    vectors, places = semantic.text_vectors.vectors, semantic.text_vectors.row_index
    w_s, w_l = semantic.short.weight.detach(), semantic.long.weight.detach()
    found = []
    for row, items in enumerate(given.items.tolist()):
        length = sum(item > 0 for item in items)
        texts = [vectors[places[item]] for item in items[:length] if places[item] > 0]
        e1 = (w_l @ torch.stack(texts).mean(0)).numpy() if texts else np.zeros(len(w_l))
        e2 = states[row, :length].max(0)
        for t in range(length):
            up_to = [vectors[places[item]] for item in items[: t + 1] if places[item] > 0]
            l_t = (w_s @ torch.stack(up_to).mean(0)).numpy() if up_to else np.zeros(len(w_s))
            h = states[row, t]
            found.append(cosine(e1, h) + cosine(e2, l_t) + cosine(h, l_t))
    return np.array(found)


def test_noise_scores_are_the_negated_sums_of_cosines():
    method = model().eval()
    given = batch([0, 1, 3, 4], [5, 2, 4, 6])
    out = method.denoise(given)
    np.testing.assert_allclose(
        out.score[given.valid].detach(), -scores_by_hand(method, given), atol=1e-5
    )
    assert torch.equal(out.keep[given.valid], -out.score[given.valid] > MEDIAN)
    assert not out.keep[~given.valid].any()


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("pooled", [True, False])
def test_padding_changes_no_loss_score_or_mask(backbone, pooled):
    method = model(backbone=backbone, texts=text_vectors(pooled=pooled))
    longer = padded(PREFIXES)
    for epoch in (0, 1):
        method.begin_epoch(epoch)
        one, other = losses(method, PREFIXES), losses(method, longer)
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)
    one, other = method.eval().denoise(PREFIXES), method.denoise(longer)
    length = PREFIXES.items.shape[1]
    torch.testing.assert_close(one.score, other.score[:, :length], atol=1e-5, rtol=0)
    assert torch.equal(one.keep, other.keep[:, :length])
    assert not other.keep[:, length:].any()


def test_theta_above_one_denoises_nobody():
    method = model(theta=1.5)
    method.begin_epoch(1)
    parts = method.losses(PREFIXES)
    assert parts["recon"].item() == 0
    sum(parts.values()).backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    assert method.eval().denoise(PREFIXES).keep[PREFIXES.valid].all()
    assert method.diagnostics()["qualified_share"] == 0


@pytest.mark.parametrize("backbone", BACKBONES)
def test_gradient_reaches_everything_but_the_texts(backbone):
    method = model(backbone=backbone, theta=-1.0)
    sum(method.losses(PREFIXES).values()).backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert method.semantic_interests.text_vectors.vectors.grad is None


@pytest.mark.parametrize(
    "wanted", ["backbone.items.weight", "semantic_interests.short", "semantic_interests.long"]
)
def test_the_mask_passes_the_gradient_of_the_reconstruction(wanted):
    """With the states cut off from the decoder, only the gate is left to pass it."""
    method = model(detach_target=True)
    tokens = Ragged(PREFIXES.valid)
    states = method._states(method.backbone.embed(PREFIXES.items), PREFIXES, tokens)
    agreement = measure_agreement(
        states, method.semantic_interests(PREFIXES, tokens).units(), tokens, method.config
    )
    gate, _ = agreement.draw(1.0)
    target = tokens.take(method.backbone.embed(PREFIXES.items))
    method._recon(states.detach() * gate[:, None], target, agreement, tokens).backward()
    [gradient] = [p.grad for name, p in method.named_parameters() if name.startswith(wanted)]
    assert gradient.abs().sum() > 0


def test_the_target_of_the_reconstruction_can_be_detached():
    sums = []
    for detach in (False, True):
        method = model(detach_target=detach, info_weight=0, theta=-1.0)
        # Nothing passes the decoder: what is left is the gradient into the target.
        with torch.no_grad():
            method.decoder.weight.zero_()
        method.losses(PREFIXES)["recon"].backward()
        gradient = method.backbone.items.weight.grad
        sums.append(0.0 if gradient is None else float(gradient.abs().sum()))
    assert sums[0] > 0
    assert sums[1] == 0


def test_reconstruction_written_out():
    tokens = Ragged(torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]]).bool())
    rebuilt, target = torch.randn(2, 6, 4)
    errors = ((rebuilt - target) ** 2).mean(1)
    users = [errors[:3].mean(), errors[3:4].mean(), errors[4:].mean()]
    for chosen in ([0, 2], [1], []):
        qualified = torch.tensor([user in chosen for user in range(3)])
        expected = sum(float(users[user]) for user in chosen) / max(len(chosen), 1)
        found = reconstruction_loss(rebuilt, target, tokens, qualified)
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_weights_scale_their_parts_and_zero_leaves_them_out():
    plain = losses(model(), PREFIXES)
    heavy = losses(model(info_weight=2.0, recon_weight=0.5), PREFIXES)
    assert heavy == pytest.approx(
        {
            "next_item": plain["next_item"],
            "info": 2 * plain["info"],
            "recon": 0.5 * plain["recon"],
        },
        rel=1e-5,
    )
    parts = {
        name: set(losses(model(f"iadsr:{name}"), PREFIXES))
        for name in ("without-both", "without-info", "without-recon")
    }
    assert parts == {
        "without-both": {"next_item"},
        "without-info": {"next_item", "recon"},
        "without-recon": {"next_item", "info"},
    }


def test_the_long_and_the_short_alignment_add_up():
    whole, short, long = (
        losses(model(f"iadsr:{name}" if name else "iadsr"), PREFIXES)["info"]
        for name in ("", "short-only", "long-only")
    )
    assert whole == pytest.approx(short + long, rel=1e-5)


def test_the_target_may_be_the_masked_input():
    given = batch([0, 4], [6, 5])
    found = []
    for target in ("original", "input"):
        method = model(recon_target=target, theta=-1.0)
        first = losses(method, given)["recon"]
        method.begin_epoch(1)
        found.append((first, losses(method, given, seed=4)["recon"]))
    assert found[0][0] == found[1][0]
    assert found[0][1] != pytest.approx(found[1][1], rel=1e-3)


def test_the_input_can_be_masked_at_inference():
    plain, masked = model().eval(), model(denoise_at_inference=True).eval()
    keep = plain.denoise(PREFIXES).keep
    assert not keep[PREFIXES.valid].all()
    x = plain.backbone.embed(PREFIXES.items)
    for method, expected in ((plain, x), (masked, x * keep[..., None])):
        state = plain.backbone.encode_last(expected, PREFIXES.valid)
        torch.testing.assert_close(method.user_vectors(PREFIXES), plain.backbone.project(state))


@pytest.mark.parametrize("variant", ["iadsr", "iadsr:causal", "iadsr:leaky", "iadsr:published"])
@pytest.mark.parametrize("texts", [True, False])
def test_missing_texts_and_single_interactions_give_numbers(variant, texts):
    assert HISTORIES[2] == [WITHOUT_TEXT]
    method = model(variant, texts=text_vectors(texts=texts))
    for epoch in (0, 1):
        method.begin_epoch(epoch)
        parts = method.losses(PREFIXES)
        method.zero_grad()
        sum(parts.values()).backward()
        assert all(torch.isfinite(part) for part in parts.values())
        for name, parameter in method.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    out = method.eval().denoise(batch([2, 1, 5], [1, 1, 1]))
    assert torch.isfinite(out.score).all()
    if not texts:
        assert out.score.abs().sum() == 0
        assert parts["recon"].item() == parts["info"].item() == 0


def test_a_position_without_text_yet_scores_what_is_left():
    """Item 7 has no text: before any text only c1, the long-term term, can speak."""
    given = batch([3], [3], histories=[[], [], [], [WITHOUT_TEXT, 12, 13, 14]])
    both, short = (model(name).eval() for name in ("iadsr", "iadsr:short-only"))
    assert short.denoise(given).score[0, 0].item() == 0
    np.testing.assert_allclose(
        both.denoise(given).score[0].detach(), -scores_by_hand(both, given), atol=1e-5
    )


def test_diagnostics_count_the_epoch():
    method = model(info_rows=8, theta=-1.0)
    method.losses(PREFIXES)
    diagnostics = method.diagnostics()
    positions = int(PREFIXES.valid.sum())
    # User 5's prefix is the one item without text.
    assert diagnostics["qualified_share"] == pytest.approx(5 / 6)
    assert (diagnostics["info_rows"], diagnostics["info_share"]) == (8, 8 / positions)
    assert 0 < diagnostics["kept_share"] < 1
    method.begin_epoch(1)
    assert method.diagnostics()["qualified_share"] == 0


def test_an_encoder_is_needed():
    entry = METHODS.get("iadsr")
    method = model()
    data = TrainingData(method.backbone.sizes, None, method.next_item_loss, target_loss=None)
    with pytest.raises(ConfigError, match="--encoder"):
        entry.model_class()(entry.config_class()(), data, method.backbone)


def test_scores_do_not_depend_on_the_other_rows():
    method = model().eval()
    together = method.denoise(PREFIXES)
    for row in range(len(PREFIXES.users)):
        one = replace(
            PREFIXES, **{name: value[row : row + 1] for name, value in vars(PREFIXES).items()}
        )
        alone = method.denoise(one)
        torch.testing.assert_close(together.score[row], alone.score[0], atol=1e-5, rtol=1e-5)
        assert torch.equal(together.keep[row], alone.keep[0])
