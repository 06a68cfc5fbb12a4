"""Ranks against sorting by hand."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import DataError, TrainingError
from bench.evaluate.ranks import block_rows, count_block


def _by_hand(scores, target, history):
    """Count with Python's own loops."""
    own = scores[target - 1]
    rivals = [i for i in range(1, len(scores) + 1) if i != target]
    unseen = [i for i in rivals if i not in history]
    return {
        "better_all": sum(scores[i - 1] > own for i in rivals),
        "ties_all": sum(scores[i - 1] == own for i in rivals),
        "better_unseen": sum(scores[i - 1] > own for i in unseen),
        "ties_unseen": sum(scores[i - 1] == own for i in unseen),
        "candidates_unseen": len(unseen) + 1,
    }


@settings(max_examples=80)
@given(st.data())
def test_counts_equal_a_loop(data):
    n_items = data.draw(st.integers(1, 12))
    rows = data.draw(st.integers(1, 5))
    ids = st.integers(1, n_items)
    # Small whole numbers make ties common and sums exact.
    weights = st.integers(-2, 2)
    users = data.draw(
        st.lists(st.lists(weights, min_size=2, max_size=2), min_size=rows, max_size=rows)
    )
    items = data.draw(
        st.lists(st.lists(weights, min_size=2, max_size=2), min_size=n_items, max_size=n_items)
    )
    targets = data.draw(st.lists(ids, min_size=rows, max_size=rows))
    histories = data.draw(
        st.lists(st.lists(ids | st.just(0), min_size=4, max_size=4), min_size=rows, max_size=rows)
    )
    counts = count_block(
        torch.tensor(users, dtype=torch.float32),
        torch.tensor(items, dtype=torch.float32),
        torch.tensor(targets),
        torch.tensor(histories),
    )
    for row in range(rows):
        scores = [sum(u * i for u, i in zip(users[row], item, strict=True)) for item in items]
        expected = _by_hand(scores, targets[row], set(histories[row]) - {0})
        assert {name: int(column[row]) for name, column in vars(counts).items()} == expected


def test_constant_scores_tie_with_everything():
    counts = count_block(
        torch.ones(1, 64), torch.full((5000, 64), 0.1), torch.tensor([7]), torch.zeros(1, 1).long()
    )
    assert counts.better_all.item() == 0
    assert counts.ties_all.item() == 4999


@pytest.mark.parametrize("place", ["users", "items"])
def test_nan_is_refused(place):
    vectors = {"users": torch.ones(2, 3), "items": torch.ones(5, 3)}
    vectors[place][1, 1] = float("nan")
    with pytest.raises(TrainingError, match="NaN"):
        count_block(
            vectors["users"], vectors["items"], torch.tensor([1, 2]), torch.zeros(2, 1).long()
        )


def test_infinite_scores_are_no_nan():
    users = torch.tensor([[3e38, 1.0]])
    items = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0]])
    counts = count_block(users, items, torch.tensor([3]), torch.zeros(1, 1).long())
    assert counts.better_all.item() == 1


def test_blocks_are_bounded_in_memory():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert block_rows(12_101, cpu) * 12_101 * 4 <= 4 * 2**20
    assert block_rows(12_101, gpu) * 12_101 * 4 <= 32 * 2**20
    for device in (cpu, gpu):
        assert block_rows(10**6, device) == 16
        assert block_rows(2**24, device) == 1
    with pytest.raises(DataError, match="min_item_interactions"):
        block_rows(2**24 + 1, cpu)


@pytest.mark.slow
def test_a_million_items_rank_in_two_gigabytes():
    script = textwrap.dedent(
        """
        import numpy as np, torch
        from bench.data.dataset import Dataset
        from bench.data.sequences import Sequences
        from bench.data.split import Split
        from bench.evaluate.full_ranking import FullRanking
        from bench.training.resources import peak_memory_bytes

        class Random(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.table = torch.nn.Embedding(1_000_001, 64)
            def item_vectors(self):
                return self.table.weight[1:]
            def user_vectors(self, batch):
                return self.table(batch.items).mean(1)

        generator = np.random.default_rng(0)
        items = generator.integers(1, 1_000_001, 10_000 * 8).astype(np.int32)
        sequences = Sequences.from_lengths(np.full(10_000, 8), items)
        names = [range(10_000), range(1_000_000), [""] * 1_000_000]
        split = Split.of(Dataset("large", "", sequences, *names, 50))
        ranks = FullRanking(split, "test", 50, torch.device("cpu")).rank(Random())
        mean = (1 + ranks.better_all).mean()
        assert 450_000 < mean < 550_000, mean
        print(peak_memory_bytes())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 2 * 2**30
