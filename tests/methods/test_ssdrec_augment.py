"""Where SSDRec inserts, what it inserts and what it takes out again, against row-by-row loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.parts.gumbel import gumbel_noise, hard_gumbel_softmax
from bench.methods.ssdrec.augment import AugmentationNoise, Augmenter
from bench.methods.ssdrec.insertion import (
    Insertion,
    SequenceBatch,
    insert,
    is_removable,
    remove,
    without_insertions,
)
from bench.methods.ssdrec.item_sampling import SLICE_ROWS, sample_items
from bench.methods.ssdrec.official import OfficialAugmenter

WIDTH, N_ITEMS = 6, 11
TAU = torch.tensor(0.5)


def sequences(lengths, seed=0, frame=None):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor(lengths)
    width = int(lengths.max()) if frame is None else frame
    valid = torch.arange(width) < lengths[:, None]
    items = torch.randint(1, N_ITEMS + 1, valid.shape, generator=generator) * valid
    x = torch.randn(*valid.shape, WIDTH, generator=generator, requires_grad=True)
    return without_insertions(items, x)


def table(seed=0):
    return torch.randn(N_ITEMS + 1, WIDTH, generator=torch.Generator().manual_seed(seed))


def augmenter(kind=Augmenter, **changes):
    torch.manual_seed(4)
    return kind(WIDTH, **changes)


def noise_that_draws(position, frame, least=-100.0):
    """Gumbel noise under which one slot of each row wins."""
    noise = torch.full((len(position), frame), least)
    return noise.scatter(1, torch.tensor(position)[:, None], 100.0)


# Drawing items


@pytest.mark.parametrize("rows", [1, 5, SLICE_ROWS + 3])
def test_items_and_gradients_equal_those_of_dense_samples(rows):
    generator = torch.Generator().manual_seed(rows)
    queries = torch.randn(rows, WIDTH, generator=generator, requires_grad=True)
    items = table().requires_grad_()
    noise = gumbel_noise((rows, len(items)), queries, generator)
    upstream = torch.randn(rows, WIDTH, generator=generator)
    chosen, vectors = sample_items(queries, items, TAU, noise)
    hot = hard_gumbel_softmax(queries @ items.T, TAU, noise)
    assert chosen.equal(hot.argmax(1))
    torch.testing.assert_close(vectors, hot @ items)
    found = torch.autograd.grad(vectors, (queries, items), upstream)
    expected = torch.autograd.grad(hot @ items, (queries, items), upstream)
    torch.testing.assert_close(found, expected)


def test_items_are_drawn_by_the_softmax():
    torch.manual_seed(0)
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    queries = torch.ones(40_000, 1)
    chosen, _ = sample_items(queries, logits[:, None], TAU)
    share = torch.bincount(chosen, minlength=4) / len(chosen)
    torch.testing.assert_close(share, torch.softmax(logits, 0), atol=0.01, rtol=0)


# Inconsistency


def rho_by_hand(model, x, fuse):
    """Equation 3 for one row without padding, with torch's own LSTM and a matrix of pairs."""
    framed = torch.stack([model.start, *x, model.end])[None]
    forward, backward = model.lstm.lstm(framed)[0][0].chunk(2, -1)
    n = len(x)
    fits, agrees = torch.zeros(n), torch.zeros(n)
    clipped = x.clamp(-1, 1)
    for t in range(n):
        before, after = forward[t], backward[t + 2]
        fits[t] = (x[t] * (before * after if fuse == "mul" else before + after)).sum()
        agrees[t] = sum(clipped[r] @ clipped[t] for r in range(n) if r != t)
    return 1 - torch.softmax(fits, 0) * torch.softmax(agrees, 0), forward[:n], backward[2:]


@pytest.mark.parametrize("fuse", ["mul", "add"])
def test_inconsistency_equals_the_formula_row_by_row(fuse):
    model, lengths = augmenter(context_fuse=fuse), [5, 1, 3]
    sequence = sequences(lengths)
    context = model.read(sequence.x, sequence.valid)
    for row, n in enumerate(lengths):
        rho, before, after = rho_by_hand(model, sequence.x[row, :n], fuse)
        torch.testing.assert_close(context.rho[row, :n], rho)
        torch.testing.assert_close(context.before[row, :n], before)
        torch.testing.assert_close(context.after[row, :n], after)
        assert (context.rho[row, n:] == 1).all()
    assert ((context.rho >= 0) & (context.rho <= 1)).all()


