"""Small batches, text vectors and models that the IADSR tests share."""

from __future__ import annotations

import numpy as np
import torch
from small_models import build_backbone, build_method
from toys import training_data

from bench.data.sequences import Sequences
from bench.model.backbone import Sizes
from bench.model.batch import Rows, SequenceData
from bench.model.text_vectors import TextVectors

N_ITEMS, SIZE, LENGTH = 20, 6, 9
WITHOUT_TEXT = 7
"""The one item that has no text."""
HISTORIES = [[1, 2, 3, 4, 5, 6, 8], [9, 10], [7], [11, 7, 12, 13], [14, 15, 16, 17, 18, 19], [7, 7]]


def sequences(histories=HISTORIES):
    return Sequences.from_lists(histories)


def text_vectors(pooled=True, histories=HISTORIES, texts=True):
    """Random vectors: of each item, or of each item together with those before it."""
    generator = torch.Generator().manual_seed(5)
    if pooled:
        vectors = torch.randn(N_ITEMS + 1, SIZE, generator=generator)
        places = torch.arange(N_ITEMS + 1) * int(texts)
        vectors[0], places[WITHOUT_TEXT] = 0, 0
        return TextVectors(True, vectors, places)
    offsets = torch.from_numpy(sequences(histories).offsets)
    vectors = torch.randn(int(offsets[-1]) + 1, SIZE, generator=generator)
    vectors[0] = 0
    return TextVectors(False, vectors, torch.arange(1, len(vectors)), offsets)


def rows(users, lengths, histories=HISTORIES, start=0, targets=1):
    """Rows of the first ``lengths`` interactions of some users."""
    offsets = torch.from_numpy(sequences(histories).offsets)
    user, length = torch.tensor(users), torch.tensor(lengths)
    return Rows(user, offsets[user] + start, length, torch.full_like(user, targets))


def batch(users, lengths, histories=HISTORIES, **kwargs):
    return SequenceData(sequences(histories)).gather(rows(users, lengths, histories, **kwargs))


PREFIXES = batch([0, 1, 3, 4, 0, 5], [4, 1, 3, 5, 6, 1])


def padded(given):
    """The same batch in the longest frame."""
    more = LENGTH - given.items.shape[1]
    fill = {"items": 0, "targets": 0, "flat_index": -1}
    return type(given)(
        **{
            name: torch.nn.functional.pad(value, (0, more), value=fill[name])
            if name in fill
            else value
            for name, value in vars(given).items()
        }
    )


def model(variant="iadsr", backbone="gru4rec", texts=None, histories=HISTORIES, seed=0, **settings):
    """Build the method with large weights, without dropout, in training mode."""
    sizes = Sizes(len(histories), N_ITEMS, LENGTH)
    small = {"embedding_size": 8, "dropout": 0.0}
    small |= {"hidden_size": 12} if backbone == "gru4rec" else {}
    torch.manual_seed(seed)
    built = build_backbone(backbone, sizes, **small)
    with torch.no_grad():
        built.items.weight.mul_(1 / built.items.weight.std())
        built.items.weight[0].zero_()
    texts = text_vectors(histories=histories) if texts is None else texts
    data = training_data(sizes, histories, text_vectors=texts)
    method = build_method(variant, data, built, **settings)
    method.begin_epoch(0)
    return method.train()


def losses(method, given, seed=0):
    """Losses with the same random draws each time, as plain numbers."""
    torch.manual_seed(seed)
    return {name: float(value.detach()) for name, value in method.losses(given).items()}


def cosine(a, b):
    """Of two numpy vectors; 0 when one is zero."""
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return 0.0 if size == 0 else float(a @ b / size)
