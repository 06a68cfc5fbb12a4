"""Random corruption of segments, with the edits that undo it.

The published walk over a segment draws one operation after another. Its closed form (README.md,
"Segments and corruption") draws, for every position, what the walk would do if it decided there:
the number of noise items before it, whether a run of deletions begins, and its length. Only the
positions at which the walk decides are found sequentially: one loop over positions, for all rows at
once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from .noise import NoiseSampler

KEEP, DELETE, INSERT = 0, 1, 2
"""Operations, in the order of the corrector's outputs."""


@dataclass(frozen=True, eq=False)
class CorruptionRates:
    """Rates and bounds of the corruption.

    Attributes
    ----------
    drop, noise
        p_d and p_i; an item is kept with the remaining probability.
    longest_run
        K, largest number of items in a run of deletions.
    longest
        L, largest length of a corrupted segment.
    """

    drop: float
    noise: float
    longest_run: int
    longest: int


@dataclass(frozen=True, eq=False)
class CorruptionDraws:
    """Random numbers of a corruption at each position, all ``[B, W]``.

    Attributes
    ----------
    noise
        int64: number of noise items before the position's item.
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
    """Corrupted segments and the edits that restore them.

    Attributes
    ----------
    items
        int64 ``[B, S]``, right-padded with 0.
    operations
        int64 ``[B, S]``: :data:`KEEP`, :data:`DELETE` or :data:`INSERT`; 0 at padding.
    missing
        int64 ``[N, K]``: for each of the N positions with :data:`INSERT`, row by row, the items to
        insert, nearest first, then EOS if there is room, then zeros.
    """

    items: Tensor
    operations: Tensor
    missing: Tensor


def draw_corruption(
    lengths: Tensor, width: int, rates: CorruptionRates, generator: Generator | None = None
) -> CorruptionDraws:
    """Draw what the walk would do at each position.

    Parameters
    ----------
    lengths
        int64 ``[B]``, >= 1.
    width
        W, length of the frame.
    rates
        Rates of the corruption.
    generator
        Source of randomness; torch's default generator if None.
    """
    shape = (len(lengths), width)
    uniform = torch.rand(3, *shape, device=lengths.device, generator=generator)
    last = torch.arange(width, device=lengths.device) == lengths[:, None] - 1
    keep = 1 - rates.drop - rates.noise
    # At the last item deletions are redrawn, which leaves noise and keep.
    more = torch.where(last, rates.noise / (keep + rates.noise), rates.noise)
    begins = rates.drop / (keep + rates.drop)
    length = 1 + _geometric(uniform[2], uniform.new_tensor(rates.drop))
    return CorruptionDraws(_geometric(uniform[0], more), (uniform[1] < begins) & ~last, length)


def _geometric(uniform: Tensor, success: Tensor) -> Tensor:
    """Return the number of successes before the first failure, int64; ``uniform`` in [0, 1)."""
    tries = torch.log1p(-uniform) / success.log()
    # log(0) = -inf makes this 0, as it should be; the bound only keeps the cast defined.
    return tries.clamp(0, 1e6).long()


def corrupt(
    items: Tensor,
    rates: CorruptionRates,
    noise: NoiseSampler,
    draws: CorruptionDraws | None = None,
    generator: Generator | None = None,
) -> Corrupted:
    """Corrupt segments.

    Parameters
    ----------
    items
        int64 ``[B, W]``, right-padded with 0; every row has an item.
    rates
        Rates of the corruption.
    noise
        Sampler of noise items.
    draws
        Random numbers; drawn if None.
    generator
        Source of randomness; torch's default generator if None.
    """
    lengths = (items > 0).sum(1)
    if draws is None:
        draws = draw_corruption(lengths, items.shape[1], rates, generator)
    walked = _walk(lengths, draws, noise.available(items), rates)
    return _lay_out(items, walked, rates, noise, generator)


@dataclass(frozen=True, eq=False)
class _WalkResult:
    """Outcome of the walk at each position, ``[B, W]``.

    Attributes
    ----------
    noise
        int64: number of noise items before the position's item.
    dropped
        bool: whether the item was dropped.
    run
        int64: length of the run of deletions that ends right before the position.
    """

    noise: Tensor
    dropped: Tensor
    run: Tensor


def _walk(
    lengths: Tensor, draws: CorruptionDraws, unused: Tensor, rates: CorruptionRates
) -> _WalkResult:
    """Resolve where the walk decides; ``unused [B]`` items are left for noise."""
    columns = draws.noise.T, (draws.length.clamp_max(rates.longest_run) * draws.run).T
    last = lengths - 1
    decides = torch.zeros_like(lengths)
    available, begun, noise = rates.longest - lengths, [], []
    for position, (wanted, run) in enumerate(zip(*columns, strict=True)):
        here = (decides == position) & (position <= last)
        added = torch.minimum(wanted, torch.minimum(available, unused)) * here
        run = torch.minimum(run, last - position) * here
        # A deletion makes room for noise; noise also uses up the catalogue.
        available, unused = available - added + run, unused - added
        decides = torch.where(here, position + 1 + run, decides)
        begun.append(run)
        noise.append(added)
    runs = torch.stack(begun, 1)
    rows, positions = torch.nonzero(runs, as_tuple=True)
    length = runs[rows, positions]
    ended, edges = torch.zeros_like(runs), torch.zeros_like(runs)
    ended[rows, positions + length] = length
    edges[rows, positions] += 1
    edges[rows, positions + length] -= 1
    return _WalkResult(torch.stack(noise, 1), edges.cumsum(1) > 0, ended)


def _lay_out(
    items: Tensor,
    walked: _WalkResult,
    rates: CorruptionRates,
    noise: NoiseSampler,
    generator: Generator | None,
) -> Corrupted:
    """Write the emitted items into a frame."""
    emitted = (items > 0) & ~walked.dropped
    ends = (walked.noise + emitted).cumsum(1)
    total = ends[:, -1]
    valid = torch.arange(int(total.max()), device=items.device) < total[:, None]
    rows, positions = torch.nonzero(emitted, as_tuple=True)
    targets = ends[rows, positions] - 1
    run = walked.run[rows, positions]
    # Everything that is not an item of the segment is noise.
    operations = valid * DELETE
    operations[rows, targets] = torch.where(run > 0, INSERT, KEEP)
    result = torch.zeros_like(operations)
    result[rows, targets] = items[rows, positions]
    at = torch.nonzero(operations == DELETE, as_tuple=True)
    result[at] = noise.draw(items, at[0], generator)
    gaps = run > 0
    missing = _missing(items, rows[gaps], positions[gaps], run[gaps], rates.longest_run, noise.end)
    return Corrupted(result, operations, missing)


def _missing(
    items: Tensor, rows: Tensor, positions: Tensor, run: Tensor, longest: int, end: int
) -> Tensor:
    """List the items of each run backwards from the position after it, ``[N, longest]``."""
    step = torch.arange(longest, device=items.device)
    source = (positions[:, None] - 1 - step).clamp_min(0)
    found = items[rows[:, None], source] * (step < run[:, None])
    return found + end * (step == run[:, None])