def test_what_stands_at_padding_changes_nothing():
    model, sequence = augmenter(), sequences([4, 2, 1])
    dirty = sequence.x.masked_fill(~sequence.valid[..., None], float("nan"))
    wide = torch.cat([dirty, torch.full((3, 3, WIDTH), 1e9)], 1)
    items = torch.cat([sequence.items, torch.zeros(3, 3, dtype=torch.long)], 1)
    clean = model.read(sequence.x, sequence.valid).rho
    torch.testing.assert_close(model.read(wide, items > 0).rho[:, :4], clean)


def test_parameters_start_as_in_the_official_code():
    model = augmenter()
    assert not [name for name, _ in model.named_parameters() if "bias" in name]
    weights = dict(model.lstm.lstm.named_parameters())
    bound = (6 / (5 * WIDTH)) ** 0.5
    assert bound / 2 < weights["weight_ih_l0"].abs().max() <= bound


# Insertion


def loop_insertion(items, x, insertion):
    rows = []
    for b in range(len(items)):
        ids = [i for i in items[b].tolist() if i]
        vectors, slots = list(x[b, : len(ids)]), list(range(1, len(ids) + 1))
        if insertion.rows[b]:
            p = int(insertion.position[b])
            left, right = insertion.items[:, b].tolist()
            ids[p : p + 1] = [left, ids[p], right]
            around = [insertion.vectors[0, b], vectors[p], insertion.vectors[1, b]]
            vectors[p : p + 1] = [v * insertion.gate[b] for v in around]
            slots[p : p + 1] = [0, p + 1, 0]
        rows.append((ids, vectors, slots))
    return rows


@settings(max_examples=30)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_insertion_equals_lists_and_hands_gradients_back(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    sequence = sequences(lengths, seed)
    b = len(lengths)
    insertion = Insertion(
        rows=torch.rand(b, generator=generator) < 0.7,
        position=(torch.rand(b, generator=generator) * torch.tensor(lengths)).long(),
        items=torch.randint(1, N_ITEMS + 1, (2, b), generator=generator),
        vectors=torch.randn(2, b, WIDTH, generator=generator, requires_grad=True),
        gate=torch.rand(b, generator=generator, requires_grad=True),
    )
    found = insert(sequence, insertion)
    total, expected = 0, 0
    for row, (ids, vectors, slots) in enumerate(
        loop_insertion(sequence.items, sequence.x, insertion)
    ):
        n = len(ids)
        assert found.items[row].tolist() == ids + [0] * (found.items.shape[1] - n)
        assert found.source[row].tolist() == slots + [0] * (found.items.shape[1] - n)
        torch.testing.assert_close(found.x[row, :n], torch.stack(vectors))
        weights = torch.arange(n * WIDTH).view(n, WIDTH).cos()
        total = total + (found.x[row, :n] * weights).sum()
        expected = expected + (torch.stack(vectors) * weights).sum()
    inputs = (sequence.x, insertion.vectors, insertion.gate)
    torch.testing.assert_close(
        *(
            torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True)
            for value in (total, expected)
        )
    )


def test_the_original_sequence_survives_in_order_and_two_items_longer():
    torch.manual_seed(1)
    model, sequence = augmenter(), sequences([6, 3, 1, 5])
    insertion = model.propose(sequence, table(), TAU, AugmentationNoise())
    augmented_rows = insert(sequence, insertion)
    assert insertion.rows.all()
    for row in range(4):
        real = sequence.items[row][sequence.valid[row]]
        assert augmented_rows.items[row][augmented_rows.original[row]].equal(real)
        assert int(augmented_rows.valid[row].sum()) == len(real) + 2
        assert int(insertion.position[row]) < len(real)
        new = augmented_rows.items[row][augmented_rows.valid[row] & ~augmented_rows.original[row]]
        assert len(new) == 2
        assert ((new >= 1) & (new <= N_ITEMS)).all()


