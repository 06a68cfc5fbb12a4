"""Random items that a segment does not hold, for the corruption to insert."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from bench.model.shapes import is_static


class NoiseSampler(nn.Module):
    """Draw items that are neither in a row nor among the noise already drawn for it.

    Parameters
    ----------
    weights
        ``[n_items]``: sampling weight of each item; item i + 1 has ``weights[i]``.

    Attributes
    ----------
    end
        Id of EOS, one past the last item.
    """

    cumulative: Tensor
    pool: Tensor
    rates: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.end = len(weights) + 1
        self.register_buffer("cumulative", weights.double().cumsum(0), persistent=False)
        self.register_buffer("pool", weights > 0, persistent=False)
        rates = functional.pad(weights.float(), (1, 0))  # padding is never drawn
        self.register_buffer("rates", rates, persistent=False)

    def available(self, items: Tensor) -> Tensor:
        """Count the items that are left for each row, int64 ``[B]``; ``items [B, W]``."""
        ordered = items.sort(1).values
        new = torch.ones_like(ordered, dtype=torch.bool)
        new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        known = new & (ordered > 0) & self.pool[ordered.clamp_min(1) - 1]
        available: Tensor = self.pool.sum() - known.sum(1)
        return available

    def fill(self, items: Tensor, wanted: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw items for the marked places of a frame.

        Parameters
        ----------
        items
            int64 ``[B, W]``, padded with 0.
        wanted
            bool ``[B, S]``, at most :meth:`available` places of each row.
        generator
            Source of randomness; torch's default generator if None.

        Returns
        -------
        Tensor
            int64 ``[B, S]``, 0 where nothing is wanted.
        """
        if is_static(items.device):
            return self._race(items, wanted, generator)
        rows, places = torch.nonzero(wanted, as_tuple=True)
        drawn = torch.zeros_like(wanted, dtype=torch.long)
        drawn[rows, places] = self.draw(items, rows, generator)
        return drawn

    def _race(self, items: Tensor, wanted: Tensor, generator: Generator | None) -> Tensor:
        """Draw without collisions: the first of a row to arrive in a race of all items.

        Times of arrival are exponential with the weights as rates, so that the items arrive in the
        order of draws without replacement.
        """
        most = min(wanted.shape[1], len(self.cumulative))
        times = torch.empty(len(items), len(self.rates), device=items.device)
        times.exponential_(generator=generator).div_(self.rates)
        arrived = times.scatter_(1, items, torch.inf).topk(most, largest=False).indices
        order = (wanted.cumsum(1) - 1).clamp(0, most - 1)
        return arrived.gather(1, order) * wanted

    def draw(self, items: Tensor, rows: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw one item for each entry of ``rows``.

        Collisions are drawn again. Only their weights distinguish the items that are left, so for
        uniform noise all sets of them are equally likely.

        Parameters
        ----------
        items
            int64 ``[B, W]``, padded with 0.
        rows
            int64 ``[N]``, at most :meth:`available` entries of each row.
        generator
            Source of randomness; torch's default generator if None.
        """
        drawn = torch.zeros_like(rows)
        open_ = torch.arange(len(rows), device=rows.device)
        while len(open_):
            drawn[open_] = self._sample(len(open_), rows.device, generator)
            taken = (items[rows[open_]] == drawn[open_, None]).any(1)
            again = torch.zeros_like(rows, dtype=torch.bool)
            again[open_] = taken
            open_ = torch.nonzero(again | self._repeated(rows, drawn)).squeeze(1)
        return drawn

    def _sample(self, count: int, device: torch.device, generator: Generator | None) -> Tensor:
        uniform = torch.rand(count, dtype=torch.float64, device=device, generator=generator)
        index = torch.searchsorted(self.cumulative, uniform * self.cumulative[-1], right=True)
        # Rounding may reach the very end; an item of weight zero is never drawn.
        return index.clamp_max(len(self.cumulative) - 1) + 1

    def _repeated(self, rows: Tensor, drawn: Tensor) -> Tensor:
        """Return all but the first of equal draws of a row, bool ``[N]``."""
        keys, order = torch.sort(rows * (len(self.cumulative) + 1) + drawn, stable=True)
        again = torch.zeros_like(rows, dtype=torch.bool)
        again[order[1:]] = keys[1:] == keys[:-1]
        return again
