"""STEAM: corrector and recommender, trained jointly and applied one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.methods.parts.ragged import lay_out
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData
from bench.model.shapes import is_static, where

from .config import STEAMConfig
from .corrector import Corrector
from .corruption import DELETE, INSERT, KEEP, Corrupted, CorruptionRates, corrupt
from .diagnostics import edit_statistics
from .edits import Corrected
from .encoder import Classes, SharedEncoder, new_block
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
        self.target_loss = data.target_loss
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
        size = batch.size
        if draws is None:
            draws = self.draw(batch.items, size)
        raw = mask(batch.items, self.config.mask_rate, self.encoder.mask, draws.raw)
        views = [raw]
        if self.config.weight_corrected and self.epoch >= self.config.correct_after_epoch:
            views.append(self._corrected_view(raw, draws.corrected, size))
        # One pass for all views, to avoid the overhead of many small operations.
        frame = _stacked([draws.corrupted.items, *(view.items for view in views)])
        states = self.encoder(frame, lay_out(frame > 0))
        tokens = lay_out(frame[: len(batch.items)] > 0)
        own = len(tokens)
        operation, insertion = self.corrector.losses(
            self.encoder, states[:own], tokens, draws.corrupted, self._class_loss, size
        )
        named = self._recommendation_losses(states[own:], frame[len(batch.items) :], views, size)
        corrected = named[1] if len(named) > 1 else states.new_zeros(())
        return {
            "operation": operation,
            "insertion": insertion,
            "raw": named[0],
            "corrected": self.config.weight_corrected * corrected,
        }

    def draw(self, items: Tensor, size: int | None = None) -> STEAMDraws:
        """Draw the random numbers of a step, for ``size`` items of segments int64 ``[B, W]``."""
        corrupted = corrupt(items, self.rates, self.noise, size=size)
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
        ragged = lay_out(asked > 0)
        return self.recommender.last(self.encoder(asked, ragged), ragged)

    def item_vectors(self) -> Tensor:
        """Return the item table, ``[n_items, D]``, without padding, EOS and MASK."""
        return self.encoder.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Return deletions, with the log-odds of deletion as score (NaN at padding).

        An insertion says something about the gap before an interaction. It is not noise, and
        :meth:`diagnostics` counts it separately.
        """
        ragged = lay_out(batch.valid)
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

    def _corrected_view(self, raw: Masked, uniform: Tensor, size: int) -> Masked:
        """Correct segments with the current parameters, then mask items of the result."""
        blind = self.config.correct_masked
        with self._evaluation_mode():
            found = self.corrector.correct(
                self.encoder, raw.items if blind else raw.targets, self.length, size=size
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

    def _recommendation_losses(
        self, states: Tensor, frame: Tensor, views: list[Masked], size: int
    ) -> list[Tensor]:
        """Return the mean loss of the masked items of each view.

        Parameters
        ----------
        states
            ``[M, D]`` of the tokens of all views.
        frame
            int64: the views' items, one below the other.
        views
            The views.
        size
            Number of items before any correction.
        """
        vectors = self.recommender(states, lay_out(frame > 0))
        losses, start = [], 0
        for view, own in zip(views, torch.split(frame, len(views[0].items)), strict=True):
            tokens = lay_out(own > 0)
            hidden, targets = (_widened(x, own.shape[1]) for x in (view.hidden, view.targets))
            # A corrected view may hold what was inserted before each item as well.
            most = min(own.numel(), size * (1 + self.config.max_inserted * (view is not views[0])))
            asked = where(hidden, most)
            found = vectors[start : start + len(tokens)]
            found = found.index_select(0, tokens.find(asked.clamp_min(0)))
            losses.append(self._class_loss(found, targets.flatten(), asked, "recommender"))
            start += len(tokens)
        return losses

    def _class_loss(self, vectors: Tensor, items: Tensor, index: Tensor, of: Classes) -> Tensor:
        """Compute the mean loss of naming ``items[index]``; 0 without any."""
        table, first = self.encoder.classes(of)
        if not len(index):
            return vectors.new_zeros(())
        targets = items[index.clamp_min(0)] - first + 1
        if not is_static(vectors.device):
            return self.next_item_loss(vectors, table, targets)
        counted = index >= 0
        losses = self.target_loss(vectors, table, targets.where(counted, 0))
        return (losses * counted).sum() / counted.sum().clamp_min(1)

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
    return torch.cat([_widened(frame, width) for frame in frames])


def _widened(frame: Tensor, width: int) -> Tensor:
    return nn.functional.pad(frame, (0, width - frame.shape[1]))


def _noise_weights(config: STEAMConfig, data: TrainingData) -> Tensor:
    """Return the frequency with which the corruption inserts each item, ``[n_items]``."""
    if config.noise_items == "uniform":
        return torch.ones(data.sizes.n_items)
    counts = np.bincount(data.train.items, minlength=data.sizes.n_items + 1)
    return torch.from_numpy(counts[1:])
