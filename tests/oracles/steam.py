"""STEAM's corruption, correction and training step, as published, on the weights of our model.

Corruption and edits row by row with lists, a set of all item numbers for each row;
every block on padded frames; the generator, greedy decoding and both softmaxes at all slots,
over all classes. The arithmetic is that of ``steam:compat``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from toys import training_data

from bench.components import METHODS
from bench.data.sequences import Sequences
from bench.methods.parts.attention import PostNormBlock
from bench.methods.parts.ragged import Ragged
from bench.methods.steam.config import STEAMConfig
from bench.methods.steam.corruption import DELETE, INSERT, KEEP, Corrupted
from bench.methods.steam.masking import mask
from bench.methods.steam.model import STEAM, STEAMDraws
from bench.model.backbone import Sizes
from bench.model.batch import Batch, SequenceData
from bench.model.samples import histories, segments

ITEMS, LENGTH = 12_101, 50
"""Items of Beauty, and the official longest segment."""
USERS = 4096
SHARES = (0.886, 0.040, 0.074)
"""Keep, delete and insert decisions of the released weights on test histories of Beauty."""


@dataclass(frozen=True, eq=False)
class Input:
    """Histories about as long as Beauty's."""

    train: Sequences

    @classmethod
    def make(cls) -> Input:
        """Draw them; lengths are geometric with a mean near Beauty's, at least 3."""
        generator = np.random.default_rng(0)
        lengths = (2 + generator.geometric(0.2, USERS)).astype(np.int64)
        items = generator.integers(1, ITEMS + 1, int(lengths.sum()), dtype=np.int32)
        return cls(Sequences.from_lengths(lengths, items))

    def segments(self, users: int) -> Batch:
        """Draw a training batch."""
        data = SequenceData(self.train)
        rows = segments(data, LENGTH, 1, torch.Generator().manual_seed(0))
        return data.gather(rows.take(torch.arange(users)))

    def histories(self, users: int) -> Tensor:
        """Return whole histories, int64 ``[users, W]``."""
        data = SequenceData(self.train)
        return data.gather(histories(data, LENGTH).take(torch.arange(users))).items

    def model(self, **settings: object) -> STEAM:
        """Build STEAM with all classes and cumulative positions, as the official code has."""
        torch.manual_seed(0)
        compat = METHODS.get("steam:compat").defaults
        config = STEAMConfig.parse({**compat, **settings}, "oracle")
        model = STEAM(config, training_data(Sizes(USERS, ITEMS, LENGTH), self.train))
        self._calibrate(model)
        return model

    def _calibrate(self, model: STEAM) -> None:
        """Shift the operation head, so that it decides about as often as the released one."""
        items = self.histories(512)
        ragged = Ragged(items > 0)
        with torch.no_grad():
            logits = model.eval().corrector.head(model.encoder(items, ragged))
            for operation in (DELETE, INSERT):
                margin = logits[:, operation] - logits[:, KEEP]
                shift = torch.quantile(margin, 1 - SHARES[operation])
                model.corrector.head.bias[operation] -= shift


