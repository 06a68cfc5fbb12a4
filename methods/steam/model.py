"""STEAM: corrector and recommender, trained jointly and applied one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.methods.parts.ragged import Ragged
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .config import STEAMConfig
from .corrector import Corrector
from .corruption import DELETE, INSERT, KEEP, Corrupted, CorruptionRates, corrupt
from .diagnostics import edit_statistics
from .edits import Corrected
from .encoder import SharedEncoder, new_block
from .masking import Masked, mask
from .noise import NoiseSampler

EXTRA_POSITIONS = 10
"""Positions beyond the longest history: room for insertions and for MASK."""


@dataclass(frozen=True, eq=False)
class STEAMDraws:
    """Random numbers of one training step, except for dropout.

    Attributes
    ----------
    corrupted
        The corrupted segments.
    raw
        ``[B, W]`` uniform numbers that decide which items of the segments are masked.
    corrected
        ``[B, L]`` uniform numbers, the same for the corrected segments, of any length.
    """

    corrupted: Corrupted
    raw: Tensor
    corrected: Tensor


class STEAM(Method):
    """Learn to undo corruption of segments, and to name masked items, raw and corrected.

    Parameters
    ----------
    config
        Settings of STEAM.
    data
        Training interactions, and the loss.
    backbone
        None: the recommender is the method's own.
    """

    def __init__(
        self, config: STEAMConfig, data: TrainingData, backbone: Backbone | None = None
    ) -> None:
        super().__init__()
        del backbone
        self.config = config
        self.train_data = data.train
        self.next_item_loss = data.next_item_loss
        self.history = data.sizes.max_length
        self.length = data.sizes.max_length + EXTRA_POSITIONS
        self.rates = CorruptionRates(
            config.drop_rate, config.noise_rate, config.max_inserted, self.length
        )
        self.noise = NoiseSampler(_noise_weights(config, data))
        self.encoder = SharedEncoder(config, data.sizes.n_items, self.length)
        self.corrector = Corrector(config)
        self.recommender = new_block(config)
        self.epoch = 0
        self._init_weights()

    def begin_epoch(self, epoch: int) -> None:
        """Store the epoch, for late correction."""
        self.epoch = epoch

    def losses(self, batch: Batch, draws: STEAMDraws | None = None) -> dict[str, Tensor]:
        """Compute ``operation``, ``insertion``, ``raw`` and ``corrected`` (README.md, equation 3).

        Parameters
        ----------
        batch
            Segments of training histories.
        draws
            Random numbers; drawn from torch's generator if None.
        """
        if draws is None:
            draws = self.draw(batch.items)
        raw = mask(batch.items, self.config.mask_rate, self.encoder.mask, draws.raw)
        views = [raw]
        if self.config.weight_corrected and self.epoch >= self.config.correct_after_epoch:
            views.append(self._corrected_view(raw, draws.corrected))
        # One pass for all views, to avoid the overhead of many small operations.
        frame = _stacked([draws.corrupted.items, *(view.items for view in views)])
        states = self.encoder(frame, Ragged(frame > 0))
        own = int((draws.corrupted.items > 0).sum())
        operation, insertion = self.corrector.losses(
            self.encoder, states[:own], draws.corrupted, self.next_item_loss
        )
        named = self._recommendation_losses(states[own:], views)
        corrected = named[1] if len(named) > 1 else states.new_zeros(())
        return {
            "operation": operation,
            "insertion": insertion,
            "raw": named[0],
            "corrected": self.config.weight_corrected * corrected,
        }

    def draw(self, items: Tensor) -> STEAMDraws:
        """Draw the random numbers of a step, for segments int64 ``[B, W]``."""
        corrupted = corrupt(items, self.rates, self.noise)
        raw = torch.rand(items.shape, device=items.device)
        return STEAMDraws(corrupted, raw, torch.rand(len(items), self.length, device=items.device))

    def correct(self, items: Tensor) -> Corrected:
        """Correct histories as ``edits`` says; the last L - 1 items are kept."""
        with self._evaluation_mode():
            return self.corrector.correct(self.encoder, items, self.length - 1, self.config.edits)

    def user_vectors(self, batch: Batch) -> Tensor:
        """Compute the state at the MASK that follows the corrected histories, ``[B, D]``."""
        items = batch.items if self.config.edits == "none" else self.correct(batch.items).items
        asked = nn.functional.pad(items, (0, 1))
        count = (items > 0).sum(1)
        asked[torch.arange(len(items), device=items.device), count] = self.encoder.mask
        ragged = Ragged(asked > 0)
        return self.recommender.last(self.encoder(asked, ragged), ragged)

    def item_vectors(self) -> Tensor:
        """Return the item table, ``[n_items, D]``, without padding, EOS and MASK."""
        return self.encoder.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Return deletions, with the log-odds of deletion as score (NaN at padding).

        An insertion says something about the gap before an interaction. It is not noise, and
        :meth:`diagnostics` counts it separately.
        """
        ragged = Ragged(batch.valid)
        logits = self.corrector.head(self.encoder(batch.items, ragged))
        others = torch.logsumexp(logits[:, [KEEP, INSERT]], 1)
        score = ragged.put(logits[:, DELETE] - others)
        kept = ragged.put(self.corrector.decide(logits, ragged) != DELETE)
        return Denoised(kept, score.masked_fill(~batch.valid, float("nan")))

    def diagnostics(self) -> dict[str, float | int | str]:
        """Count edits of the training histories' last ``max_length`` interactions."""

        def edit(items: Tensor) -> Corrected:
            # Room for all that can be inserted: nothing is cut off before it is counted.
            available = items.shape[1] * (1 + self.config.max_inserted)
            return self.corrector.correct(self.encoder, items, available)

        with self._evaluation_mode():
            return edit_statistics(edit, self.train_data, self.history, self.device)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.encoder.items.weight.device

    def _corrected_view(self, raw: Masked, uniform: Tensor) -> Masked:
        """Correct segments with the current parameters, then mask items of the result."""
        blind = self.config.correct_masked
        with self._evaluation_mode():
            found = self.corrector.correct(
                self.encoder, raw.items if blind else raw.targets, self.length
            )
        uniform = uniform[:, : found.items.shape[1]]
        fresh = mask(found.items, self.config.mask_rate, self.encoder.mask, uniform)
        if not blind:
            return fresh
        # Items that the corrector did not see stay masked; their targets are known.
        own = (found.items > 0) & ~found.inserted
        anchor = found.anchor.clamp_min(0)
        hidden = torch.where(own, raw.hidden.gather(1, anchor), fresh.hidden)
        targets = torch.where(own, raw.targets.gather(1, anchor), found.items)
        return Masked(targets.masked_fill(hidden, self.encoder.mask), hidden, targets)

    def _recommendation_losses(self, states: Tensor, views: list[Masked]) -> list[Tensor]:
        """Return the mean loss of the masked items of each view; ``states [M, D]`` of all views."""
        frame = _stacked([view.items for view in views])
        vectors = self.recommender(states, Ragged(frame > 0))
        table, first = self.encoder.classes("recommender")
        losses, start = [], 0
        for view in views:
            asked = view.hidden[view.items > 0]
            own = vectors[start : start + len(asked)]
            start += len(asked)
            targets = view.targets[view.hidden] - first + 1
            some = len(targets) > 0
            losses.append(
                self.next_item_loss(own[asked], table, targets) if some else own.new_zeros(())
            )
        return losses

    @contextmanager
    def _evaluation_mode(self) -> Iterator[None]:
        """Disable dropout and gradients, as in evaluation."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(training)

    def _init_weights(self) -> None:
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.xavier_normal_(part.weight)
            if isinstance(part, nn.Linear):
                nn.init.zeros_(part.bias)
        self.encoder.zero_padding()


def _stacked(frames: list[Tensor]) -> Tensor:
    """Stack frames of several widths along the rows, padded with 0."""
    width = max(frame.shape[1] for frame in frames)
    return torch.cat([nn.functional.pad(frame, (0, width - frame.shape[1])) for frame in frames])


def _noise_weights(config: STEAMConfig, data: TrainingData) -> Tensor:
    """Return the frequency with which the corruption inserts each item, ``[n_items]``."""
    if config.noise_items == "uniform":
        return torch.ones(data.sizes.n_items)
    counts = np.bincount(data.train.items, minlength=data.sizes.n_items + 1)
    return torch.from_numpy(counts[1:])
