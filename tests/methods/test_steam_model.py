"""STEAM as a method: padding, batches, ranking, decisions, diagnostics, variants."""

import math

import numpy as np
import pytest
import torch
from small_models import build_method
from steam_toys import END, MASK, MAX_LENGTH, N_ITEMS, batch_of, data_of, model_of, rows_of
from torch.nn import functional

from bench.components import METHODS
from bench.errors import ConfigError
from bench.methods.parts.ragged import Ragged
from bench.methods.steam import generator
from bench.methods.steam.config import STEAMConfig
from bench.model.batch import Batch

ROWS = [*rows_of(users=20), [7], list(range(1, MAX_LENGTH + 1))]


def with_items(batch, items):
    return Batch(batch.users, items, torch.zeros_like(items), batch.flat_index, batch.first)


@pytest.mark.parametrize("edits", ["all", "none"])
@torch.no_grad()
def test_rows_do_not_depend_on_padding_order_or_neighbours(edits):
    model = model_of(edits=edits, heads=2)
    batch = batch_of(ROWS)
    vectors, decided = model.user_vectors(batch), model.denoise(batch)
    wide = with_items(batch, functional.pad(batch.items, (0, 4)))
    torch.testing.assert_close(model.user_vectors(wide), vectors, rtol=1e-4, atol=1e-5)
    assert torch.equal(model.denoise(wide).keep[:, :MAX_LENGTH], decided.keep)
    made = model.correct(batch.items)
    for row in range(len(ROWS)):
        count = int((batch.items[row] > 0).sum())
        alone = with_items(batch, batch.items[row : row + 1, :count])
        own = model.correct(alone.items)
        size = int(own.lengths[0])
        assert torch.equal(made.items[row, :size], own.items[0])
        assert int(made.lengths[row]) == size
        torch.testing.assert_close(model.user_vectors(alone)[0], vectors[row], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            model.denoise(alone).score[0], decided.score[row, :count], rtol=1e-4, atol=1e-5
        )
    order = torch.randperm(len(ROWS))
    torch.testing.assert_close(
        model.user_vectors(with_items(batch, batch.items[order])),
        vectors[order],
        rtol=1e-4,
        atol=1e-5,
    )


@torch.no_grad()
def test_a_user_is_ranked_with_by_the_mask_after_the_corrected_history():
    model = model_of()
    batch = batch_of(ROWS)
    vectors = model.user_vectors(batch)
    made = model.correct(batch.items)
    for row in range(len(ROWS)):
        history = made.items[row, : int(made.lengths[row])].tolist()
        assert len(history) <= model.length - 1
        asked = torch.tensor([[*history, MASK]])
        ragged = Ragged(asked > 0)
        states = model.recommender(model.encoder(asked, ragged), ragged)
        torch.testing.assert_close(vectors[row], states[-1], rtol=1e-4, atol=1e-5)


@pytest.fixture
def inserting(monkeypatch):
    """A model that inserts before every item, and always writes the same token."""

    def made(token):
        model = model_of()
        model.corrector.head.weight.data.zero_()
        model.corrector.head.bias.data.copy_(torch.tensor([0.0, 0.0, 9.0]))
        monkeypatch.setattr(
            generator, "argmax_class", lambda vectors, *_: torch.full((len(vectors),), token)
        )
        return model

    return made


@torch.no_grad()
def test_an_end_that_comes_first_inserts_nothing(inserting):
    batch = batch_of(ROWS)
    made = inserting(END).correct(batch.items)
    assert torch.equal(made.items, batch.items)
    assert not made.inserted.any()