class Loops:
    """The published computation around the parameters of one of our models."""

    def __init__(self, model: STEAM) -> None:
        self.model = model
        self.encoder = model.encoder
        self.table = model.encoder.items.weight

    def corrupt(self, rows: list[list[int]], chance: random.Random) -> list[list[int]]:
        """Corrupt row after row and return the labels."""
        return [self._corrupt_row(row, chance)[1] for row in rows]

    def _corrupt_row(
        self, row: list[int], chance: random.Random
    ) -> tuple[list[int], list[int], list[list[int]]]:
        free = set(range(1, ITEMS + 1)) - set(row)
        items: list[int] = []
        labels: list[int] = []
        gaps: list[list[int]] = []
        t, deleted, rates = 0, 0, self.model.rates
        weights = (1 - rates.drop - rates.noise, rates.drop, rates.noise)
        while t < len(row):
            operation = chance.choices((KEEP, DELETE, INSERT), weights)[0]
            gap: list[int] = []
            if operation == INSERT:
                if len(row) - deleted + labels.count(DELETE) >= rates.longest:
                    continue
                item, label = chance.choice(tuple(free)), DELETE
                free.discard(item)
            elif operation == DELETE and t < len(row) - 1:
                while True:
                    gap.insert(0, row[t])
                    t += 1
                    again = len(gap) < rates.longest_run and t < len(row) - 1
                    if not again or chance.choices((KEEP, DELETE, INSERT), weights)[0] != DELETE:
                        break
                deleted += len(gap)
                item, label = row[t], INSERT
                t += 1
            elif operation == KEEP:
                item, label = row[t], KEEP
                t += 1
            else:
                continue
            items.append(item)
            labels.append(label)
            gaps.append(gap)
        return items, labels, gaps

    def encode(self, items: Tensor) -> Tensor:
        """Encode a padded frame ``[B, L]``."""
        z = (
            functional.embedding(items, self.table)
            + self.encoder.positions.weight[: items.shape[1]]
        )
        for block in self.encoder.blocks:
            z = _block(cast("PostNormBlock", block), z, (items > 0)[:, None])
        return z

    def correct(self, items: Tensor) -> list[list[int]]:
        """Decide, write at every slot, then insert and delete in lists."""
        with torch.no_grad():
            h = self.encode(items)
            decided = self.model.corrector.head(h).argmax(-1)
            written = self._write(h.flatten(0, 1)).view(*items.shape, -1)
        corrected = []
        for row, operations, tokens in zip(
            items.tolist(), decided.tolist(), written.tolist(), strict=True
        ):
            result: list[int] = []
            for item, operation, found in zip(row, operations, tokens, strict=True):
                if not item:
                    continue
                if operation == INSERT:
                    place = len(result)
                    for token in found:
                        if token == self.encoder.end:
                            break
                        if 0 < token < self.encoder.end:
                            result.insert(place, token)
                if operation != DELETE:
                    result.append(item)
            corrected.append(result)
        return corrected

    def _write(self, states: Tensor) -> Tensor:
        """Write K tokens at all slots, ends or not."""
        generator = self.model.corrector.generator
        inputs, tokens = states[:, None], []
        for step in range(generator.longest):
            # The published decoder adds positions to the whole prefix, anew in every step.
            inputs = inputs + self.encoder.positions.weight[: step + 1]
            past = torch.ones(step + 1, step + 1, dtype=torch.bool).tril()
            scores = _block(generator.block, inputs, past)[:, -1] @ self.table.T
            tokens.append(scores.argmax(-1))
            read = functional.embedding(tokens[-1], self.table)
            inputs = torch.cat([inputs, read[:, None]], 1)
        return torch.stack(tokens, 1)

    def losses(self, items: Tensor, draws: STEAMDraws) -> dict[str, Tensor]:
        """Compute the four losses from scores of all classes at all slots."""
        truth = draws.corrupted
        found = self._corrector_losses(wide(truth.items, self.model.length), truth)
        rows = self.correct(wide(items, self.model.length))
        longest = max(1, *map(len, rows))
        corrected = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        views = {"raw": (items, draws.raw), "corrected": (corrected, draws.corrected)}
        for name, (given, uniform) in views.items():
            uniform = uniform[:, : given.shape[1]]
            hidden = mask(given, self.model.config.mask_rate, self.encoder.mask, uniform)
            seen = wide(hidden.items, self.model.length)
            vectors = _block(self.model.recommender, self.encode(seen), (seen > 0)[:, None])
            targets = wide(hidden.targets.where(hidden.hidden, -1), self.model.length, -1)
            found[name] = functional.cross_entropy(
                (vectors @ self.table.T).flatten(0, 1), targets.flatten(), ignore_index=-1
            )
        return found

    def _corrector_losses(self, items: Tensor, truth: Corrupted) -> dict[str, Tensor]:
        longest = self.model.corrector.generator.longest
        operations = wide(truth.operations, items.shape[1])
        h = self.encode(items)
        missing = torch.zeros(*items.shape, longest, dtype=torch.long)
        missing[operations == INSERT] = truth.missing
        read = functional.embedding(missing[..., :-1], self.table)
        inputs = torch.cat([h[:, :, None], read], 2).flatten(0, 1)
        placed = inputs + self.encoder.positions.weight[:longest]
        past = torch.ones(longest, longest, dtype=torch.bool).tril()
        scores = _block(self.model.corrector.generator.block, placed, past) @ self.table.T
        targets = missing.where(missing > 0, -1).flatten()
        labels = operations.where(items > 0, -1).flatten()
        return {
            "operation": functional.cross_entropy(
                self.model.corrector.head(h).flatten(0, 1), labels, ignore_index=-1
            ),
            "insertion": functional.cross_entropy(scores.flatten(0, 1), targets, ignore_index=-1),
        }


def wide(items: Tensor, width: int, fill: int = 0) -> Tensor:
    """Pad to the official frame, whatever the longest row."""
    return functional.pad(items, (0, width - items.shape[1]), value=fill)


def _block(block: PostNormBlock, z: Tensor, allowed: Tensor) -> Tensor:
    """One transformer block on a padded frame ``[N, T, D]``."""
    q, k, v = block.qkv(z).chunk(3, -1)
    logits = (q @ k.transpose(1, 2)) / z.shape[-1] ** 0.5
    # Finite: slots of rows without any key are computed too.
    weights = torch.softmax(logits.masked_fill(~allowed, -1e9), -1)
    z = block.norm_attention(z + block.out(weights @ v))
    fed: Tensor = block.norm_feed(z + block.contract(functional.gelu(block.expand(z))))
    return fed


def compare(given: Input, users: int) -> float:
    """Return the largest difference of a loss of port and model, without dropout."""
    model = given.model(dropout=0.0)
    batch = given.segments(users)
    draws = model.draw(batch.items)
    theirs, ours = Loops(model).losses(batch.items, draws), model.losses(batch, draws)
    return max(float((theirs[name] - ours[name]).detach().abs()) for name in ours)