def test_queries_are_the_states_on_either_side():
    model, sequence = augmenter(), sequences([3])
    _, before, after = rho_by_hand(model, sequence.x[0, :3], "mul")
    quiet = torch.zeros(2, 1, N_ITEMS)
    for position in range(3):
        noise = AugmentationNoise(position=noise_that_draws([position], 3), items=quiet)
        insertion = model.propose(sequence, table(), TAU, noise)
        best = [
            int((query @ table()[1:].T).argmax()) + 1
            for query in (before[position], after[position])
        ]
        assert insertion.items[:, 0].tolist() == best
        torch.testing.assert_close(insertion.vectors[:, 0], table()[best])
        assert insertion.gate.item() == 1


def test_padding_is_never_a_place_and_never_an_item():
    model, sequence = augmenter(), sequences([1, 2, 7])
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        noise = AugmentationNoise(gumbel_noise((3, 7), sequence.x, generator))
        insertion = model.propose(sequence, table(), TAU, noise)
        assert (insertion.position < sequence.valid.sum(1)).all()
        assert (insertion.items >= 1).all()


def test_rho_can_be_sharpened():
    sequence = sequences([6])
    noise = AugmentationNoise(position=torch.zeros(1, 6))
    for changes in ({"rho_logits": "log"}, {"rho_temperature": 0.01}):
        model = augmenter(**changes)
        rho = model.read(sequence.x, sequence.valid).rho
        assert int(model.propose(sequence, table(), TAU, noise).position) == int(rho.argmax())
        # The gradient is that of other logits than rho's own.
        gates = [m.propose(sequence, table(), TAU, noise).gate for m in (model, augmenter())]
        grads = [torch.autograd.grad(gate.sum(), sequence.x)[0] for gate in gates]
        assert not torch.allclose(*grads, rtol=0.01)


# Refinement


def test_refinement_takes_one_of_the_three_or_nothing():
    model, sequence = augmenter(), sequences([5, 5, 5, 5, 5])
    second = [1, 2, 3, 4, 0]
    noise = AugmentationNoise(
        position=noise_that_draws([1] * 5, 5),
        items=torch.zeros(2, 5, N_ITEMS),
        second=noise_that_draws(second, 7),
    )
    done = model(sequence, table(), TAU, noise)
    augmented_rows = insert(sequence, done.insertion)
    assert done.removed.tolist() == [True, True, True, False, False]
    for row, slot in enumerate(second):
        expected = augmented_rows.items[row].tolist()
        if slot in (1, 2, 3):
            del expected[slot]
        assert done.sequence.items[row, : len(expected)].tolist() == expected


def test_nothing_is_taken_out_where_nothing_was_put_in():
    rows = torch.tensor([True, False])
    position, second = torch.tensor([2, 2]), torch.tensor([3, 3])
    assert is_removable(rows, position, second).tolist() == [True, False]


@pytest.mark.parametrize("official", [False, True])
def test_padding_competes_in_the_official_draws_alone(official):
    """Noise that favours what stands at padding in both draws."""
    sequence, seen = sequences([2, 5, 3], frame=8), []
    model = augmenter(OfficialAugmenter if official else Augmenter)
    plain = model.may_remove

    def may_remove(augmented_rows, insertion, second):
        seen.append((insertion.position, second, augmented_rows.valid))
        return plain(augmented_rows, insertion, second)

    model.may_remove = may_remove
    noise = AugmentationNoise(
        position=torch.zeros(3, 8).masked_fill(~sequence.valid, 100.0),
        items=gumbel_noise((2, 3, N_ITEMS + official), sequence.x),
        second=noise_that_draws([7] * 3, 8 if official else 10, least=0.0),
    )
    model(sequence, table(), TAU, noise)
    ((position, second, valid),) = seen
    row = torch.arange(3)
    assert sequence.valid[row, position].tolist() == [not official] * 3
    if official:
        assert second.tolist() == [7] * 3
    else:
        assert valid[row, second].all()


@pytest.mark.parametrize(("second", "gone"), [(0, False), (1, True), (3, True), (4, False)])
def test_only_the_three_may_go(second, gone):
    assert (
        is_removable(torch.tensor([True]), torch.tensor([1]), torch.tensor([second])).item() is gone
    )


