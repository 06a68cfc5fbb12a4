"""SSDRec whole: what reaches HSD, evaluation without chance, gradients, diagnostics."""

import math

import pytest
import torch
from ssdrec_toys import LENGTH, N_ITEMS, build, random_histories, some_batch

from bench.components import METHODS
from bench.data.sequences import Sequences
from bench.methods.hsd.core import HSDInputs
from bench.methods.parts.packing import keep_last
from bench.methods.ssdrec.model import AugmentationNoise, SSDRecDraws

STILL = {"dropout_sequence": 0.0, "dropout_item": 0.0, "graph_dropout": 0.0}
LENGTHS = [8, 3, 1, 5, 8, 2]


NO_CHANCE_GIVEN = SSDRecDraws()


def captured(method, batch, draws=NO_CHANCE_GIVEN):
    """Run a training step; give what HSD was handed and the losses."""
    seen = []
    plain = method.core.losses

    def losses(backbone, loss, inputs, targets, draws=None):
        seen.append(inputs)
        return plain(backbone, loss, inputs, targets, draws)

    method.core.losses = losses
    try:
        return method.losses(batch, draws), seen[0]
    finally:
        del method.core.losses


def test_hsd_reads_raw_embeddings_and_graph_encoded_ones():
    method, batch = build(**STILL), some_batch(LENGTHS)
    _, inputs = captured(method, batch)
    items, users = method._tables()
    encoded = method.encoder.encode_items(items, users)
    own = method.encoder.encode_users(batch.users, items, users)
    table = method.backbone.items.weight
    for row, n in enumerate(LENGTHS):
        real = inputs.original[row].nonzero().squeeze(1)
        ids = [int((table == vector).all(1).nonzero()) for vector in inputs.embedded[row, real]]
        assert set(ids) <= set(batch.items[row].tolist())
        expected = encoded[ids] + own[row] / n
        torch.testing.assert_close(inputs.read[row, real], expected)
        added = (inputs.valid & ~inputs.original)[row].nonzero().squeeze(1)
        ids = [int((table == vector).all(1).nonzero()) for vector in inputs.embedded[row, added]]
        # Inserted vectors carry no user.
        torch.testing.assert_close(inputs.read[row, added], encoded[ids])


def test_the_mask_is_that_of_the_changed_sequence():
    method, batch = build(), some_batch(LENGTHS)
    for _ in range(5):
        _, inputs = captured(method, batch)
        ids = inputs.embedded.abs().sum(-1) > 0
        assert inputs.valid.equal(ids)
        for row, n in enumerate(LENGTHS):
            kept = int(inputs.original[row].sum())
            assert n - 1 <= kept <= n
            newest_item = method.backbone.items.weight[batch.items[row, n - 1]]
            present = (inputs.embedded[row] == newest_item).all(-1).any()
            assert present or kept == n - 1


def test_sequences_of_full_length_are_augmented_too():
    method, batch = build(), some_batch([LENGTH] * 4)
    method.losses(batch)
    assert int(method.statistics.augmented) == 4
    assert method.core.max_positions == LENGTH + 2


@pytest.mark.parametrize("backbone", ["gru4rec", "sasrec", "caser"])
def test_the_backbone_never_reads_more_than_it_can(backbone):
    method, batch = build(backbone=backbone), some_batch([LENGTH] * 6)
    read = []
    plain = method.backbone.encode_last
    method.backbone.encode_last = lambda x, valid, users: (
        read.append(int(valid.sum(1).max())) or plain(x, valid, users)
    )
    for _ in range(5):
        method.losses(batch)
    assert max(read) <= LENGTH


def test_the_newest_survivors_are_the_ones_that_stay():
    keep = torch.tensor([[1, 1, 0, 1, 1], [0, 1, 0, 0, 0]]).bool()
    assert keep_last(keep, 2).long().tolist() == [[0, 0, 0, 1, 1], [0, 1, 0, 0, 0]]
    assert keep_last(keep, 9).equal(keep)


def test_evaluation_inserts_nothing_and_repeats_itself():
    method, batch = build(), some_batch(LENGTHS)
    method.eval()
    with torch.inference_mode():
        inputs = method._evaluated(batch)
        assert inputs.original.equal(batch.valid)
        assert inputs.embedded.equal(method.backbone.embed(batch.items))
        first, again = method.user_vectors(batch), method.user_vectors(batch)
        decided = method.denoise(batch)
    assert first.equal(again)
    assert decided.keep.shape == decided.score.shape == batch.items.shape
    assert int(method.statistics.rows) == 0


def test_relations_are_encoded_once_an_evaluation():
    method, calls = build(), []
    plain = method.encoder.encode_items
    method.encoder.encode_items = lambda *args: calls.append(1) or plain(*args)
    for _ in range(2):
        method.train()
        method.eval()
        with torch.inference_mode():
            method.item_vectors()
            for seed in range(3):
                method.user_vectors(some_batch(LENGTHS, seed))
                method.denoise(some_batch(LENGTHS, seed))
    assert len(calls) == 2