@torch.no_grad()
def test_the_last_items_fill_all_slots_but_the_masks(inserting):
    model, batch = inserting(3), batch_of(ROWS)
    made = model.correct(batch.items)
    asked = []
    plain = model.encoder.forward
    model.encoder.forward = lambda items, ragged: asked.append(items) or plain(items, ragged)
    model.user_vectors(batch)
    full = 0
    for row, corrected in enumerate(made.items):
        items = [item for item in batch.items[row].tolist() if item]
        grown = [item for own in items for item in ([3] * model.config.max_inserted + [own])]
        expected = grown[-(model.length - 1) :]
        full += len(grown) > len(expected)
        assert corrected.tolist() == expected + [0] * (made.items.shape[1] - len(expected))
        own = (made.anchor[row] >= 0) & ~made.inserted[row]
        assert (made.anchor[row][own].diff() > 0).all()
        read = asked[-1][row].tolist()
        assert read[: len(expected) + 1] == [*expected, MASK]
        assert not any(read[len(expected) + 1 :])
    assert full > len(ROWS) / 2


@torch.no_grad()
def test_an_empty_history_is_ranked_with_by_the_mask_alone():
    model, batch = model_of(), batch_of(ROWS)
    items = batch.items.clone()
    items[2] = 0
    vectors = model.user_vectors(with_items(batch, items))
    asked = torch.tensor([[MASK]])
    ragged = Ragged(asked > 0)
    expected = model.recommender(model.encoder(asked, ragged), ragged)
    torch.testing.assert_close(vectors[2], expected[0], rtol=1e-4, atol=1e-5)
    others = [row for row in range(len(ROWS)) if row != 2]
    torch.testing.assert_close(
        vectors[others], model.user_vectors(batch)[others], rtol=1e-4, atol=1e-5
    )
    assert model.denoise(with_items(batch, items)).score[2].isnan().all()


@torch.no_grad()
def test_a_history_that_loses_everything_is_ranked_with_by_the_mask_alone():
    model = model_of()
    model.corrector.head.weight.zero_()
    model.corrector.head.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    batch = batch_of(ROWS)
    assert model.correct(batch.items).lengths.tolist() == [0] * len(ROWS)
    vectors = model.user_vectors(batch)
    asked = torch.tensor([[MASK]])
    ragged = Ragged(asked > 0)
    expected = model.recommender(model.encoder(asked, ragged), ragged)
    torch.testing.assert_close(vectors, expected.expand(len(ROWS), -1), rtol=1e-4, atol=1e-5)
    assert model.diagnostics()["emptied histories"] == 30


@torch.no_grad()
def test_special_numbers_are_never_ranked_and_targets_never_read():
    for classes in ("items", "all"):
        model = model_of(classes=classes)
        assert torch.equal(model.item_vectors(), model.encoder.items.weight[1:END])
        assert len(model.item_vectors()) == N_ITEMS
        batch = batch_of(ROWS)
        other = Batch(batch.users, batch.items, batch.items, batch.flat_index, batch.first)
        assert torch.equal(model.user_vectors(batch), model.user_vectors(other))
        assert torch.equal(model.user_vectors(batch), model.user_vectors(batch))


@torch.no_grad()
def test_scores_are_the_log_odds_of_deletion():
    model = model_of()
    batch = batch_of(ROWS)
    decided = model.denoise(batch)
    dropped = 0
    for row, items in enumerate(ROWS):
        one = torch.tensor([items[-MAX_LENGTH:]])
        logits = model.corrector.head(model.encoder(one, Ragged(one > 0)))
        for slot, (keep, delete, insert) in enumerate(logits.double().tolist()):
            score = delete - math.log(math.exp(keep) + math.exp(insert))
            assert math.isclose(float(decided.score[row, slot]), score, abs_tol=1e-4)
            assert bool(decided.keep[row, slot]) == (delete <= max(keep, insert))
            if not decided.keep[row, slot]:
                dropped += 1
                assert score > -math.log(2) - 1e-6
        assert torch.isnan(decided.score[row, one.shape[1] :]).all()
    assert 0 < dropped < batch.valid.sum()


