"""Batches of texts: every text once, under the limit, with little padding."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.text.encoders.tokens import padded, token_batches

LENGTHS = st.lists(st.integers(0, 40), max_size=60)


@given(LENGTHS, st.integers(1, 100))
def test_every_text_is_in_one_batch_under_the_limit(lengths, limit):
    batches = list(token_batches(lengths, limit))
    assert sorted(int(at) for batch in batches for at in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[at] for at in batch)
        assert len(batch) == 1 or len(batch) * longest <= limit


def test_little_of_a_batch_is_padding():
    lengths = np.random.default_rng(0).poisson(12, size=2000) + 1
    batches = list(token_batches(lengths, 1024))
    padding = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padding < 1.03 * lengths.sum()
    arrival = sum(lengths[at : at + 80].max() * 80 for at in range(0, 2000, 80))
    assert arrival > 1.7 * lengths.sum()


@given(st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=5), st.booleans())
def test_padding_keeps_each_row_on_its_side(rows, left):
    width = max(map(len, rows))
    for row, found in zip(rows, padded(rows, 0, left=left).tolist(), strict=True):
        fill = [0] * (width - len(row))
        assert found == (fill + row if left else row + fill)