def test_removal_closes_the_gap():
    sequence = sequences([4, 2])
    done = remove(sequence, torch.tensor([True, False]), torch.tensor([1, 0]))
    first = sequence.items[0].tolist()
    assert done.items[0].tolist() == [first[0], *first[2:], 0][: done.items.shape[1]]
    assert done.source.tolist() == [[1, 3, 4], [1, 2, 0]]
    assert done.x[0, 1].equal(sequence.x[0, 2])
    # No holes: what holds an item is a prefix of each row.
    assert done.valid.equal(torch.arange(3) < torch.tensor([3, 2])[:, None])


@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_the_newest_item_stays_unless_refinement_took_it(lengths, seed):
    torch.manual_seed(seed)
    sequence = sequences(lengths, seed)
    done = augmenter()(sequence, table(), TAU)
    for row, n in enumerate(lengths):
        kept = (done.sequence.source[row][done.sequence.original[row]] - 1).tolist()
        lost = sorted(set(range(n)) - set(kept))
        assert kept == sorted(kept)
        assert lost in ([], [int(done.insertion.position[row])])
        length = int(done.sequence.valid[row].sum())
        assert length == n + 2 - int(done.removed[row])
        assert done.sequence.valid[row].tolist() == [
            t < length for t in range(len(done.sequence.items[row]))
        ]
        if not lost:
            assert n - 1 in kept


# Faults of the official code


def test_official_padding_competes():
    model, sequence = augmenter(OfficialAugmenter), sequences([2, 6], frame=8)
    noise = AugmentationNoise(
        position=noise_that_draws([7, 3], 8), items=torch.zeros(2, 2, N_ITEMS + 1)
    )
    insertion = model.propose(sequence, table(), TAU, noise)
    assert insertion.position.tolist() == [7, 3]
    assert insertion.rows.tolist() == [False, True]


def test_official_rows_without_two_spare_slots_stay():
    model, sequence = augmenter(OfficialAugmenter), sequences([7, 6], frame=8)
    noise = AugmentationNoise(
        position=noise_that_draws([0, 0], 8), items=torch.zeros(2, 2, N_ITEMS + 1)
    )
    insertion = model.propose(sequence, table(), TAU, noise)
    assert insertion.rows.tolist() == [False, True]
    assert model.apply_insertion(sequence, insertion).items.shape == (2, 8)


def test_official_queries_wrap_around():
    model, sequence = augmenter(OfficialAugmenter), sequences([3], frame=5)
    forward, backward = model.lstm.lstm(sequence.x)[0][0].chunk(2, -1)
    noise = AugmentationNoise(
        position=noise_that_draws([0], 5), items=torch.zeros(2, 1, N_ITEMS + 1)
    )
    insertion = model.propose(sequence, table(), TAU, noise)
    best = [int((query @ table().T).argmax()) for query in (forward[4], backward[1])]
    assert insertion.items[:, 0].tolist() == best


def test_official_refinement_deletes_originals_where_nothing_was_inserted():
    model, sequence = augmenter(OfficialAugmenter), sequences([5], frame=6)
    noise = AugmentationNoise(
        noise_that_draws([1], 6), torch.zeros(2, 1, N_ITEMS + 1), noise_that_draws([2], 6)
    )
    done = model(sequence, table(), TAU, noise)
    assert not done.insertion.rows.any()
    assert done.removed.all()
    assert done.sequence.source[0, :4].tolist() == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("length", "position", "second", "kept", "counted"),
    [
        (6, 5, 0, [1, 2, 3, 4, 5], 5),
        (6, 5, 1, [0, 2, 3, 4, 5], 5),
        (6, 4, 0, [1, 2, 3, 4, 5], 5),
        (6, 5, 2, [0, 1, 2, 3, 4, 5], 6),
        (6, 4, 3, [0, 1, 2, 3, 4, 5], 6),
        # Padding within reach: nothing goes, and yet one fewer is counted.
        (5, 4, 5, [0, 1, 2, 3, 4], 4),
    ],
)
def test_official_refinement_wraps_around_the_frame(length, position, second, kept, counted):
    model, sequence = augmenter(OfficialAugmenter), sequences([length], frame=6)
    noise = AugmentationNoise(
        noise_that_draws([position], 6),
        torch.zeros(2, 1, N_ITEMS + 1),
        noise_that_draws([second], 6),
    )
    done = model(sequence, table(), TAU, noise)
    assert (done.sequence.source[0][done.sequence.original[0]] - 1).tolist() == kept
    assert done.lengths(torch.tensor([length])).tolist() == [counted]


# Gradient of the draw


