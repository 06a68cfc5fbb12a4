"""HSD's training step, as the published code computes it, on the weights of ``hsd:compat``.

Survivors are packed one by one, each with a look at its row number; truncation goes
row by row; both signals run over every padded slot, in torch's own LSTM, convolution and batch
norm; the backbone encodes every slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from small_models import build_backbone, build_method, random_prefixes
from torch import Tensor, nn
from torch.nn import functional
from toys import training_data

from bench.methods.hsd.core import HSDDraws, HSDInputs
from bench.methods.hsd.gates import HSDGates
from bench.methods.hsd.model import HSD
from bench.model.backbone import Sizes
from bench.model.batch import Batch
from bench.training.losses import cross_entropy

USERS, ITEMS = 22_363, 12_101
"""Beauty's."""
BATCH, LENGTH, WIDTH = 256, 50, 100
"""The published script's."""
MEAN_BEYOND_TWO = 4.0
"""Prefixes are as long as Beauty's last ones: two items and an exponential number more."""


def loop_packing(ids: Tensor, embedded: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Pack ids ``[B, L]`` and embeddings ``[B, L, D]`` item by item."""
    kept = keep.nonzero()
    source: list[int] = []
    target: list[int] = []
    filled = [0] * len(ids)
    for row, slot in zip(kept[:, 0], kept[:, 1], strict=True):
        number = row.item()
        source.append(int(number * ids.shape[1] + slot))
        target.append(int(number * ids.shape[1] + filled[int(number)]))
        filled[int(number)] += 1
    packed, moved = torch.zeros_like(ids).flatten(), torch.zeros_like(embedded).flatten(0, 1)
    packed[target] = ids.flatten()[source]
    moved[target] = embedded.flatten(0, 1)[source]
    return packed.view_as(ids), moved.view_as(embedded)


def loop_truncation(losses: Tensor, lengths: Tensor, rate: float) -> Tensor:
    """Zero the largest losses row by row; a slice of the last 0 elements is the whole row."""
    if not rate:
        return losses
    result = losses.clone()
    for row in range(len(losses)):
        count = int(rate * int(lengths[row]))
        result[row, losses[row].argsort()[-count:]] = 0
    return result


class Published(nn.Module):
    """The published step on the weights of an ``hsd:compat``.

    Parameters
    ----------
    method
        Our model, whose weights are used.
    """

    def __init__(self, method: HSD) -> None:
        super().__init__()
        self.method = method
        self.judged = torch.empty(0)
        sequence, item = method.core.gates.sequence, method.core.gates.item
        self.mix = nn.Conv2d(LENGTH, LENGTH, (2, 1))
        weights = torch.stack([sequence.mix_reconstructed, sequence.mix_original], -1)
        self.mix.weight = nn.Parameter(weights.detach()[..., None])
        self.mix.bias = nn.Parameter(sequence.mix_bias.detach().clone())
        self.norm = nn.BatchNorm1d(LENGTH)
        self.norm.weight = nn.Parameter(item.norm.weight.detach().clone())
        self.norm.bias = nn.Parameter(item.norm.bias.detach().clone())

    def signals(
        self, x: Tensor, m: Tensor, query: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute both gates' probabilities ``[B, L, 2]`` and reconstruction errors ``[B]``."""
        sequence, item = self.method.core.gates.sequence, self.method.core.gates.item
        both = (
            sum(sequence.lstm.lstm(functional.dropout(x, sequence.dropout) * m)[0].chunk(2, -1)) * m
        )
        rebuilt = sum(sequence.lstm.lstm(both)[0].chunk(2, -1))
        lengths = m.sum((1, 2)) if lengths is None else lengths
        errors = (rebuilt * m - x * m).square().sum((1, 2)) / lengths
        mixed = self.mix(torch.stack([rebuilt, x], 2)).squeeze(2)
        first = (
            torch.sigmoid(sequence.output(torch.relu(functional.dropout(mixed, sequence.dropout))))
            * m
        )
        features = functional.dropout(self.norm(x) * m, item.dropout) * m
        heard = torch.tanh(m * item.key(features) + item.query(query)[:, None])
        return first, torch.sigmoid(m * item.output(heard)), errors

    def losses(self, batch: Batch, draws: HSDDraws) -> dict[str, Tensor]:
        """Compute the parts of one step."""
        core, backbone = self.method.core, self.method.backbone
        table = torch.cat([core.pad[None], backbone.item_vectors()])  # type: ignore[index]
        targets = batch.targets.sum(1)
        # The padding row gets no gradient from look-ups.
        x = functional.embedding(batch.items, table, padding_idx=0)
        m = batch.valid[..., None].float()
        sequence, item, errors = self.signals(x, m, table[targets])
        self.judged = torch.stack([sequence, item])
        tau = float(core.schedules.tau)
        noise = [
            functional.softmax((logits + gumbel) / tau, -1)
            for logits, gumbel in zip((sequence, item), draws.gates, strict=True)
        ]
        hard = [soft + ((soft > 0.5).float() - soft).detach() for soft in noise]
        keep = (1 - hard[0][..., 1] * hard[1][..., 1]) * m[..., 0]
        packed, moved = loop_packing(batch.items, x * keep[..., None], keep.detach() > 0.5)
        last = ((packed > 0).sum(1) - 1).clamp_min(0)
        # Every backbone here needs one position: rows that lost everything read a zero.
        valid = torch.arange(LENGTH) <= last[:, None]
        states = backbone.encode(moved, valid, batch.users)
        logits = backbone.project(states[torch.arange(len(last)), last]) @ table.T
        chosen = errors.argsort()[: int((1 - core.schedules.curriculum) * len(errors))]
        return {
            "next_item": functional.cross_entropy(logits[chosen], targets[chosen]),
            "reconstruction": errors[chosen].mean(),
            "interest": self.interest(batch, x, table[draws.negatives], batch.valid.sum(1)),
        }

    def interest(self, batch: Batch, x: Tensor, negative: Tensor, lengths: Tensor) -> Tensor:
        """Rank items above the negative for the user."""
        wanted = self.method.core.users(batch.users)[:, None]
        margins = (x * wanted).sum(-1) - (negative[:, None] * wanted).sum(-1)
        losses = -(1e-10 + margins.sigmoid()).log() * batch.valid
        rate = self.method.core.schedules.truncation
        return loop_truncation(losses, lengths, rate).sum(1).mean()


def some_batch(*, full: bool, seed: int = 0) -> Batch:
    """Draw prefixes: all as long as the frame, or as long as Beauty's last ones."""
    generator = torch.Generator().manual_seed(seed)
    beyond = torch.empty(BATCH).exponential_(1 / MEAN_BEYOND_TWO, generator=generator).long()
    lengths = torch.full((BATCH,), LENGTH) if full else (2 + beyond).clamp_max(LENGTH)
    return random_prefixes(lengths, LENGTH, Sizes(USERS, ITEMS, LENGTH), generator)


def model(name: str, backbone: str, **settings: Any) -> HSD:
    """Build HSD around a backbone at the published width."""
    torch.manual_seed(0)
    sizes = Sizes(USERS, ITEMS, LENGTH)
    inside = build_backbone(backbone, sizes, embedding_size=WIDTH)
    method: HSD = build_method(name, training_data(sizes, [[1]]), inside, **settings)
    method.core.begin_epoch(1)
    return method


def compare() -> float:
    """Compare port and ``hsd:compat`` on rows of both kinds; see :func:`largest_difference`."""
    still = {"dropout_sequence": 0.0, "dropout_item": 0.0}
    found = []
    for full in (False, True):
        method = model("hsd:compat", "gru4rec", **still)
        method.backbone.eval()
        batch = some_batch(full=full)
        targets = batch.targets.sum(1)
        draws = method.core.draw(batch.valid.shape, targets, ITEMS)
        x, valid = method.core.pad_frame(method.backbone.embed(batch.items), batch.valid)
        inputs = HSDInputs(batch.users, valid, x)
        port = Published(method)
        with judged(method.core.gates) as verdict:
            ours = method.core.losses(method.backbone, cross_entropy, inputs, targets, draws)
        theirs = port.losses(batch, draws)
        found.append(largest_difference(ours, theirs, verdict[0], port.judged))
    return max(found)


def largest_difference(
    ours: dict[str, Tensor], theirs: dict[str, Tensor], judged: Tensor, judged_there: Tensor
) -> float:
    """Compare losses relatively, and what the gates sample from as it is.

    Losses alone would hardly tell: the gates reach them through hard samples only.
    """
    parts = torch.stack([ours[name] - theirs[name] for name in theirs])
    sizes = torch.stack(list(theirs.values())).abs().clamp_min(torch.finfo(parts.dtype).tiny)
    apart = torch.cat([(parts / sizes).abs(), (judged - judged_there).abs().max()[None]])
    return float(apart.max().detach())


@contextmanager
def judged(gates: HSDGates) -> Iterator[list[Tensor]]:
    """Note what the gates of ours sample from, ``[2, B, L, 2]`` a call."""
    seen: list[Tensor] = []
    hook = gates.register_forward_hook(
        lambda *call: seen.append(
            torch.stack([call[2].sequence * call[2].valid[..., None], call[2].item])
        )
    )
    try:
        yield seen
    finally:
        hook.remove()