@torch.no_grad()
def test_the_last_item_may_be_protected():
    batch = batch_of(ROWS)
    ends = (batch.valid.sum(1) - 1)[:, None]
    free, guarded = model_of(), model_of(protect_last=True)
    assert not free.denoise(batch).keep.gather(1, ends).all()
    decided = guarded.denoise(batch)
    assert decided.keep.gather(1, ends).all()
    assert torch.isfinite(decided.score[batch.valid]).all()
    made = guarded.correct(batch.items)
    last = made.items.gather(1, (made.lengths - 1)[:, None])
    assert torch.equal(last, batch.items.gather(1, ends))
    inner = batch.valid.clone().scatter_(1, ends, value=False)
    assert torch.equal(decided.keep[inner], free.denoise(batch).keep[inner])


@torch.no_grad()
def test_diagnostics_count_edits_on_whole_training_windows():
    rows = rows_of(seed=5, users=40, longest=20)
    model = model_of(rows)
    diagnostics = model.diagnostics()
    windows = [row[-MAX_LENGTH:] for row in rows]
    deleted = inserted = again = 0
    distinct, by_length = set(), {}
    for row in windows:
        made = model.corrector.correct(model.encoder, torch.tensor([row]), 999)
        new = [
            i
            for i, flag in zip(made.items[0].tolist(), made.inserted[0].tolist(), strict=True)
            if flag
        ]
        gone = len(row) - (int(made.lengths[0]) - len(new))
        deleted, inserted = deleted + gone, inserted + len(new)
        again += sum(item in row for item in new)
        distinct |= set(new)
        name = "1-5" if len(row) <= 5 else "6-15"
        sums = by_length.setdefault(name, [0, 0, 0])
        by_length[name] = [a + b for a, b in zip(sums, (len(row), gone, len(new)), strict=True)]
    assert diagnostics["items"] == sum(map(len, windows))
    assert (diagnostics["deleted"], diagnostics["inserted"]) == (deleted, inserted)
    assert (diagnostics["inserted distinct"], diagnostics["inserted again"]) == (
        len(distinct),
        again,
    )
    for name, (size, gone, new) in by_length.items():
        assert diagnostics[f"deleted share, length {name}"] == gone / size
        assert diagnostics[f"inserted share, length {name}"] == new / size
    assert "deleted share, length 16-30" not in diagnostics


def test_a_saved_model_is_the_same_model():
    model, twin = model_of(seed=1), model_of(seed=2)
    batch = batch_of(ROWS)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(model.user_vectors(batch), twin.user_vectors(batch))
    assert not [name for name in model.state_dict() if "noise" in name]


def test_popular_noise_follows_training_counts():
    rows = [[1, 2, 3], [1, 2], [1]]
    model = model_of(rows, noise_items="popularity")
    shares = np.diff(model.noise.cumulative.numpy(), prepend=0)
    assert shares[:4].tolist() == [3, 2, 1, 0]
    assert model_of(rows).noise.cumulative[:2].tolist() == [1, 2]


def test_weights_start_as_in_the_official_code():
    model = model_of(sharp=False, embedding_size=64)
    table = model.encoder.items.weight
    assert table[0].abs().sum() == 0
    expected = math.sqrt(2 / (N_ITEMS + 3 + 64))
    assert abs(table[1:].std().item() / expected - 1) < 0.1
    assert model.corrector.head.bias.abs().sum().item() == 0
    assert model.encoder.positions.weight.shape[0] == MAX_LENGTH + 10


@pytest.mark.parametrize("variant", [variant.name for variant in METHODS.get("steam").variants])
def test_each_variant_trains_and_ranks(variant):
    torch.manual_seed(0)
    model = build_method(f"steam:{variant}", data_of(ROWS))
    assert model.config != STEAMConfig()
    sum(model.losses(batch_of(ROWS)).values()).backward()
    model.eval()
    with torch.inference_mode():
        vectors = model.user_vectors(batch_of(ROWS))
    assert torch.isfinite(vectors).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3}, "heads must divide"),
        ({"drop_rate": 0.6, "noise_rate": 0.4}, "must be below 1"),
        ({"max_inserted": 0}, "max_inserted"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        STEAMConfig.parse(settings, "here")
