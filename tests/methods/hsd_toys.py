"""Small HSD models and inputs that its tests share."""

from __future__ import annotations

import torch
from small_models import build_backbone, random_prefixes
from toys import training_data

from bench.methods.hsd.config import HSDConfig
from bench.methods.hsd.core import HSDInputs
from bench.methods.hsd.model import HSD
from bench.model.backbone import Sizes

WIDTH, SLOTS = 6, 7
SIZES = Sizes(n_users=9, n_items=40, max_length=SLOTS)
STILL = {"dropout_sequence": 0.0, "dropout_item": 0.0}

TRAINING = training_data(SIZES, [[1, 2, 3]] * SIZES.n_users, seed=5)


def config(**changes):
    """Settings without dropout."""
    return HSDConfig(**(STILL | changes))


def mask(lengths, width=SLOTS):
    return torch.arange(width) < torch.tensor(lengths)[:, None]


def shaken(module, std=0.5, seed=0):
    """Give every parameter a size that matters, whatever its start."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=std)
    return module


def model(backbone="gru4rec", **changes):
    """HSD on a backbone without dropout, in evaluation mode."""
    torch.manual_seed(0)
    built = build_backbone(backbone, SIZES, embedding_size=WIDTH, dropout=0.0)
    method = HSD(config(**changes), TRAINING, built)
    with torch.no_grad():
        built.items.weight.normal_(std=1.0)
        built.items.weight[0].zero_()
        method.core.users.weight.normal_(std=1.0)
    return method.eval()


def batch(lengths, seed=0, width=SLOTS):
    """Random histories, each with the item that follows its last one as target."""
    generator = torch.Generator().manual_seed(seed)
    return random_prefixes(torch.tensor(lengths), width, SIZES, generator)


def inputs(method, rows):
    return HSDInputs(rows.users, rows.valid, method.backbone.embed(rows.items))
