"""Small STEAM models and row-by-row references, written from the method's README alone."""

import random

import numpy as np
import torch
from toys import training_data

from bench.data.sequences import Sequences
from bench.methods.steam.config import STEAMConfig
from bench.methods.steam.model import STEAM
from bench.model.backbone import Sizes
from bench.model.batch import SequenceData
from bench.model.samples import histories

N_ITEMS, MAX_LENGTH = 40, 12
END = N_ITEMS + 1
MASK = N_ITEMS + 2


def rows_of(seed=0, users=30, longest=20):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest, users)
    return [(generator.permutation(N_ITEMS)[:n] + 1).tolist() for n in lengths]


def data_of(rows):
    sizes = Sizes(len(rows), N_ITEMS, MAX_LENGTH)
    return training_data(sizes, rows)


def model_of(rows=None, seed=0, sharp=True, **settings):
    """A model in evaluation mode; ``sharp`` weights make all three operations occur."""
    torch.manual_seed(seed)
    config = STEAMConfig(**({"embedding_size": 16} | settings))
    model = STEAM(config, data_of(rows or rows_of()), None)
    if sharp:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() == 2 and "norm" not in name:
                    parameter.mul_(2.0)
            model.encoder.items.weight.mul_(2.0)
            # The end must be likely enough to be met, and not always.
            direction = torch.randn(16)
            model.encoder.items.weight[END] = direction
            model.encoder.zero_padding()
    return model.eval()


def batch_of(rows, longest=MAX_LENGTH):
    data = SequenceData(Sequences.from_lists(rows))
    return data.gather(histories(data, longest))


def padded(rows, width=None):
    width = width or max(1, *(len(row) for row in rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


class Walk:
    """The published walk over one segment, operation by operation.

    ``operate`` gives "keep", "noise" or "drop"; ``invent`` a random item.
    """

    def __init__(self, operate, invent, longest_run, longest):
        self.operate, self.invent = operate, invent
        self.longest_run, self.longest = longest_run, longest

    def corrupt(self, segment):
        """Return the items, their labels and their insertion targets."""
        items, labels, targets, noise, deleted = [], [], [], [], 0
        last, t = len(segment) - 1, 0
        while t <= last:
            operation = self.operate()
            if operation == "keep":
                items.append(segment[t])
                labels.append(0)
                targets.append([])
                t += 1
            elif operation == "noise":
                if len(segment) - deleted + len(noise) >= self.longest:
                    continue
                item = self.invent()
                while item in segment or item in noise:
                    item = self.invent()
                noise.append(item)
                items.append(item)
                labels.append(1)
                targets.append([])
            elif t < last:
                run = [segment[t]]
                while len(run) < self.longest_run and t + len(run) < last:
                    if self.operate() != "drop":
                        break
                    run.append(segment[t + len(run)])
                deleted += len(run)
                t += len(run)
                items.append(segment[t])
                labels.append(2)
                targets.append(run[::-1] + ([END] if len(run) < self.longest_run else []))
                t += 1
        return items, labels, targets


def random_walk(keep, drop, noise, longest_run, longest, seed=0):
    chance = random.Random(seed)
    names, weights = ("keep", "drop", "noise"), (keep, drop, noise)
    return Walk(
        lambda: chance.choices(names, weights)[0],
        lambda: chance.randint(1, N_ITEMS),
        longest_run,
        longest,
    )


def unpack(corrupted):
    """Turn a vectorised corruption into rows of (items, labels, targets)."""
    missing = iter([row for row in corrupted.missing.tolist() if any(row)])
    found = []
    for items, labels in zip(corrupted.items.tolist(), corrupted.operations.tolist(), strict=True):
        count = sum(item > 0 for item in items)
        items, labels = items[:count], labels[:count]
        targets = [[i for i in next(missing) if i] if label == 2 else [] for label in labels]
        found.append((items, labels, targets))
    assert next(missing, None) is None
    return found


def naive_edit(row, decisions, tokens):
    """Apply decisions to one row; ``tokens[t]`` are nearest first, perhaps with an end."""
    result = []
    for slot, (item, decision) in enumerate(zip(row, decisions, strict=True)):
        if decision == 2:
            written = []
            for token in tokens[slot]:
                if token == END:
                    break
                written.append(token)
            result.extend((token, slot, True) for token in reversed(written))
        if decision != 1:
            result.append((item, slot, False))
    return result
