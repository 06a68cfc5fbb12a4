"""The contrastive losses."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from bench.methods.iadsr.alignment import info_nce, sample_rows, sample_rows_static


def units(rows, width=6, seed=0):
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)))


def test_against_the_sum_written_out():
    queries, keys, tau = units(5), units(5, seed=1), 0.3
    total = 0.0
    for n in range(5):
        logits = [float(queries[n] @ keys[m]) / tau for m in range(5)]
        total += -logits[n] + math.log(sum(map(math.exp, logits)))
    assert float(info_nce(queries, keys, tau)) == pytest.approx(total / 5, rel=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_identical_rows_give_the_logarithm_of_the_batch(rows):
    same = units(1).expand(rows, -1)
    assert float(info_nce(same, same, 0.1)) == pytest.approx(math.log(rows), abs=1e-5)


def test_no_rows_give_zero_without_nan():
    empty = torch.zeros(0, 4, requires_grad=True)
    loss = info_nce(empty, empty, 0.1)
    loss.backward()
    assert float(loss.detach()) == 0


def test_the_loss_falls_when_one_view_is_a_linear_image_of_the_other():
    torch.manual_seed(0)
    collaborative_interests = torch.randn(64, 6)
    semantic_interests = collaborative_interests @ torch.randn(6, 10)
    unrelated = torch.randn(64, 10)
    ends = []
    for texts in (semantic_interests, unrelated):
        w = torch.nn.Linear(10, 6, bias=False)
        optimiser = torch.optim.Adam(w.parameters(), lr=0.05)
        start = info_nce(normalize(collaborative_interests), normalize(w(texts)), 0.1).item()
        for _ in range(150):
            optimiser.zero_grad()
            loss = info_nce(normalize(collaborative_interests), normalize(w(texts)), 0.1)
            loss.backward()
            optimiser.step()
        ends.append(loss.item())
        assert ends[-1] < start
    assert ends[0] < 0.5 * ends[1]


def test_rows_without_text_are_left_out():
    keys = units(6)
    keys[[1, 4]] = 0
    assert sorted(sample_rows(keys, torch.arange(6), 10).tolist()) == [0, 2, 3, 5]


def test_the_same_interest_is_compared_once():
    keys, identity = units(6), torch.tensor([7, 3, 7, 3, 7, 5])
    drawn = sample_rows(keys, identity, 10, torch.tensor([4, 0, 3, 1, 5, 2]))
    assert drawn.tolist() == [4, 3, 5]
    torch.manual_seed(0)
    seen = torch.cat([sample_rows(keys, identity, 10) for _ in range(300)]).bincount(minlength=6)
    assert seen[5] == 300
    assert (seen[[0, 2, 4]] > 60).all()


def test_static_shapes_select_the_same_rows():
    keys, identity = units(7), torch.tensor([7, 3, 7, 3, 7, 5, 9])
    keys[6] = 0
    # In the order of their numbers: 4, 0, 3, 1, 5, 2, as above.
    uniform = torch.tensor([0.2, 0.4, 0.6, 0.3, 0.1, 0.5, 0.0])
    for most in (2, 3, 6):
        rows, counted = sample_rows_static(keys, identity, most, uniform)
        expected = sample_rows(keys, identity, most, torch.tensor([4, 0, 3, 1, 5, 2]))
        assert rows[counted].tolist() == expected.tolist()
        other = units(7)
        torch.testing.assert_close(
            info_nce(other[rows], keys[rows], 0.1, counted),
            info_nce(other[expected], keys[expected], 0.1),
        )


def test_at_most_so_many_rows_are_compared():
    keys = units(9)
    keys[0] = 0
    order = torch.tensor([7, 0, 3, 1, 2, 4, 5, 6])
    assert sample_rows(keys, torch.arange(9), 3, order).tolist() == [8, 1, 4]
    torch.manual_seed(0)
    drawn = sample_rows(keys, torch.arange(9), 3)
    assert len(set(drawn.tolist()) - {0}) == 3
    many = torch.cat([sample_rows(keys, torch.arange(9), 3) for _ in range(400)]).bincount(
        minlength=9
    )
    assert many[0] == 0
    assert (many[1:] > 100).all()
