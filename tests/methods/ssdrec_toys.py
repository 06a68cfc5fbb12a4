"""A small SSDRec on histories that have every relation."""

import numpy as np
import torch
from toys import training_data

from bench.components import BACKBONES, METHODS
from bench.data.sequences import Sequences
from bench.model.backbone import Sizes
from bench.model.batch import Batch

N_USERS, N_ITEMS, LENGTH, WIDTH = 30, 20, 8, 8


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
    sizes = Sizes(N_USERS, N_ITEMS, LENGTH)
    entry, chosen = METHODS.get(name), BACKBONES.get(backbone)
    width = {"embedding_size": WIDTH}
    inside = chosen.model_class()(chosen.config_class().parse(width, backbone), sizes)
    given = {"hot_items": 1.0, "hot_users": 1.0, "c_min": 0} | settings
    train = random_histories() if train is None else train
    data = training_data(sizes, train, seed=5)
    method = entry.model_class()(entry.parse({name: given}, name), data, inside)
    method.begin_epoch(0)
    return method


def some_batch(lengths, seed=0):
    """Prefixes of given lengths with one target each."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor(lengths)
    frame = (len(lengths), int(lengths.max()))
    items, following = torch.randint(1, N_ITEMS + 1, (2, *frame), generator=generator)
    steps = torch.arange(frame[1])
    valid, last = steps < lengths[:, None], steps == lengths[:, None] - 1
    users = torch.randint(0, N_USERS, (frame[0],), generator=generator)
    slots = torch.arange(items.numel()).view(frame).where(valid, -1)
    return Batch(users, items * valid, following * last, slots, torch.zeros_like(users))
