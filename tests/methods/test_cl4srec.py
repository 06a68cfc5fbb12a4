"""CL4SRec's views against loops, its loss in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hsd_toys import SIZES
from hsd_toys import batch as some_batch
from small_models import build_backbone
from toys import training_data

from bench.components import METHODS
from bench.errors import ConfigError
from bench.methods.cl4srec.config import CL4SRecConfig
from bench.methods.cl4srec.model import CL4SRec
from bench.methods.cl4srec.views import crop, draw_views, mask, reorder
from bench.methods.none.config import NoneConfig
from bench.methods.none.model import BareBackbone
from bench.methods.parts.contrast import contrast

LENGTHS = torch.tensor([10, 7, 2, 1]).repeat_interleave(500)
VALID = torch.arange(10) < LENGTHS[:, None]


def shown(views):
    """Positions that each row's view shows, None where the mask stands."""
    return [
        [None if hide else place for place, hide in zip(source[real], hidden[real], strict=True)]
        for source, hidden, real in zip(
            views.source.numpy(), views.hidden.numpy(), views.valid.numpy(), strict=True
        )
    ]


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_a_cropped_view_is_a_run_of_items(share):
    torch.manual_seed(0)
    begins = []
    for places, n in zip(shown(crop(VALID, share)), LENGTHS.tolist(), strict=True):
        kept = max(1, int(np.floor(np.round(share * n, 6))))
        assert places == list(range(places[0], places[0] + kept))
        assert places[-1] < n
        begins += [places[0]] * (n == 10)
    counts = np.bincount(begins)
    room = 10 - round(10 * share) + 1
    assert len(counts) == room
    assert counts.min() > 500 / room / 2, "every place is as likely"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_masked_view_hides_a_share_of_the_items(share):
    torch.manual_seed(0)
    hidden_at = np.zeros(10)
    for places, n in zip(shown(mask(VALID, share)), LENGTHS.tolist(), strict=True):
        assert len(places) == n
        assert sum(place is None for place in places) == int(np.floor(np.round(share * n, 6)))
        assert all(place in {None, t} for t, place in enumerate(places))
        if n == 10:
            hidden_at += [place is None for place in places]
    np.testing.assert_allclose(hidden_at / 500, share, atol=0.08)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_a_reordered_view_shuffles_a_run_of_items(share):
    torch.manual_seed(0)
    moved = 0
    for places, n in zip(shown(reorder(VALID, share)), LENGTHS.tolist(), strict=True):
        assert sorted(places) == list(range(n))
        changed = [t for t, place in enumerate(places) if place != t]
        count = int(np.floor(np.round(share * n, 6)))
        assert not changed or changed[-1] - changed[0] < count
        moved += bool(changed)
    assert bool(moved) == (share > 0)


def test_each_view_of_a_row_draws_its_kind():
    torch.manual_seed(0)
    config = CL4SRecConfig(crop=0.5, mask=0.5, reorder=1.0)
    views = draw_views(VALID[:500], config)
    cropped = views.valid.sum(1) == 5
    masked = views.hidden.any(1)
    assert not (cropped & masked).any()
    for share in (cropped.float().mean(), masked.float().mean()):
        assert share.item() == pytest.approx(1 / 3, abs=0.07)
    only = draw_views(VALID[:500], CL4SRecConfig(views=("mask",), mask=0.5))
    assert only.hidden.sum(1).eq(5).all()
    with pytest.raises(ConfigError, match="views"):
        CL4SRecConfig.parse({"views": []}, "here")


def test_the_contrast_in_numpy():
    torch.manual_seed(0)
    users = torch.tensor([3, 1, 3, 2])
    states = torch.randn(8, 5)
    v, owner = states.double().numpy(), users.repeat(2).tolist()
    losses = []
    for i in range(8):
        pair = (i + 4) % 8
        own = np.exp(v[i] @ v[pair] / 0.7)
        others = sum(np.exp(v[i] @ v[j] / 0.7) for j in range(8) if owner[j] != owner[i])
        losses.append(-np.log(own / (own + others)))
    assert contrast(states, users, 0.7).item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert contrast(states[:2], users[:1], 1.0).item() == 0, "one row has nothing to tell apart"


def build(model, config):
    torch.manual_seed(0)
    inside = build_backbone("sasrec", SIZES, embedding_size=6, dropout=0.0)
    return model(config, training_data(SIZES, [[1, 2, 3]] * SIZES.n_users), inside)


def test_without_weight_it_is_the_bare_backbone():
    rows = some_batch([7, 2, 5])
    rows = replace(rows, targets=rows.items)
    bare, without = build(BareBackbone, NoneConfig()), build(CL4SRec, CL4SRecConfig(weight=0.0))
    for method in (bare, without):
        sum(method.losses(rows).values()).backward()
    assert without.losses(rows).keys() == {"next_item"}
    weights = zip(bare.backbone.parameters(), without.backbone.parameters(), strict=True)
    assert all(a.grad.equal(b.grad) for a, b in weights)
    with torch.no_grad():
        assert bare.user_vectors(rows).equal(without.user_vectors(rows))
    assert without.denoise(rows).keep.sum() == rows.valid.sum()


def test_views_read_no_target():
    method, rows = build(CL4SRec, CL4SRecConfig()), some_batch([7, 2, 5])
    found = []
    for targets in (rows.targets, rows.targets % SIZES.n_items + (rows.targets > 0)):
        torch.manual_seed(1)
        found.append(method.losses(replace(rows, targets=targets)))
    assert found[0]["contrast"].equal(found[1]["contrast"])
    assert not found[0]["next_item"].equal(found[1]["next_item"])


@pytest.mark.parametrize("similarity", ["inner", "cosine"])
def test_variants_train(similarity):
    for variant in METHODS.get("cl4srec").variants:
        config = METHODS.get(f"cl4srec:{variant.name}").parse(
            {"cl4srec": {"similarity": similarity}}, "here"
        )
        losses = build(CL4SRec, config).losses(some_batch([7, 2, 5]))
        assert losses["contrast"].isfinite()
