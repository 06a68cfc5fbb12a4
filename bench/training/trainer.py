"""Fit a method: epochs of batches, early stopping on validation, best weights kept."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Generator, Tensor

from bench.components import Sampling
from bench.errors import TrainingError
from bench.model.batch import Batch, Rows, SequenceData
from bench.model.method import Method
from bench.model.samples import (
    batches,
    covering_windows,
    last_prefixes,
    prefixes,
    segments,
    windows,
)
from bench.plan.protocol import Protocol
from bench.plan.result import Epoch
from bench.plan.training import TrainingConfig
from bench.seeds import seed_for
from bench.training import checkpoint
from bench.training.checkpoint import TrainingState
from bench.training.resources import Meter, peak_memory_bytes

Validate = Callable[[Method], float]
"""Computes the validation metric that is maximised."""


class Trainer:
    """One training run, which can stop after any epoch and resume bit for bit.

    Parameters
    ----------
    method
        The model, on ``device``.
    data
        Training interactions.
    config, protocol
        Shared settings.
    sampling
        How samples are drawn, ``auto`` resolved.
    axes
        Names from which every seed of this run derives.
    device
        Device of the model.
    """

    def __init__(
        self,
        method: Method,
        data: SequenceData,
        config: TrainingConfig,
        protocol: Protocol,
        *,
        sampling: Sampling,
        axes: tuple[str | int, ...],
        device: torch.device,
    ) -> None:
        self.method = method
        self.data = data
        self.config = config
        self.protocol = protocol
        self.sampling = sampling
        self.axes = axes
        self.device = device
        # All parameters are updated in one call: per-tensor loops cost more than the arithmetic.
        self.optimiser = torch.optim.Adam(
            method.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.best: dict[str, Tensor] = {}
        self.state = TrainingState()
        self.meter = Meter(self.state.seconds, self.state.cpu_seconds)

    def fit(
        self, validate: Validate, path: Path, report: Callable[[TrainingState], None]
    ) -> TrainingState:
        """Train until the validation metric stops rising, then restore the best weights.

        Parameters
        ----------
        validate
            Called after every epoch.
        path
            Checkpoint: used to resume if it exists and is undamaged; written after every epoch.
        report
            Called after every epoch.

        Raises
        ------
        TrainingError
            The loss is not a number, or there is nothing to train on.
        StoreError
            The checkpoint belongs to another model, or cannot be written.
        """
        if found := checkpoint.load(path, self.method, self.optimiser):
            self.state, self.best = found
            self.meter = Meter(self.state.seconds, self.state.cpu_seconds)
        while not self._finished():
            self._epoch(validate)
            checkpoint.save(path, self.method, self.best, self.optimiser, self.state)
            report(self.state)
        self.method.load_state_dict(self.best)
        return self.state

    def samples(self, epoch: int) -> Rows:
        """Draw the samples of an epoch."""
        # The data's axes only: methods that draw the same kind of samples see the same ones.
        generator = self._generator("samples", epoch)
        length = self.protocol.max_length
        if self.sampling == "positions":
            last_only = self.protocol.train_windows == "last"
            return windows(self.data, length, generator, last_only=last_only)
        if self.sampling == "last":
            return last_prefixes(self.data, length)
        if self.sampling == "windows":
            # One more than is read in evaluation: the position of the mask behind it.
            return covering_windows(self.data, length + 1, generator)
        draw = prefixes if self.sampling == "prefixes" else segments
        return draw(self.data, length, self.config.prefixes_per_user, generator)

    def _finished(self) -> bool:
        state = self.state
        stale = state.epoch - 1 - state.best_epoch >= self.config.patience
        return state.epoch >= self.config.epochs or (state.epoch > 0 and stale)

    def _epoch(self, validate: Validate) -> None:
        state = self.state
        began = time.perf_counter()
        with self.meter.stage("training"):
            parts = self._train(state.epoch)
        trained = time.perf_counter()
        with self.meter.stage("validation"):
            metric = validate(self.method)
        ended = time.perf_counter()
        by_validation = self.config.stop_on == "validation"
        criterion = metric if by_validation else -sum(parts.values())
        if state.best_epoch < 0 or criterion > state.best_criterion:
            state.best_criterion, state.best_metric = criterion, metric
            state.best_epoch = state.epoch
            self.best = {k: v.detach().clone() for k, v in self.method.state_dict().items()}
        state.curve.append(
            Epoch(
                epoch=state.epoch,
                loss=sum(parts.values()),
                parts=parts,
                metric=metric,
                seconds=ended - began,
                validation_seconds=ended - trained,
            )
        )
        state.epoch += 1
        state.peak_memory_bytes = max(state.peak_memory_bytes, peak_memory_bytes())

    def _train(self, epoch: int) -> dict[str, float]:
        """Run one epoch; return the mean of each part of the loss over its targets."""
        rows = self.samples(epoch)
        count = int(rows.weight.sum())
        if not count:
            raise TrainingError(
                "no user has two training interactions, so there is no next item to learn; use a "
                "data set with longer histories"
            )
        torch.manual_seed(seed_for(*self.axes, "noise", epoch))
        self.method.train()
        self.method.begin_epoch(epoch)
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=self.device))
        order = self._generator("order", epoch)
        for part in batches(rows, self.config.batch_size, order):
            losses = self._step(self.data.gather(part).to(self.device))
            for name, value in losses.items():
                sums[name] += value.detach() * int(part.weight.sum())
            # The graph of a step is freed here, not when the next one has been built as well.
            del losses
            self.meter.tidy()
        means = {name: float(value) / count for name, value in sums.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise TrainingError(
                    f"the loss '{name}' became {mean} in epoch {epoch + 1}; lower learning_rate "
                    "or set clip_norm"
                )
        return means

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        mixed = self.config.mixed_precision and self.device.type == "cuda"
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=mixed):
            losses = self.method.losses(batch)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), self.config.clip_norm)
        self.optimiser.step()
        return losses

    def _generator(self, purpose: str, epoch: int) -> Generator:
        return Generator().manual_seed(seed_for(*self.axes, purpose, epoch))
