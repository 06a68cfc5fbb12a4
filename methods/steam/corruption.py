"""Random corruption of segments, with the edits that undo it (the page's section 3.2).

The published walk over a segment draws one operation after another. Its closed form draws, for
every slot, what the walk would do if it came to decide there: how many noise items stand before
it, whether a run of deletions begins, and how long that run is. What remains sequential is where
the walk decides at all: one loop over slots, for all rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from .noise import NoiseSampler

KEEP, DELETE, INSERT = 0, 1, 2
"""Operations, in the order of the corrector's outputs."""


@dataclass(frozen=True, eq=False)
class Rates:
    """What the corruption is made of.

    Attributes
    ----------
    drop, noise
        p_d and p_i; an item is kept with the rest of the probability.
    longest_run
        K, most items in a run of deletions.
    longest
        L, most items of a corrupted segment.
    """

    drop: float
    noise: float
    longest_run: int
    longest: int


@dataclass(frozen=True, eq=False)
class Draws:
    """The chance of a corruption, slot by slot; all ``[B, W]``.

    Attributes
    ----------
    noise
        int64: noise items before the slot's item.
    run
        bool: whether a run of deletions begins.
    length
        int64, >= 1: length of that run, before it is cut to fit.
    """

    noise: Tensor
    run: Tensor
    length: Tensor


@dataclass(frozen=True, eq=False)
class Corrupted:
    """Corrupted segments and how to mend them.

    Attributes
    ----------
    items
        int64 ``[B, S]``, right-padded with 0.
    operations
        int64 ``[B, S]``: :data:`KEEP`, :data:`DELETE` or :data:`INSERT`; 0 at padding.
    missing
        int64 ``[N, K]``: for each of the N slots with :data:`INSERT`, in the order of rows and
        slots, the items to insert, nearest first, then the end where there is room, then zeros.
    """

    items: Tensor
    operations: Tensor
    missing: Tensor


def draw(lengths: Tensor, width: int, rates: Rates, generator: Generator | None = None) -> Draws:
    """Draw what the walk would do at each slot.

    Parameters
    ----------
    lengths
        int64 ``[B]``, >= 1.
    width
        W, slots of the frame.
    rates
        Of the corruption.
    generator
        None = torch's own.
    """
    shape = (len(lengths), width)
    uniform = torch.rand(3, *shape, device=lengths.device, generator=generator)
    last = torch.arange(width, device=lengths.device) == lengths[:, None] - 1
    keep = 1 - rates.drop - rates.noise
    # At the last item a deletion is drawn again, which leaves noise and keep.
    more = torch.where(last, rates.noise / (keep + rates.noise), rates.noise)
    begins = rates.drop / (keep + rates.drop)
    length = 1 + _geometric(uniform[2], uniform.new_tensor(rates.drop))
    return Draws(_geometric(uniform[0], more), (uniform[1] < begins) & ~last, length)


def _geometric(uniform: Tensor, success: Tensor) -> Tensor:
    """Successes before the first failure, int64; ``uniform`` in [0, 1)."""
    tries = torch.log1p(-uniform) / success.log()
    # log(0) = -inf makes this 0, as it should be; the bound only keeps the cast defined.
    return tries.clamp(0, 1e6).long()


def corrupt(
    items: Tensor,
    rates: Rates,
    noise: NoiseSampler,
    draws: Draws | None = None,
    generator: Generator | None = None,
) -> Corrupted:
    """Corrupt segments.

    Parameters
    ----------
    items
        int64 ``[B, W]``, right-padded with 0; every row has an item.
    rates
        Of the corruption.
    noise
        Draws the noise items.
    draws
        None draws them.
    generator
        Of all that is drawn; None = torch's own.
    """
    lengths = (items > 0).sum(1)
    if draws is None:
        draws = draw(lengths, items.shape[1], rates, generator)
    walked = _walk(lengths, draws, noise.room(items), rates)
    return _lay_out(items, walked, rates, noise, generator)


@dataclass(frozen=True, eq=False)
class _Walked:
    """What the walk did at each slot, ``[B, W]``.

    Attributes
    ----------
    noise
        int64: noise items before the slot's item.
    dropped
        bool.
    run
        int64: length of the run of deletions that ends right before the slot.
    """

    noise: Tensor
    dropped: Tensor
    run: Tensor


def _walk(lengths: Tensor, draws: Draws, unused: Tensor, rates: Rates) -> _Walked:
    """Resolve where the walk decides; ``unused [B]`` items are left for noise."""
    columns = draws.noise.T, (draws.length.clamp_max(rates.longest_run) * draws.run).T
    last = lengths - 1
    decides = torch.zeros_like(lengths)
    room, begun, noise = rates.longest - lengths, [], []
    for slot, (wanted, run) in enumerate(zip(*columns, strict=True)):
        here = (decides == slot) & (slot <= last)
        added = torch.minimum(wanted, torch.minimum(room, unused)) * here
        run = torch.minimum(run, last - slot) * here
        # A deletion makes room for noise; noise also uses the catalogue up.
        room, unused = room - added + run, unused - added
        decides = torch.where(here, slot + 1 + run, decides)
        begun.append(run)
        noise.append(added)
    runs = torch.stack(begun, 1)
    rows, slots = torch.nonzero(runs, as_tuple=True)
    length = runs[rows, slots]
    ended, edges = torch.zeros_like(runs), torch.zeros_like(runs)
    ended[rows, slots + length] = length
    edges[rows, slots] += 1
    edges[rows, slots + length] -= 1
    return _Walked(torch.stack(noise, 1), edges.cumsum(1) > 0, ended)


def _lay_out(
    items: Tensor, walked: _Walked, rates: Rates, noise: NoiseSampler, generator: Generator | None
) -> Corrupted:
    """Write out what the walk emitted."""
    emitted = (items > 0) & ~walked.dropped
    ends = (walked.noise + emitted).cumsum(1)
    total = ends[:, -1]
    valid = torch.arange(int(total.max()), device=items.device) < total[:, None]
    rows, slots = torch.nonzero(emitted, as_tuple=True)
    places = ends[rows, slots] - 1
    run = walked.run[rows, slots]
    # Whatever is no item of the segment is noise.
    operations = valid * DELETE
    operations[rows, places] = torch.where(run > 0, INSERT, KEEP)
    result = torch.zeros_like(operations)
    result[rows, places] = items[rows, slots]
    at = torch.nonzero(operations == DELETE, as_tuple=True)
    result[at] = noise.draw(items, at[0], generator)
    gaps = run > 0
    missing = _missing(items, rows[gaps], slots[gaps], run[gaps], rates.longest_run, noise.end)
    return Corrupted(result, operations, missing)


def _missing(
    items: Tensor, rows: Tensor, slots: Tensor, run: Tensor, longest: int, end: int
) -> Tensor:
    """List the items of each run backwards from the slot after it, ``[N, longest]``."""
    step = torch.arange(longest, device=items.device)
    source = (slots[:, None] - 1 - step).clamp_min(0)
    found = items[rows[:, None], source] * (step < run[:, None])
    return found + end * (step == run[:, None])