def test_new_weights_are_seen_after_training():
    method, batch = build(), some_batch(LENGTHS)
    method.eval()
    with torch.no_grad():
        before = method.denoise(batch).score
        method.train()
        for weight in method.encoder.item_fusion.parameters():
            weight.mul_(-3)
        method.eval()
        assert not method.denoise(batch).score.equal(before)


def test_loaded_weights_are_seen_at_once():
    method, batch = build(), some_batch(LENGTHS)
    state = {name: value.clone() for name, value in method.state_dict().items()}
    state["encoder.item_fusion.outer.weight"] *= -3
    method.eval()
    with torch.no_grad():
        before = method.denoise(batch).score
        method.load_state_dict(state)
        assert not method.denoise(batch).score.equal(before)


@pytest.mark.parametrize("backbone", ["gru4rec", "sasrec", "caser"])
def test_open_gates_without_insertion_are_the_plain_backbone(backbone):
    method, batch = build(backbone=backbone, insertion=False), some_batch(LENGTHS)
    method.eval()
    with torch.no_grad():
        # A clean score that always wins.
        method.core.gates.item.output.weight.zero_()
        plain = method.backbone.project(
            method.backbone.encode_last(
                method.backbone.embed(batch.items), batch.valid, batch.users
            )
        )
        torch.testing.assert_close(method.user_vectors(batch), plain, atol=1e-6, rtol=1e-6)
        assert method.denoise(batch).keep.equal(batch.valid)


def test_without_insertion_training_sees_the_original_too():
    method, batch = build(insertion=False), some_batch(LENGTHS)
    _, inputs = captured(method, batch)
    assert inputs.valid.equal(batch.valid)
    assert inputs.original.equal(batch.valid)
    assert "insertion_rate" not in method.diagnostics()


def test_gradients_of_the_next_item_reach_relations_and_are_finite():
    method = build(**STILL)
    batch = some_batch([1 + row % LENGTH for row in range(512)])
    method.losses(batch)["next_item"].backward()
    gradients = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    for name, gradient in gradients.items():
        assert gradient.isfinite().all(), name
    for name in (
        "encoder.item_fusion.inner.weight",
        "encoder.item_fusion.outer.weight",
        "encoder.item_scalars.weight",
        "encoder.item_scalars.bias",
        "encoder.user_fusion.outer.weight",
        "augmenter.start",
        "augmenter.lstm.lstm.weight_ih_l0",
    ):
        assert gradients[name].any(), name


def test_every_parameter_is_finite_at_the_start():
    for name in ("ssdrec", "ssdrec:compat"):
        assert all(p.isfinite().all() for p in build(name).parameters())


def test_given_draws_make_a_step_exact():
    method, batch = build(dropout_sequence=0.0, dropout_item=0.0), some_batch(LENGTHS)
    method.backbone.eval()
    generator = torch.Generator().manual_seed(0)
    uniform = [torch.rand(2, n, 8, generator=generator) for n in (N_ITEMS + 1, len(LENGTHS))]
    frame = torch.Size((len(LENGTHS), LENGTH + 2))
    quiet = AugmentationNoise(
        position=torch.rand(len(LENGTHS), LENGTH, generator=generator),
        items=torch.rand(2, len(LENGTHS), N_ITEMS, generator=generator),
        # The same slot of every row, behind the insertion: nothing is taken out.
        second=torch.zeros(frame).index_fill_(1, torch.tensor([0]), 100.0),
    )
    draws = method.core.draw(frame, batch.targets.sum(1), N_ITEMS)
    _, inputs = captured(method, batch, SSDRecDraws(*uniform, quiet))
    width = inputs.valid.shape[1]
    draws = type(draws)(draws.gates[:, :, :width], draws.negatives)
    steps = [method.losses(batch, SSDRecDraws(*uniform, quiet, draws)) for _ in range(2)]
    assert all(steps[0][part].equal(steps[1][part]) for part in steps[0])


def test_diagnostics_report_edges_insertions_and_gradients():
    method, batch = build(), some_batch(LENGTHS * 10)
    assert "insertion_rate" not in method.diagnostics()
    for _ in range(3):
        torch.stack(list(method.losses(batch).values())).sum().backward()
        method.zero_grad()
    diagnostics = method.diagnostics()
    graphs = ("interaction", "incoming", "outgoing", "incompatible", "similar", "dissimilar")
    assert all(diagnostics[f"edges_{name}"] > 0 for name in graphs)
    assert diagnostics["insertion_rate"] == 1
    assert 0 < diagnostics["refinement_rate"] < 1
    assert 0 < diagnostics["inserted_undone"] < diagnostics["refinement_rate"]
    assert 0 < diagnostics["inserted_dropped"] < 0.6
    assert math.isclose(diagnostics["inserted_popularity"], 1, abs_tol=0.6)
    assert all(diagnostics[f"gradient_{name}"] > 0 for name in ("augmentation", "item_fusion"))
    method.begin_epoch(1)
    assert "insertion_rate" not in method.diagnostics()
    assert "gradient_item_gate" not in method.diagnostics()


