"""The vectorised corruption against the published walk, and what follows from its definition."""

import math
from contextlib import nullcontext

import pytest
import torch
from steam_toys import END, N_ITEMS, Walk, naive_edit, random_walk, unpack

from bench.methods.steam.corruption import (
    CorruptionDraws,
    CorruptionRates,
    corrupt,
    draw_corruption,
)
from bench.methods.steam.noise import NoiseSampler
from bench.model.shapes import static_shapes

OFFICIAL = {"drop": 0.5, "noise": 0.1}
UNIFORM = NoiseSampler(torch.ones(N_ITEMS))


def rates(longest_run=5, longest=60, **changes):
    return CorruptionRates(**(OFFICIAL | changes), longest_run=longest_run, longest=longest)


def segments(length, rows, seed=0, catalogue=N_ITEMS):
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(rows, catalogue, generator=generator).argsort(1)
    return order[:, :length] + 1


def ragged_segments(longest, rows, seed=0):
    items = segments(longest, rows, seed)
    lengths = torch.arange(rows) % longest + 1
    return items * (torch.arange(longest) < lengths[:, None])


def rows(items):
    return [[item for item in row if item] for row in items.tolist()]


@pytest.fixture(params=[nullcontext, static_shapes], ids=["tokens", "static"])
def shapes(request):
    """Corrupt as a CPU does, and as a GPU."""
    with request.param():
        yield


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize("longest_run", [1, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_labels_undo_the_corruption(longest_run, seed):
    items = ragged_segments(20, 200, seed)
    size = int((items > 0).sum())
    made = corrupt(items, rates(longest_run, 30), UNIFORM, generator=None, size=size)
    assert made.items.shape[1] <= 30
    for segment, (found, labels, targets) in zip(rows(items), unpack(made), strict=True):
        mended = naive_edit(found, labels, targets)
        assert [item for item, _, _ in mended] == segment


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize("longest_run", [1, 3, 5])
def test_what_the_walk_never_does(longest_run):
    items = ragged_segments(20, 400)
    made = corrupt(items, rates(longest_run, noise=0.3, drop=0.4), UNIFORM)
    for segment, (found, labels, targets) in zip(rows(items), unpack(made), strict=True):
        assert found[-1] == segment[-1]
        assert labels[-1] != 1
        noise = [item for item, label in zip(found, labels, strict=True) if label == 1]
        assert len(set(noise)) == len(noise)
        assert not set(noise) & set(segment)
        assert all(1 <= item <= N_ITEMS for item in noise)
        for label, wanted in zip(labels, targets, strict=True):
            if label == 2:
                run = [item for item in wanted if item != END]
                assert 1 <= len(run) <= longest_run
                assert (END in wanted) == (len(run) < longest_run)
                assert END not in wanted or wanted[-1] == END


class Script:
    """Operations that lead the walk to decide as the closed form does."""

    def __init__(self, segment, draws, row, longest_run):
        self.noise, self.run = draws.noise[row].tolist(), draws.run[row].tolist()
        self.length, self.last = draws.length[row].tolist(), len(segment) - 1
        self.longest_run = longest_run

    def __iter__(self):
        slot = 0
        while slot <= self.last:
            yield from ["noise"] * self.noise[slot]
            cap = min(self.longest_run, self.last - slot)
            if not self.run[slot]:
                yield "keep"
                slot += 1
                continue
            length = min(self.length[slot], cap)
            yield from ["drop"] * length
            if length < cap:
                yield "keep"  # the draw that ends a run is discarded
            slot += length + 1


@pytest.mark.parametrize("longest_run", [1, 3, 5])
def test_equal_draws_give_the_walks_result(longest_run):
    items = ragged_segments(20, 300)
    setting = rates(longest_run, 60)
    generator = torch.Generator().manual_seed(3)
    draws = draw_corruption((items > 0).sum(1), items.shape[1], setting, generator)
    made = unpack(corrupt(items, setting, UNIFORM, draws))
    for row, segment in enumerate(rows(items)):
        script = iter(Script(segment, draws, row, longest_run))
        found, labels, _ = made[row]
        invented = iter([i for i, label in zip(found, labels, strict=True) if label == 1])
        walk = Walk(lambda s=script: next(s), lambda i=invented: next(i), longest_run, 60)
        assert walk.corrupt(segment) == made[row]
        assert next(script, None) is None


def shares(made):
    valid = made.items > 0
    return [float((made.operations[valid] == label).double().mean()) for label in range(3)]


def deviation(made):
    """Standard errors of the label shares: rows are independent, tokens of a row are not."""
    valid = made.items > 0
    count = valid.sum(1).double()
    errors = []
    for label in range(3):
        hits = ((made.operations == label) & valid).sum(1).double()
        share = hits.sum() / count.sum()
        errors.append(float((hits - share * count).std() / count.mean() / math.sqrt(len(count))))
    return errors


@pytest.mark.parametrize(
    ("length", "published"),
    [
        (1, (0.8, 0.2, 0.0)),
        (5, (0.47, 0.12, 0.41)),
        (20, (0.42, 0.10, 0.47)),
        (50, (0.41, 0.1, 0.49)),
    ],
)
def test_label_shares_are_the_expected_ones(length, published):
    torch.manual_seed(length)
    items = segments(length, 8000, catalogue=200)
    made = corrupt(items, rates(), NoiseSampler(torch.ones(200)))
    rounding = 0.0 if length == 1 else 0.005  # the expected shares have two digits
    for share, expected, error in zip(shares(made), published, deviation(made), strict=True):
        assert abs(share - expected) <= 3 * error + rounding


@pytest.mark.parametrize(("length", "longest_run", "longest"), [(5, 5, 60), (8, 3, 9), (3, 1, 3)])
def test_label_shares_and_lengths_are_the_walks(length, longest_run, longest):
    setting = rates(longest_run, longest, noise=0.3, drop=0.3)
    torch.manual_seed(1)
    items = segments(length, 6000)
    ours = corrupt(items, setting, UNIFORM)
    walk = random_walk(0.4, 0.3, 0.3, longest_run, longest)
    walked = [walk.corrupt(segment) for segment in rows(items)]
    labels = [label for _, row, _ in walked for label in row]
    for label, (share, error) in enumerate(zip(shares(ours), deviation(ours), strict=True)):
        theirs = labels.count(label) / len(labels)
        assert abs(share - theirs) < 3 * math.sqrt(2) * error + 1e-12
    sizes = torch.tensor([len(row) for row, _, _ in walked])
    mine = (ours.items > 0).sum(1)
    for size in range(1, longest + 1):
        both = (mine == size).double().mean(), (sizes == size).double().mean()
        bound = 4 * math.sqrt(2 * 0.25 / len(items))
        assert abs(both[0] - both[1]) < bound


def test_a_piece_never_outgrows_its_frame():
    items = segments(6, 500)
    made = corrupt(items, rates(longest=7, noise=0.7, drop=0.1), UNIFORM)
    lengths = (made.items > 0).sum(1)
    assert int(lengths.max()) == 7


@pytest.mark.usefixtures("shapes")
def test_noise_stops_where_the_catalogue_is_used_up():
    items = torch.tensor([[1, 2, 0], [3, 0, 0], [1, 2, 3]])
    draws = CorruptionDraws(
        torch.full((3, 3), 9), torch.zeros(3, 3, dtype=torch.bool), torch.ones(3, 3).long()
    )
    made = corrupt(items, rates(), NoiseSampler(torch.ones(3)), draws)
    assert made.items[0, :3].tolist() == [3, 1, 2]
    assert sorted(made.items[1].tolist()[:2]) == [1, 2]
    assert made.items[1, 2] == 3
    assert made.items[2, :3].tolist() == [1, 2, 3]


def test_noise_follows_its_weights():
    weights = torch.tensor([0.0, 1.0, 2.0, 4.0, 0.0])
    torch.manual_seed(0)
    count = 7000
    items = torch.full((count, 1), 2)
    drawn = NoiseSampler(weights).draw(items, torch.arange(count))
    found = torch.bincount(drawn, minlength=6)
    assert found[[0, 1, 2, 5]].tolist() == [0, 0, 0, 0]
    # Item 2 stands in every row; 3 and 4 are left, one to two.
    assert abs(int(found[3]) - count / 3) < 4 * math.sqrt(count * 2 / 9)


def test_uniform_noise_is_uniform_over_ordered_pairs():
    torch.manual_seed(0)
    count = 12000
    drawn = NoiseSampler(torch.ones(5)).draw(
        torch.full((count, 1), 3), torch.arange(count).repeat_interleave(2)
    )
    pairs = drawn.view(count, 2)
    codes = torch.bincount(pairs[:, 0] * 10 + pairs[:, 1], minlength=60)
    seen = {code: int(n) for code, n in enumerate(codes.tolist()) if n}
    assert set(seen) == {a * 10 + b for a in (1, 2, 4, 5) for b in (1, 2, 4, 5) if a != b}
    expected = count / 12
    statistic = sum((n - expected) ** 2 / expected for n in seen.values())
    assert statistic < 31.3  # chi-square, 11 degrees of freedom, p = 0.001


@pytest.mark.usefixtures("shapes")
def test_filled_places_follow_the_weights_without_repetition():
    weights = torch.tensor([0.0, 1.0, 2.0, 4.0, 0.0])
    torch.manual_seed(0)
    count = 7000
    wanted = torch.tensor([[False, True, True]]).repeat(count, 1)
    found = NoiseSampler(weights).fill(torch.full((count, 1), 2), wanted)
    assert not found[:, 0].any()
    # Item 2 stands in every row; 3 and 4 are left, one to two, and the second is the other one.
    assert set(found[:, 1:].sum(1).tolist()) == {7}
    assert abs(int((found[:, 1] == 3).sum()) - count / 3) < 4 * math.sqrt(count * 2 / 9)


def test_a_generator_decides_everything():
    items = segments(10, 50)
    made = [
        corrupt(items, rates(), UNIFORM, generator=torch.Generator().manual_seed(seed))
        for seed in (5, 5, 6)
    ]
    assert torch.equal(made[0].items, made[1].items)
    assert torch.equal(made[0].missing, made[1].missing)
    assert not torch.equal(made[0].items[:, :2], made[2].items[:, :2])
