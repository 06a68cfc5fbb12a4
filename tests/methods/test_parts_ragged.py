"""Row-wise reductions over flat tokens against loops over rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.methods.parts.ragged import Padded, Ragged


def ragged(lengths, width=3, seed=0):
    torch.manual_seed(seed)
    longest = max(lengths, default=0)
    frame = torch.randn(len(lengths), longest, width, dtype=torch.float64)
    valid = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return frame, Ragged(valid), [frame[row, :n] for row, n in enumerate(lengths)]


LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any)
EACH_ROW = {
    "sum_rows": lambda row: row.sum(0),
    "max_rows": lambda row: row.max(0).values if len(row) else row.sum(0),
    "last": lambda row: row[-1] if len(row) else row.sum(0),
}
EACH_TOKEN = {
    "cumulative_sums": lambda row: torch.stack([row[: t + 1].sum(0) for t in range(len(row))]),
    "cumulative_maxima": lambda row: torch.stack([row[: t + 1].amax(0) for t in range(len(row))]),
}


@given(LENGTHS)
def test_reductions_are_those_of_each_row(lengths):
    frame, tokens, rows = ragged(lengths)
    flat = tokens.take(frame)
    assert torch.equal(flat, torch.cat(rows))
    for name, function in EACH_ROW.items():
        expected = torch.stack([function(row) for row in rows])
        torch.testing.assert_close(getattr(tokens, name)(flat), expected)
    for name, function in EACH_TOKEN.items():
        expected = torch.cat([function(row) for row in rows if len(row)])
        torch.testing.assert_close(getattr(tokens, name)(flat), expected)


@given(LENGTHS)
def test_rows_give_their_tokens_what_belongs_to_them(lengths):
    _, tokens, _ = ragged(lengths)
    own = tokens.repeat_rows(torch.arange(len(lengths)))
    assert own.tolist() == [row for row, n in enumerate(lengths) for _ in range(n)]


@pytest.mark.parametrize("layout", [Ragged, Padded])
@given(LENGTHS)
def test_tokens_meet_the_values_of_their_rows_and_positions(layout, lengths):
    frame, plain, rows = ragged(lengths)
    tokens = layout(plain.valid)
    of_rows = torch.randn(len(lengths), 3, dtype=torch.float64)
    first, second = torch.randn(2, max(lengths), dtype=torch.float64)
    flat = tokens.take(frame)
    found = {
        "rows": tokens.with_rows(torch.sub, flat, of_rows),
        "numbers": tokens.with_rows(torch.sub, flat[:, 0], of_rows[:, 0]),
        "positions": tokens.with_positions(torch.sub, flat, first),
        "both": tokens.with_positions(lambda x, a, b: x * a + b, flat, first, second),
    }
    for row, (own, values) in enumerate(zip(rows, of_rows, strict=True)):
        n = len(own)
        a, b = first[:n, None], second[:n, None]
        expected = {
            "rows": own - values,
            "numbers": own[:, 0] - values[0],
            "positions": own - a,
            "both": own * a + b,
        }
        for name, each in expected.items():
            torch.testing.assert_close(tokens.put(found[name])[row, :n], each)


@pytest.mark.parametrize("name", [*EACH_ROW, *EACH_TOKEN])
def test_gradients(name):
    _, tokens, rows = ragged([3, 0, 1, 4])
    flat = torch.cat(rows).requires_grad_()
    assert torch.autograd.gradcheck(getattr(tokens, name), (flat,))


def test_a_tie_shares_the_gradient_of_a_maximum_whatever_its_sign():
    tokens = Ragged(torch.ones(1, 3, dtype=torch.bool))
    for incoming in (-1.0, 1.0):
        flat = torch.tensor([[1.0], [1.0], [0.0]], requires_grad=True)
        tokens.max_rows(flat).backward(torch.tensor([[incoming]]))
        assert flat.grad.flatten().tolist() == [incoming / 2, incoming / 2, 0.0]


def test_gradients_of_tied_maxima_equal_those_of_each_row():
    lengths = [4, 0, 1, 5]
    _, tokens, _ = ragged(lengths)
    flat = torch.randint(0, 2, (sum(lengths), 3)).double().requires_grad_()
    incoming = torch.randn(len(lengths), 3, dtype=torch.float64)
    (found,) = torch.autograd.grad(tokens.max_rows(flat), flat, incoming)
    rows = flat.split(lengths)
    each = [row.amax(0) if len(row) else row.sum(0) for row in rows]
    (expected,) = torch.autograd.grad(torch.stack(each), flat, incoming)
    torch.testing.assert_close(found, expected)


def test_cumulative_sums_do_not_lose_digits_in_a_long_list():
    torch.manual_seed(0)
    values = torch.randn(40_000, 2) + 3
    tokens = Ragged(torch.ones(4_000, 10, dtype=torch.bool))
    expected = values.view(4_000, 10, 2).double().cumsum(1).view(-1, 2)
    torch.testing.assert_close(tokens.cumulative_sums(values).double(), expected, rtol=0, atol=2e-3)
