"""Steps in static shapes, as a GPU takes them, against those of a CPU on real tokens alone."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from launches import counted
from test_conformance import SETTINGS
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from bench.components import METHODS
from bench.methods.iadsr import agreement, alignment
from bench.methods.parts.packing import Packing
from bench.methods.parts.ragged import Padded
from bench.methods.ssdrec.augment import AugmentationNoise
from bench.methods.ssdrec.model import SSDRec, SSDRecDraws
from bench.methods.steam.model import STEAM
from bench.model.shapes import places, static_shapes
from bench.testing import MethodTests, example
from bench.testing.methods import backbones_of

CASES = [
    (method, backbone)
    for method in METHODS.names()
    for backbone in backbones_of(method)
    if backbone in {None, "sasrec", "gru4rec", "caser"} or method in {"none", "hsd", "ssdrec"}
]
"""Every method on the backbones of the papers; bare backbones, HSD and SSDRec on all."""

VARIANTS = [
    *(("hsd:compat", b) for b in ("sasrec", "caser")),
    ("ssdrec:compat", "sasrec"),
    *((f"iadsr:{v}", "sasrec") for v in ("published", "causal", "leaky", "long-only")),
    *((f"steam:{v}", None) for v in ("compat", "protect-last", "blind-correction")),
    *((f"dcrec:{v}", None) for v in ("reference", "grace", "hidden-target")),
]
"""Readings whose steps take other branches."""
EVERY = CASES + VARIANTS
ON = {"hsd": "sasrec", "ssdrec": "gru4rec"}
CHEAP = [(m, b) for m, b in CASES if m == "none" or b in {None, ON.get(m, "caser")}]
"""Each method once; the others are compared by ``pytest -m slow``."""
LOOKING_AHEAD = {"bert4rec", "bsarec", "fmlp"}
"""They wait once, to see that no target is in sight of its own prediction."""
MOST = {"none": 160, "ssdrec": 760}
"""Operations of a step without the update, dropout and draws; 700 of other methods."""


def by_place(shape, *_):
    """Gumbel noise that depends on the place alone: frames of other widths agree."""
    with _disable_current_modes():  # not an operation of the step
        total = torch.zeros(())
        for axis, size in enumerate(shape):
            steps = torch.arange(size, dtype=torch.float64) * (1 + math.sqrt(2 + 3 * axis))
            total = total[..., None] + steps
        uniform = (total % 1).clamp(1e-6, 1 - 1e-6)
        return -(-uniform.log()).log().float()


@pytest.fixture
def drawn_by_place(monkeypatch):
    """Replace what depends on the number of real tokens by what does not."""
    for module in ("bench.methods.hsd.core", "bench.methods.ssdrec.augment"):
        monkeypatch.setattr(f"{module}.gumbel_noise", by_place)
    draw, rows, static = agreement.draw, alignment.sample_rows, alignment.sample_rows_static

    def in_order(units, identity, most):
        return rows(units, identity, most, torch.arange(int(units.detach().any(-1).sum())))

    def in_order_static(units, identity, most):
        return static(units, identity, most, torch.arange(len(units)) / len(units))

    monkeypatch.setattr(
        agreement, "draw", lambda s, tau, _=None: draw(s, tau, torch.full_like(s, 0.4))
    )
    monkeypatch.setattr(alignment, "sample_rows", in_order)
    monkeypatch.setattr(alignment, "sample_rows_static", in_order_static)


@pytest.fixture
def finite_at_padding(monkeypatch):
    """See that what a mask removes by a product is finite, and its gradient: 0 * inf is NaN."""

    def finite(tensor):
        with _disable_current_modes():
            assert tensor.isfinite().all()

    def checked(plain):
        def call(self, tokens):
            finite(tokens)
            found = plain(self, tokens)
            if found.requires_grad:
                found.register_hook(finite)
            return found

        return call

    monkeypatch.setattr(Padded, "put", checked(Padded.put))
    monkeypatch.setattr(Packing, "gather", checked(Packing.gather))


def subject(name, backbone):
    settings = {"name": name, "backbone": backbone, "settings": SETTINGS.get(name, {})}
    return type("Subject", (MethodTests,), settings)()


def without_dropout(method):
    """Switch every kind of dropout off."""
    for module in method.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for key, value in vars(module).items():
            if "dropout" in key and isinstance(value, float):
                setattr(module, key, 0.0)
    return method


def step(tests, draws=None):
    """Take the gradients of a second step, in the second epoch."""
    method = without_dropout(tests.make()).train()
    trainer = tests.trainer(method)
    method.begin_epoch(1)
    torch.manual_seed(0)
    batch = trainer.data.gather(trainer.samples(0))
    given = {}
    if isinstance(method, STEAM):
        draws = draws or method.draw(batch.items)
        given = {"draws": draws}
    if isinstance(method, SSDRec):
        candidates = example.N_ITEMS + 1 - method.augmenter.first_candidate
        items = by_place((2, len(batch.users), candidates))
        given = {"draws": SSDRecDraws(augmentation=AugmentationNoise(items=items))}
    # What is built once is not counted.
    sum(method.losses(batch, **given).values()).backward()
    method.zero_grad()
    torch.manual_seed(1)
    with counted() as launches:
        losses = method.losses(batch, **given)
        torch.stack(list(losses.values())).sum().backward()
    return method, losses, draws, launches


def answers(method, batch):
    with torch.no_grad():
        decided = method.denoise(batch)
        found = [method.user_vectors(batch) @ method.item_vectors().T]
    if decided is not None:
        found += [(decided.keep & batch.valid).float(), decided.score.where(batch.valid, 0)]
    return found


@pytest.mark.usefixtures("drawn_by_place", "finite_at_padding")
@pytest.mark.parametrize(
    ("name", "backbone"),
    [pair if pair in CHEAP else pytest.param(*pair, marks=pytest.mark.slow) for pair in EVERY],
)
def test_losses_and_gradients_are_those_of_real_tokens(name, backbone):
    launches = compared(subject(name, backbone))
    if (name, backbone) in CASES:
        assert launches.operations.total() <= MOST.get(name, 700), launches.operations


@pytest.mark.slow
@pytest.mark.usefixtures("drawn_by_place")
def test_texts_of_prefixes_are_read_alike():
    tests = subject("iadsr", "caser")
    tests.readings = ("text",)
    compared(tests)


def compared(tests):
    """Compare both steps and their answers; return what the static one asked for."""
    method, losses, draws, _ = step(tests)
    with static_shapes():
        other, found, _, launches = step(tests, draws)
    assert found.keys() == losses.keys()
    for key, value in losses.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)
    for (key, mine), theirs in zip(method.named_parameters(), other.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None), key
        if mine.grad is not None:
            scale = float(mine.grad.abs().max())
            torch.testing.assert_close(
                theirs.grad, mine.grad, rtol=1e-3, atol=1e-5 + 1e-4 * scale, msg=key
            )
    batch = tests.inputs()
    expected = answers(method.eval(), batch)
    with static_shapes():
        again = answers(other.eval(), batch)
    for mine, theirs in zip(expected, again, strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-3, atol=1e-4)
    assert launches.waits.total() <= 1, launches.waits
    return launches


@pytest.mark.parametrize(
    ("name", "backbone"),
    [pair for pair in CHEAP if pair[0] != "decisions" and pair[1] not in LOOKING_AHEAD],
)
def test_a_step_asks_for_no_value(name, backbone, monkeypatch):
    """Tensors without content have a shape alone, and none of them meets one of the CPU."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    tests, nowhere = subject(name, backbone), torch.device("meta")
    method = tests.make().train()
    trainer = tests.trainer(method)
    batch = trainer.data.gather(trainer.samples(0)).to(nowhere)
    method.begin_epoch(1)
    method = method.to(nowhere)
    torch.stack(list(method.losses(batch).values())).sum().backward()
    with torch.no_grad():
        assert method.eval().user_vectors(batch).shape[0] == len(batch.users)


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4))
def test_places_are_those_of_nonzero(rows):
    mask = torch.tensor(rows)
    expected = mask.flatten().nonzero().squeeze(1)
    assert torch.equal(places(mask, len(expected)), expected)
    found = places(mask, len(expected) + 2)
    assert torch.equal(found[:-2], expected)
    assert found[-2:].tolist() == [-1, -1]


def test_a_batch_knows_its_numbers_until_it_is_changed():
    tests = subject("none", "gru4rec")
    data = tests.trainer(tests.make()).data
    rows = tests.trainer(tests.make()).samples(0)
    plain = data.gather(rows)
    with static_shapes():
        sized = data.gather(rows)
    assert type(sized) is not type(plain)
    assert torch.equal(sized.predicted, plain.predicted)
    assert sized.size == plain.size == int((plain.items > 0).sum())
    changed = replace(sized, targets=sized.items)
    assert torch.equal(changed.predicted, (plain.items > 0).flatten().nonzero().squeeze(1))
