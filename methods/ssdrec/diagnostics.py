"""Diagnostics of SSDRec: outcome of augmentation over an epoch, and gradient norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.sequences import Sequences
from bench.methods.parts.packing import without

from .augment import Augmented


class AugmentationStatistics(nn.Module):
    """Counts of insertions and of their outcome, over an epoch's training samples.

    Parameters
    ----------
    train
        Training interactions, whose counts are the items' popularity.
    n_items
        I, number of items.
    """

    rows: Tensor
    augmented: Tensor
    shortened: Tensor
    inserted: Tensor
    undone: Tensor
    dropped: Tensor
    popularity: Tensor
    counts: Tensor

    def __init__(self, train: Sequences, n_items: int) -> None:
        super().__init__()
        for name in ("rows", "augmented", "shortened", "inserted", "undone", "dropped"):
            self.register_buffer(name, torch.zeros((), dtype=torch.long))
        self.register_buffer("popularity", torch.zeros((), dtype=torch.float64))
        counts = np.bincount(train.items, minlength=n_items + 1)
        self.register_buffer("counts", torch.from_numpy(counts), persistent=False)

    def reset(self) -> None:
        """Start again from zero."""
        for name, buffer in self.named_buffers():
            if name != "counts":
                buffer.zero_()

    @torch.no_grad()
    def add(self, augmented: Augmented, kept: Tensor) -> None:
        """Add a batch; ``kept`` is what HSD's gates sampled, bool ``[B, W]``."""
        insertion, sequence = augmented.insertion, augmented.sequence
        rows, changed = insertion.rows, insertion.rows.sum()
        added = without(sequence.valid, sequence.original)
        self.rows += len(rows)
        inserted = 2 * changed
        # All counters in one operation.
        torch._foreach_add_(
            [self.augmented, self.shortened, self.inserted, self.undone, self.dropped],
            [
                changed,
                augmented.removed.sum(),
                inserted,
                inserted - added.sum(),
                without(added, kept[:, : added.shape[1]]).sum(),
            ],
        )
        self.popularity += (self.counts[insertion.items] * rows).sum()

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return rates by name; empty before the first insertion.

        ``insertion_rate`` and ``refinement_rate`` are shares of the samples that got two items, and
        that lost one of the three again; ``inserted_undone`` and ``inserted_dropped`` are shares of
        the inserted items that refinement and then HSD's gates removed; ``inserted_popularity`` is
        their mean number of training interactions, divided by that of the item of a random
        interaction.
        """
        inserted, rows = int(self.inserted), int(self.rows)
        if not inserted:
            return {}
        counts = self.counts.double()
        usual = float(counts.square().sum() / counts.sum())
        return {
            "insertion_rate": int(self.augmented) / rows,
            "refinement_rate": int(self.shortened) / rows,
            "inserted_undone": int(self.undone) / inserted,
            "inserted_dropped": int(self.dropped) / inserted,
            "inserted_popularity": float(self.popularity) / inserted / usual,
        }


class GradientNorms(nn.Module):
    """Mean norm, over an epoch's steps, of the gradients of some parameters.

    The published gradients of augmentation and relations are so small that Adam's epsilon mutes
    them (README.md, "Gradients of augmentation and relations"); these norms show whether they
    learn.

    Parameters
    ----------
    watched
        Parameters by name.
    """

    sums: Tensor
    steps: Tensor

    def __init__(self, watched: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = list(watched)
        self._arrived: dict[int, Tensor] = {}
        self.register_buffer("sums", torch.zeros(len(watched)))
        self.register_buffer("steps", torch.zeros(len(watched), dtype=torch.long))
        for index, parameter in enumerate(watched.values()):
            hook = self._counter(index)
            parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]

    def reset(self) -> None:
        """Start again from zero."""
        self.sums.zero_()
        self.steps.zero_()

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return ``gradient_<name>`` for each parameter that received any gradient."""
        seen = zip(self.names, self.sums.tolist(), self.steps.tolist(), strict=True)
        return {f"gradient_{name}": total / steps for name, total, steps in seen if steps}

    def _counter(self, index: int) -> Callable[[Tensor], None]:
        def count(parameter: Tensor) -> None:
            if parameter.grad is not None:
                self._arrived[index] = parameter.grad
                # At the end of the backward pass one operation takes all norms.
                engine = torch.autograd.Variable._execution_engine  # noqa: SLF001
                engine.queue_callback(self._add)

        return count

    @torch.no_grad()
    def _add(self) -> None:
        arrived, self._arrived = self._arrived, {}
        if arrived:
            norms = torch._foreach_norm(list(arrived.values()))  # noqa: SLF001
            torch._foreach_add_([self.sums[index] for index in arrived], norms)
            torch._foreach_add_([self.steps[index] for index in arrived], 1)
