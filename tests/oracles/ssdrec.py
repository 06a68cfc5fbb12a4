"""SSDRec's training step as the published code computes it, on the weights of ours.

All users and items are encoded at every step, padded slots are read three times with torch's own
LSTM, all pairs of slots are compared in a matrix, items are drawn as dense one-hot rows and
inserted row by row, and survivors are packed one by one. The arithmetic is that of
``ssdrec:compat``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from small_models import build_backbone, build_method
from torch import Tensor
from torch.nn import functional
from toys import training_data

from bench.data.sequences import Sequences
from bench.methods.hsd.core import HSDDraws
from bench.methods.parts.gumbel import gumbel_noise
from bench.methods.parts.sparse import SparseMatrix
from bench.methods.ssdrec.augment import AugmentationNoise
from bench.methods.ssdrec.insertion import Insertion
from bench.methods.ssdrec.model import SSDRec, SSDRecDraws
from bench.model.backbone import Sizes
from bench.model.batch import Batch, SequenceData
from bench.model.samples import last_prefixes

from . import hsd

ITEMS, LENGTH, WIDTH = 1_682, 50, 100
"""ML-100K's items, and the published script's sizes."""


def loop_insertion(
    items: Tensor, x: Tensor, insertion: Insertion, hot: Tensor
) -> tuple[Tensor, Tensor]:
    """Insert row by row, ids ``[B, L]`` and vectors ``[B, L, D]``, without widening the frame.

    Vectors are multiplied by entries of the drawn one-hot rows ``hot [B, L]`` and rolled.
    """
    ids, stay, twice = [], [], []
    width = items.shape[1]
    for row in range(len(items)):
        own, p = hot[row], int(insertion.position[row])
        value, nothing = own[p], torch.zeros_like(own)
        stay.append(torch.cat([own[:p] + value, nothing[:1], own[p + 1 :]]))
        moving = own[p + 1 : width - 2] + value
        twice.append(torch.cat([nothing[: p + 1], moving, nothing])[:width])
        if not insertion.rows[row]:
            ids.append(items[row])
            continue
        left, right = insertion.items[:, row]
        parts = [
            items[row, :p],
            left[None],
            items[row, p : p + 1],
            right[None],
            items[row, p + 1 :],
        ]
        ids.append(torch.cat(parts)[:width])
    before, after = insertion.vectors[:, :, None]
    spread = hot[..., None]
    built = x * torch.stack(stay)[..., None] + torch.roll(x * spread, 1, 1)
    built = built + torch.roll(x * torch.stack(twice)[..., None], 2, 1)
    built = built + before * spread + after * torch.roll(spread, 2, 1)
    return torch.stack(ids), torch.where(insertion.rows[:, None, None], built, x)


class Published(hsd.Published):
    """The published step on the weights of an ``ssdrec:compat``.

    Parameters
    ----------
    method
        Our model, whose weights are used.
    """

    def __init__(self, method: SSDRec) -> None:
        super().__init__(method)  # type: ignore[arg-type]
        self.whole = method
        encoder = method.encoder
        names = ("interaction", "similar", "dissimilar", "interacted_by", "incoming", "outgoing")
        self.graphs = {name: _coo(getattr(encoder, name)) for name in (*names, "incompatible")}

    def losses(self, batch: Batch, chance: SSDRecDraws | None = None) -> dict[str, Tensor]:  # type: ignore[override]
        """Compute the parts of one step; draws are made where none are given."""
        core = self.whole.core
        chance = chance or draws_for(self.whole, batch, refined=True)
        noise, draws = chance.augmentation, chance.denoising
        if core.pad is None or noise is None or draws is None:
            raise ValueError("the port follows ssdrec:compat on whole draws")
        table = torch.cat([core.pad[None], self.whole.backbone.item_vectors()])
        encoded, people = self.encode(table, core.users.weight)
        lengths = batch.valid.sum(1)
        x = encoded[batch.items] + (people[batch.users] / lengths[:, None])[:, None]
        tau = float(core.schedules.tau)
        drawn = _sample(self.rho(x, batch.valid), tau, noise.position)
        insertion = self.propose(x, lengths, encoded, drawn, noise)
        ids, x = loop_insertion(batch.items, x, insertion, drawn)
        refined = lengths + 2 * insertion.rows
        second = _sample(self.rho(x, ids > 0), tau, noise.second).argmax(1)
        ids = ids.clone()
        for row in range(len(ids)):
            near = [(int(insertion.position[row]) + step) % LENGTH for step in range(3)]
            if insertion.position[row] < lengths[row] and int(second[row]) in near:
                ids[row, second[row]] = 0
                refined[row] -= 1
        changed = replace(batch, items=ids)
        return self.denoise(changed, x, batch.valid, refined, table, draws)

    def encode(self, items: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
        """Encode all items and all users, relation by relation."""
        encoder, product = self.whole.encoder, torch.sparse.mm
        message = []
        for before, after in (("incoming", "outgoing"), ("incompatible", "incompatible")):
            first, second = product(self.graphs[before], items), product(self.graphs[after], items)
            keys = (encoder.incoming_key(items * first), encoder.outgoing_key(items * second))
            scores = [functional.leaky_relu(key, 0.2).sum(1) / WIDTH**0.5 for key in keys]
            weight = torch.softmax(torch.stack(scores), 0)[..., None]
            message.append(weight[0] * first + weight[1] * second)
        by = product(self.graphs["interacted_by"], users)
        of = product(self.graphs["interaction"], items)
        around = [product(self.graphs[name], users) for name in ("similar", "dissimilar")]
        return (
            self.fuse(by, items, message, encoder.item_scalars, encoder.item_fusion),
            self.fuse(of, users, around, encoder.user_scalars, encoder.user_fusion),
        )

    def fuse(
        self, interacted: Tensor, own: Tensor, messages: list[Tensor], scalars: Any, fusion: Any
    ) -> Tensor:
        """Join each relation with the interactions, then average."""
        rate, joined = self.whole.config.graph_dropout, []
        for message in messages:
            mixed = scalars(torch.stack([message, own], -1)).squeeze(-1)
            joined.append(fusion.join(torch.cat([interacted, functional.dropout(mixed, rate)], 1)))
        encoded: Tensor = fusion.outer(fusion.inner(sum(joined) / 2).sigmoid())
        return encoded

    def rho(self, x: Tensor, valid: Tensor) -> Tensor:
        """Inconsistency ``[B, L]``, with a matrix of all pairs of slots."""
        augmenter = self.whole.augmenter
        start, end = (v.expand(len(x), 1, -1) for v in (augmenter.start, augmenter.end))
        forward, backward = augmenter.lstm.lstm(torch.cat([start, x, end], 1))[0].chunk(2, -1)
        fits = (x * forward[:, :-2] * backward[:, 2:]).sum(-1)
        m = valid[..., None].float()
        clipped = x.clamp(-1, 1) * m
        pairs = clipped @ clipped.transpose(1, 2)
        pairs = pairs * (1 - torch.eye(x.shape[1]))
        shares = [
            torch.softmax(logits.masked_fill(~valid, -1e30), 1) * valid
            for logits in (fits, pairs.sum(2))
        ]
        return 1 - shares[0] * shares[1]

    def propose(
        self, x: Tensor, lengths: Tensor, encoded: Tensor, drawn: Tensor, noise: AugmentationNoise
    ) -> Insertion:
        """Draw both items for every row from dense one-hot samples."""
        position = drawn.argmax(1)
        forward, backward = self.whole.augmenter.lstm.lstm(x)[0].chunk(2, -1)
        queries = [
            (states * torch.roll(drawn, shift, 1)[..., None]).sum(1)
            for states, shift in ((forward, -1), (backward, 1))
        ]
        tau = float(self.whole.core.schedules.tau)
        ids, vectors = [], []
        given = (None, None) if noise.items is None else noise.items
        for query, gumbel in zip(queries, given, strict=True):
            hot = _sample(query @ encoded.T, tau, gumbel)
            ids.append(hot.argmax(1))
            vectors.append(hot @ encoded)
        rows = (position < lengths) & (lengths <= x.shape[1] - 2)
        ones = torch.ones(len(x))
        return Insertion(rows, position, torch.stack(ids), torch.stack(vectors), ones)

    def denoise(
        self,
        batch: Batch,
        x: Tensor,
        stale: Tensor,
        lengths: Tensor,
        table: Tensor,
        draws: HSDDraws,
    ) -> dict[str, Tensor]:
        """Run the published HSD on the changed ids, with the mask from before the change."""
        core, backbone = self.whole.core, self.whole.backbone
        targets, m = batch.targets.sum(1), stale[..., None].float()
        raw = functional.embedding(batch.items, table, padding_idx=0)
        query = table[targets]
        sequence, _, errors = self.signals(raw, m, query, lengths)
        item = self.signals(x, m, query)[1]
        self.judged = torch.stack([sequence, item])
        tau = float(core.schedules.tau)
        hard = [
            _sample(logits, tau, gumbel)
            for logits, gumbel in zip((sequence, item), draws.gates, strict=True)
        ]
        keep = (1 - hard[0][..., 1] * hard[1][..., 1]) * (stale & (batch.items > 0))
        packed, moved = hsd.loop_packing(batch.items, raw * keep[..., None], keep.detach() > 0.5)
        last = ((packed > 0).sum(1) - 1).clamp_min(0)
        valid = torch.arange(LENGTH) <= last[:, None]
        states = backbone.encode(moved, valid, batch.users)
        logits = backbone.project(states[torch.arange(len(last)), last]) @ table.T
        chosen = errors.argsort()[: int((1 - core.schedules.curriculum) * len(errors))]
        seen = replace(batch, items=batch.items * stale)
        return {
            "next_item": functional.cross_entropy(logits[chosen], targets[chosen]),
            "reconstruction": errors[chosen].mean(),
            "interest": self.interest(seen, raw, table[draws.negatives], lengths),
        }


def _sample(logits: Tensor, tau: float, gumbel: Tensor | None) -> Tensor:
    """Hard sample with the gradient of the relaxed one, dense."""
    if gumbel is None:
        gumbel = gumbel_noise(logits.shape, logits)
    soft = torch.softmax((logits + gumbel) / tau, -1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()


def _coo(matrix: SparseMatrix) -> Tensor:
    rows = torch.repeat_interleave(torch.arange(matrix.shape[0]), matrix.starts.diff())
    places = torch.stack([rows, matrix.columns.long()])
    return torch.sparse_coo_tensor(places, matrix.values, matrix.shape, check_invariants=False)


def histories(users: int, items: int, mean: float, seed: int = 0) -> Sequences:
    """Draw histories with popularity like that of real catalogues."""
    generator = np.random.default_rng(seed)
    popularity = 1 / np.arange(10, items + 10)
    lengths = 3 + generator.exponential(mean, users).astype(np.int64)
    drawn = generator.choice(items, lengths.sum(), p=popularity / popularity.sum())
    return Sequences.from_lengths(lengths, (drawn + 1).astype(np.int32))


def model(name: str, backbone: str, train: Sequences, **settings: Any) -> SSDRec:
    """Build SSDRec around a backbone at the published width."""
    torch.manual_seed(0)
    sizes = Sizes(len(train), ITEMS, LENGTH)
    inside = build_backbone(backbone, sizes, embedding_size=WIDTH)
    method: SSDRec = build_method(name, training_data(sizes, train), inside, **settings)
    method.begin_epoch(1)
    return method


def some_batch(train: Sequences, rows: int) -> Batch:
    """Take the last prefixes of the first users, in frames of the published width."""
    data = SequenceData(train)
    batch = data.gather(last_prefixes(data, LENGTH).take(torch.arange(rows)))
    missing = LENGTH - batch.items.shape[1]
    items, targets = (functional.pad(t, (0, missing)) for t in (batch.items, batch.targets))
    return replace(batch, items=items, targets=targets)


def draws_for(method: SSDRec, batch: Batch, *, refined: bool) -> SSDRecDraws:
    """Draw everything that a step of either side needs."""
    rows, like = len(batch.users), method.core.users.weight
    position, second = gumbel_noise((2, rows, LENGTH), like)
    if not refined:
        # Our side leaves no holes, so the comparison lets refinement hit the last slot, and keeps
        # suspicious positions out of its reach.
        second[:, -1] = 100
        position[:, -3:] = -100
    noise = AugmentationNoise(position, gumbel_noise((2, rows, ITEMS + 1), like), second)
    targets = batch.targets.sum(1)
    return SSDRecDraws(
        augmentation=noise, denoising=method.core.draw(batch.items.shape, targets, ITEMS)
    )


def compare(train: Sequences, rows: int, **settings: Any) -> float:
    """Compare port and ``ssdrec:compat``; see :func:`.hsd.largest_difference`."""
    still = {"dropout_sequence": 0.0, "dropout_item": 0.0, "graph_dropout": 0.0}
    method = model("ssdrec:compat", "gru4rec", train, **still, **settings)
    with hsd.judged(method.core.gates) as verdict:
        ours, theirs, port = losses_of_both(method, some_batch(train, rows))
    return hsd.largest_difference(ours, theirs, verdict[0], port.judged)


def losses_of_both(
    method: SSDRec, batch: Batch
) -> tuple[dict[str, Tensor], dict[str, Tensor], Published]:
    """Compute a step's losses by our code and by the port, from the same draws."""
    method.backbone.eval()
    chance, port = draws_for(method, batch, refined=False), Published(method)
    return method.losses(batch, chance), port.losses(batch, chance), port