def published_row(o, x, left, right, p, n):
    """An augmented row of a frame of n positions, as a function of the one-hot vector o.

    Items before p, each times (o_t + o_p), and items after it, times o_t, stay; all items times o_t
    move by one; items after p but the frame's last two, times (o_t + o_p), move by two; LEFT is
    spread by o, RIGHT by o moved by two.
    """
    stay, one, two = np.zeros((n, 1)), o[:, None], np.zeros((n, 1))
    for t in range(n):
        stay[t] = o[t] + o[p] if t < p else o[t] * (t > p)
        two[t] = o[t] + o[p] if p < t < n - 2 else 0
    return (
        x * stay
        + np.roll(x * one, 1, axis=0)
        + np.roll(x * two, 2, axis=0)
        + o[:, None] * left
        + np.roll(o, 2)[:, None] * right
    )


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("position", [0, 1, 3])
def test_every_embedding_may_carry_the_gradient_of_the_draw(position, official):
    frame = 6
    sequence, rows = sequences([4], frame=frame), torch.tensor([True])
    drawn = torch.zeros(1, frame).index_fill_(1, torch.tensor([position]), 1.0).requires_grad_()
    vectors, items = torch.randn(2, 1, WIDTH), torch.tensor([[3], [5]])
    place = torch.tensor([position])
    insertion = Insertion(rows, place, items, vectors, torch.ones(1), drawn)
    model = augmenter(OfficialAugmenter if official else Augmenter)
    found = model.apply_insertion(sequence, insertion).x[0]
    n = frame if official else frame + 2
    x = np.zeros((n, WIDTH))
    x[:frame] = sequence.x[0].detach().numpy()
    left, right = vectors[:, 0].double().numpy()
    hot = np.eye(n)[position]
    expected = published_row(hot, x, left, right, position, n)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-6)
    weights = np.cos(np.arange(n * WIDTH)).reshape(n, WIDTH)
    (gradient,) = torch.autograd.grad((found * torch.from_numpy(weights).float()).sum(), drawn)
    # The row is linear in o, so a step of any size measures the gradient.
    slopes = [
        (
            (published_row(hot + np.eye(n)[t], x, left, right, position, n) - expected) * weights
        ).sum()
        for t in range(frame)
    ]
    np.testing.assert_allclose(gradient[0], slopes, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("official", [False, True])
def test_queries_may_carry_the_gradient_of_the_draw(official):
    model = augmenter(OfficialAugmenter if official else Augmenter, position_gradient="all")
    sequence = sequences([3, 4], frame=5)
    states = model.neighbours(sequence, model.read(sequence.x, sequence.valid))
    position = torch.tensor([2, 0])
    drawn = torch.eye(5)[position].requires_grad_()
    queries = model._queries(states, drawn, position)
    for side, query in zip(states, queries, strict=True):
        assert query.equal(side[torch.arange(2), position])
    weights = torch.randn(2, 2, WIDTH)
    (gradient,) = torch.autograd.grad((queries * weights).sum(), drawn)
    expected = sum(
        (side * weight[:, None]).sum(-1) for side, weight in zip(states, weights, strict=True)
    )
    torch.testing.assert_close(gradient, expected)


def test_the_gradient_of_the_draw_changes_no_value():
    sequence = sequences([5, 3, 6], frame=6)
    found = []
    for kind in ("around", "all"):
        model = augmenter(position_gradient=kind)
        torch.manual_seed(7)
        done = model(sequence, table(), TAU)
        weights = torch.arange(done.sequence.x.numel()).view_as(done.sequence.x).cos()
        (gradient,) = torch.autograd.grad(
            (done.sequence.x * weights).sum(), model.lstm.lstm.weight_ih_l0
        )
        found.append((done.sequence.x, done.sequence.items, gradient))
    assert found[0][0].equal(found[1][0])
    assert found[0][1].equal(found[1][1])
    assert not torch.allclose(found[0][2], found[1][2], rtol=0.01)


def test_wrapped_sequences_know_where_items_come_from():
    wrapped = without_insertions(torch.tensor([[4, 2, 0]]), torch.zeros(1, 3, 1))
    assert isinstance(wrapped, SequenceBatch)
    assert wrapped.source.tolist() == [[1, 2, 0]]
    assert wrapped.original.equal(wrapped.valid)
