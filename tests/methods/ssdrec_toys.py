"""A small SSDRec on histories that have every relation."""

import numpy as np
import torch
from small_models import build_backbone, build_method, random_prefixes
from toys import training_data

from bench.data.sequences import Sequences
from bench.model.backbone import Sizes

N_USERS, N_ITEMS, LENGTH, WIDTH = 30, 20, 8, 8
SIZES = Sizes(N_USERS, N_ITEMS, LENGTH)


def random_histories(seed=0, users=N_USERS, items=N_ITEMS, longest=12):
    generator = np.random.default_rng(seed)
    return Sequences.from_lists(
        [
            generator.integers(1, items + 1, generator.integers(1, longest + 1)).tolist()
            for _ in range(users)
        ]
    )


def build(name="ssdrec", backbone="gru4rec", train=None, **settings):
    """Build the method; graphs come from random histories."""
    torch.manual_seed(3)
    inside = build_backbone(backbone, SIZES, embedding_size=WIDTH)
    given = {"hot_items": 1.0, "hot_users": 1.0, "c_min": 0} | settings
    train = random_histories() if train is None else train
    method = build_method(name, training_data(SIZES, train, seed=5), inside, **given)
    method.begin_epoch(0)
    return method


def some_batch(lengths, seed=0):
    """Prefixes of given lengths with one target each."""
    generator = torch.Generator().manual_seed(seed)
    return random_prefixes(torch.tensor(lengths), max(lengths), SIZES, generator)
