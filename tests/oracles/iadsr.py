"""IADSR's training step, as the published script computes it, on the weights of our model.

Interests in dictionaries of tensors by user, cosines user by user and position by
position, 32 users a step, the next item among the batch's own targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.data.sequences import Sequences
from bench.methods.backbones.gru4rec.config import GRU4RecConfig
from bench.methods.backbones.gru4rec.model import GRU4Rec
from bench.methods.iadsr.config import IADSRConfig
from bench.methods.iadsr.model import IADSR
from bench.model.backbone import Sizes
from bench.model.batch import Batch, SequenceData
from bench.model.method import NextItemLoss, TrainingData
from bench.model.samples import last_prefixes
from bench.model.text_vectors import TextVectors
from bench.training.losses import in_batch_tanh, target_cross_entropy

ITEMS, LENGTH, WIDTH = 12_101, 32, 576
"""Items and longest input of Beauty, width of SmolLM2's vectors."""
USERS = 4096
BATCH = 32
"""Users of a published step."""


@dataclass(frozen=True, eq=False)
class Input:
    """Histories as long as Beauty's, and made-up text vectors."""

    train: Sequences
    text_vectors: TextVectors

    @classmethod
    def make(cls) -> Input:
        """Draw lengths with a mean near Beauty's, at least 3, and items with a long tail."""
        generator = np.random.default_rng(0)
        lengths = np.minimum(2 + generator.geometric(0.2, USERS), LENGTH + 1)
        items = 1 + (ITEMS * generator.random(int(lengths.sum())) ** 2).astype(np.int32)
        vectors = torch.randn(ITEMS + 1, WIDTH, generator=torch.Generator().manual_seed(0))
        vectors[0] = 0
        return cls(
            Sequences.from_lengths(lengths.astype(np.int64), items),
            TextVectors(True, vectors, torch.arange(ITEMS + 1)),
        )

    def batches(self, users: int, steps: int) -> list[Batch]:
        """Gather the first users' last (prefix, next item) pairs."""
        interactions = SequenceData(self.train)
        rows = last_prefixes(interactions, LENGTH)
        return [
            interactions.gather(rows.take(torch.arange(step * users, (step + 1) * users)))
            for step in range(steps)
        ]


def method(given: Input, loss: NextItemLoss, **settings: object) -> IADSR:
    """Build IADSR around GRU4Rec without dropout."""
    config = IADSRConfig.parse(settings, "oracle")
    model = IADSR(config, training_data(given, loss), backbone())
    model.begin_epoch(1)
    return model


def training_data(given: Input, loss: NextItemLoss) -> TrainingData:
    """Collect what IADSR and the bare backbone train on."""
    sizes = Sizes(USERS, ITEMS, LENGTH)
    return TrainingData(
        sizes,
        given.train,
        loss,
        target_loss=target_cross_entropy,
        text_vectors=given.text_vectors,
    )


def backbone() -> GRU4Rec:
    """Build GRU4Rec with the same initial weights at every call."""
    torch.manual_seed(0)
    return GRU4Rec(GRU4RecConfig(dropout=0.0), Sizes(USERS, ITEMS, LENGTH))


class Loops:
    """The published loop structure around the parameters of one of our models.

    Parameters
    ----------
    method
        Whose parameters are used.
    given
        What the dictionaries are filled from: the mean text vector up to each position of each
        user's input, and over all of it.
    users
        Who is in the dictionaries.
    """

    def __init__(self, method: IADSR, given: Input, users: int) -> None:
        self.method = method
        self.backbone = cast("GRU4Rec", method.backbone)
        self.short: dict[int, Tensor] = {}
        self.long: dict[int, Tensor] = {}
        for user in range(users):
            items = torch.from_numpy(given.train[user][:-1].astype(np.int64))[-LENGTH:]
            total = given.text_vectors.vectors[items].cumsum(0)
            self.short[user] = total / torch.arange(1, len(items) + 1)[:, None]
            self.long[user] = self.short[user][-1]

    def losses(self, batch: Batch, uniform: Tensor) -> Tensor:
        """Sum the three losses; ``uniform`` holds the gate's noise, position after position."""
        method, backbone = self.method, self.backbone
        users, lengths = batch.users.tolist(), batch.valid.sum(1).tolist()
        x = backbone.embed(batch.items)
        states = backbone.gru(x)[0]
        e2 = states.masked_fill(~batch.valid[..., None], -torch.inf).max(1).values
        e1 = method.semantic_interests.long(torch.stack([self.long[user] for user in users]))
        meant = [method.semantic_interests.short(self.short[user]) for user in users]
        loss = _info_nce(e2, e1) + _info_nce(
            torch.cat([states[row, :n] for row, n in enumerate(lengths)]), torch.cat(meant)
        )
        rebuilt, noise = [], iter(uniform.tolist())
        for row, n in enumerate(lengths):
            gates = []
            for t in range(n):
                h, l_t = states[row, t], meant[row][t]
                score = functional.cosine_similarity(e1[row], h, dim=0)
                score = score + functional.cosine_similarity(e2[row], l_t, dim=0)
                score = score + functional.cosine_similarity(h, l_t, dim=0)
                gates.append(_gate(score, next(noise)))
            kept = states[row, :n] * torch.stack(gates)[:, None]
            rebuilt.append(functional.mse_loss(method.decoder(kept), x[row, :n]))
        last = torch.stack([states[row, n - 1] for row, n in enumerate(lengths)])
        targets = batch.targets.max(1).values
        loss = loss + torch.stack(rebuilt).mean()
        return loss + in_batch_tanh(backbone.project(last), backbone.item_vectors(), targets)


def _info_nce(queries: Tensor, keys: Tensor) -> Tensor:
    logits = functional.normalize(queries, dim=-1) @ functional.normalize(keys, dim=-1).T
    return functional.cross_entropy(logits / 0.1, torch.arange(len(logits)))


def _gate(score: Tensor, uniform: float) -> Tensor:
    noise = torch.tensor(uniform)
    gumbel = -torch.log(-torch.log(noise + 1e-10) + 1e-10)
    soft = torch.sigmoid(score + gumbel)
    return (soft > 0.5).float() + soft - soft.detach()


def compare(given: Input) -> float:
    """Return the difference of the losses of port and model on one batch with the same noise."""
    model = method(given, in_batch_tanh, theta=-1.0, progressive="none")
    [batch] = given.batches(BATCH, 1)
    torch.manual_seed(1)
    noise = torch.rand(int(batch.valid.sum()))
    torch.manual_seed(1)
    ours = torch.stack(list(model.losses(batch).values())).sum()
    return float((ours - Loops(model, given, BATCH).losses(batch, noise)).detach().abs())
