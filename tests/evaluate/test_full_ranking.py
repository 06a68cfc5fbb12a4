"""Full ranking of a whole split against loops over users and items."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import data_of

from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.evaluate.full_ranking import FullRanking

N_ITEMS = 40
MAX_LENGTH = 4
HELD_OUT = {"validation": 2, "test": 1}


class LastItems:
    """Scores an item by what the model's window holds: whole numbers, so that ties are exact."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.table = torch.randint(-2, 3, (N_ITEMS + 1, 3), generator=generator).float()
        self.table[0] = 0.0

    def eval(self):
        return self

    def item_vectors(self):
        return self.table[1:]

    def user_vectors(self, batch):
        return self.table[batch.items].sum(1)


def by_hand(table, row, phase):
    """Counts of one user, from the whole history but the model's short window."""
    held_out = HELD_OUT[phase]
    history, target = row[:-held_out], row[-held_out]
    user = table[history[-MAX_LENGTH:]].sum(0)
    scores = {item: float(user @ table[item]) for item in range(1, N_ITEMS + 1)}
    rivals = [item for item in scores if item != target]
    unseen = [item for item in rivals if item not in history]
    return {
        "target": target,
        "history_length": len(history),
        "better_all": sum(scores[item] > scores[target] for item in rivals),
        "ties_all": sum(scores[item] == scores[target] for item in rivals),
        "candidates_all": N_ITEMS,
        "better_unseen": sum(scores[item] > scores[target] for item in unseen),
        "ties_unseen": sum(scores[item] == scores[target] for item in unseen),
        "candidates_unseen": len(unseen) + 1,
    }


@pytest.mark.parametrize("phase", HELD_OUT)
def test_every_users_counts_equal_a_loop(phase):
    generator = np.random.default_rng(3)
    # From the shortest that splits to many times the window; in another order than by length.
    rows = [list(generator.integers(1, N_ITEMS + 1, n)) for n in (30, 3, 12, 5, 21, 4, 3, 9)]
    split = Split.of(data_of(Sequences.from_lists(rows), N_ITEMS))
    method = LastItems()
    ranks = FullRanking(split, phase, MAX_LENGTH, torch.device("cpu")).rank(method)
    expected = [by_hand(method.table.numpy(), row, phase) for row in rows]
    for name in expected[0]:
        assert getattr(ranks, name).tolist() == [row[name] for row in expected], name
