"""The bare backbone's noise score is its own loss of each interaction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from bench.components import BACKBONES
from bench.data.split import Split
from bench.model.batch import Batch
from bench.testing import MethodTests, example


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_the_score_is_the_loss_of_each_interaction_given_those_before(backbone):
    suite = type("Suite", (MethodTests,), {"name": "none", "backbone": backbone})()
    method = suite.make().eval()
    items = torch.tensor([[3, 9, 1, 4], [5, 2, 0, 0]])
    batch = Batch(torch.tensor([0, 1]), items, torch.zeros_like(items), items, torch.tensor([0, 0]))
    with torch.no_grad():
        decided = method.denoise(batch)
        assert (decided.keep == (items > 0)).all()
        for row, place in ((0, 1), (0, 2), (0, 3), (1, 1)):
            alone = items[row : row + 1, :place]
            part = Batch(
                batch.users[row : row + 1],
                alone,
                alone * 0,
                alone,
                torch.zeros(1, dtype=torch.long),
            )
            scores = method.user_vectors(part) @ method.item_vectors().T
            expected = functional.cross_entropy(scores, items[row, place : place + 1] - 1)
            assert decided.score[row, place].item() == pytest.approx(expected.item(), abs=1e-4)
    train = Split.of(example.dataset()).train.items
    counts = np.bincount(train, minlength=example.N_ITEMS + 1)[1:] + 1
    for row in (0, 1):
        first = int(items[row, 0])
        expected = -np.log(counts[first - 1] / counts.sum())
        assert decided.score[row, 0].item() == pytest.approx(expected, abs=1e-5)