def test_gradient_norms_are_means_over_steps():
    method = build()
    norms = []
    for seed in range(3):
        method.zero_grad()
        torch.stack(list(method.losses(some_batch(LENGTHS, seed)).values())).sum().backward()
        norms.append(float(method.core.gates.item.output.weight.grad.norm()))
    assert method.diagnostics()["gradient_item_gate"] == pytest.approx(sum(norms) / 3, rel=1e-5)


def test_only_real_interactions_count_in_the_interest_loss():
    method = build(**STILL, curriculum_rate=0.0, truncation=0.0)
    _, inputs = captured(method, some_batch(LENGTHS))
    negative = method.backbone.items.weight[3].expand(len(LENGTHS), -1)
    without = method.core._interest(inputs, negative)
    # Whatever stands where something was inserted.
    garbled = inputs.embedded.masked_fill((inputs.valid & ~inputs.original)[..., None], 1e3)
    changed = HSDInputs(inputs.users, inputs.valid, garbled, inputs.read, inputs.original)
    assert method.core._interest(changed, negative).equal(without)


def inserting_at_the_second_item(second):
    """Draws of two rows: item 5 on both sides of the second item, refinement at some slots."""
    noise = AugmentationNoise(
        position=torch.zeros(2, LENGTH).index_fill_(1, torch.tensor([1]), 100.0),
        items=torch.zeros(2, 2, N_ITEMS + 1).index_fill_(2, torch.tensor([5]), 100.0),
        second=torch.zeros(2, LENGTH).scatter_(1, torch.tensor(second)[:, None], 100.0),
    )
    return SSDRecDraws(augmentation=noise)


def test_compat_hides_the_newest_items_behind_a_stale_mask():
    method = build("ssdrec:compat", backbone="sasrec", **STILL)
    batch = some_batch([4, 4])
    _, inputs = captured(method, batch, inserting_at_the_second_item([7, 7]))
    assert inputs.valid.sum(1).tolist() == [4, 4]
    assert inputs.original is None
    table = method.backbone.items.weight
    for row in range(2):
        assert inputs.embedded[row, 0].equal(table[batch.items[row, 0]])
        assert inputs.embedded[row, 2].equal(table[batch.items[row, 1]])
        # The two newest items stand behind the mask, where the trained padding hides them.
        assert not inputs.valid[row, 4:].any()


def test_compat_divides_by_the_length_after_refinement():
    """Rows of 4 with two insertions, one of which the second row loses again: 6 and 5."""
    method = build("ssdrec:compat", **STILL)
    batch = some_batch([4, 4])
    seen = []
    method.core.gates.register_forward_hook(lambda _, given, out: seen.append((given, out)))
    _, inputs = captured(method, batch, inserting_at_the_second_item([7, 3]))
    assert inputs.lengths.tolist() == [6, 5]
    ((_, valid, *_), output) = seen[0]
    assert valid.sum(1).tolist() == [4, 4], "the mask is the one from before"
    sums = reconstruction_sums(method, inputs)
    torch.testing.assert_close(output.reconstruction, sums / torch.tensor([6, 5]))


def reconstruction_sums(method, inputs):
    """Squared errors of HSD's auto-encoder over the masked frame, by torch's layer."""
    lstm, mask = method.core.gates.sequence.lstm.lstm, inputs.valid[..., None]
    clean = inputs.embedded * mask
    encoded = sum(lstm(clean)[0].chunk(2, -1)) * mask
    decoded = sum(lstm(encoded)[0].chunk(2, -1)) * mask
    return (decoded - clean).square().sum((1, 2))


def test_the_temperature_falls_before_the_fortieth_batch_is_augmented():
    method, seen = build("ssdrec:compat"), []
    draw = method.augmenter._draw
    method.augmenter._draw = lambda context, tau, noise: (
        seen.append(float(tau)) or draw(context, tau, noise)
    )
    schedules = method.core.schedules
    schedules.load_state_dict(schedules.state_dict() | {"batches": torch.tensor(39)})
    method.losses(some_batch(LENGTHS))
    assert seen == pytest.approx([0.5 * math.exp(-0.04)])


@pytest.mark.parametrize("variant", [v.name for v in METHODS.get("ssdrec").variants])
def test_variants_train_and_decide(variant):
    method, batch = build(f"ssdrec:{variant}", backbone="sasrec"), some_batch(LENGTHS)
    losses = torch.stack(list(method.losses(batch).values()))
    losses.sum().backward()
    assert losses.isfinite().all()
    method.eval()
    with torch.inference_mode():
        decided = method.denoise(batch)
        assert method.user_vectors(batch).isfinite().all()
    assert decided.keep.shape == batch.items.shape


def test_the_first_user_and_item_are_like_any_other():
    train = random_histories()
    rows = [row.tolist() for row in train]
    order = list(range(len(rows)))[::-1]
    turned = Sequences.from_lists([rows[user] for user in order])
    first, second = build(train=train), build(train=turned)
    for name, graph in (("similar", "similar"), ("dissimilar", "dissimilar")):
        a = getattr(first.encoder, name)(torch.eye(len(rows)))
        b = getattr(second.encoder, graph)(torch.eye(len(rows)))
        torch.testing.assert_close(a, b[order][:, order])
