"""Random corruption of segments, with the edits that undo it.

The published walk over a segment draws one operation after another. Its closed form (README.md,
"Segments and corruption") draws, for every position, what the walk would do if it decided there:
the number of noise items before it, whether a run of deletions begins, and its length. The
positions at which the walk decides follow by doubling its steps, and the noise for which there is
room from a running minimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from bench.model.shapes import is_static, where

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
        insert, nearest first, then EOS if there is room, then zeros. On a GPU rows of zeros follow.
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
    *,
    size: int | None = None,
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
    size
        Number of items, which a GPU is not asked for; None = as many as the frame may hold.
    """
    lengths = (items > 0).sum(1)
    if draws is None:
        draws = draw_corruption(lengths, items.shape[1], rates, generator)
    walked = _walk(lengths, draws, noise.available(items), rates)
    size = items.numel() if size is None else size
    return _lay_out(items, walked, rates, noise, size, generator)


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
    steps = torch.arange(draws.noise.shape[1], device=lengths.device)
    last = (lengths - 1)[:, None]
    inside = steps <= last
    run = (draws.length.clamp_max(rates.longest_run) * draws.run).minimum(last - steps).clamp_min(0)
    here = _visited(steps + 1 + run) & inside
    run = run * here
    wanted = (draws.noise * here).cumsum(1)
    # A deletion makes room for noise; noise also uses up the catalogue. With the noise S so far,
    # S = min(S + wanted, room): a sum that is cut wherever it meets a bound that never falls.
    room = (rates.longest - lengths)[:, None] + run.cumsum(1) - run
    bound = room.minimum(unused[:, None])
    noise = wanted + (bound - wanted).cummin(1).values.clamp_max(0)
    added = noise.diff(dim=1, prepend=torch.zeros_like(last))
    skipped = functional.pad(inside & ~here, (0, 1))
    ended = _scattered(torch.zeros_like(run), (steps + run).where(run > 0, len(steps)), run)
    return _WalkResult(added, skipped[:, 1:], ended)


def _visited(following: Tensor) -> Tensor:
    """Mark where a walk from position 0 stops, bool ``[B, W]``; ``following`` exceed their places.

    In each round the known stops are those within 1, 2, 4, ... steps of the walk.
    """
    jump = functional.pad(following, (0, 1), value=following.shape[1])
    seen = torch.zeros_like(jump)
    seen[:, 0] = 1
    for _ in range(following.shape[1].bit_length()):
        seen = seen.scatter_reduce(1, jump, seen, "amax")
        jump = jump.gather(1, jump)
    return seen[:, :-1] > 0


def _scattered(frame: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Write values ``[B, W]`` to distinct places of a frame ``[B, S]``; place S is nowhere."""
    wide = functional.pad(frame, (0, 1))
    return wide.scatter(1, places, values)[:, :-1]


def _lay_out(
    items: Tensor,
    walked: _WalkResult,
    rates: CorruptionRates,
    noise: NoiseSampler,
    size: int,
    generator: Generator | None,
) -> Corrupted:
    """Write the emitted items into a frame."""
    emitted = (items > 0) & ~walked.dropped
    ends = (walked.noise + emitted).cumsum(1)
    total = ends[:, -1:]
    width = rates.longest if is_static(items.device) else int(total.max())
    valid = torch.arange(width, device=items.device) < total
    targets = (ends - 1).where(emitted, width)
    # Everything that is not an item of the segment is noise.
    own = torch.where(walked.run > 0, INSERT, KEEP)
    operations = _scattered(valid * DELETE, targets, own)
    result = _scattered(torch.zeros_like(operations), targets, items)
    result = result + noise.fill(items, operations == DELETE, generator)
    gaps = emitted & (walked.run > 0)
    # A gap takes an item of the segment with it, and stands before another one.
    missing = _missing(items, gaps, walked.run, size // 2, rates.longest_run, noise.end)
    return Corrupted(result, operations, missing)


def _missing(items: Tensor, gaps: Tensor, run: Tensor, most: int, longest: int, end: int) -> Tensor:
    """List the items of each run backwards from the position after it, ``[N, longest]``."""
    place = where(gaps, most)
    none = place < 0
    place = place.clamp_min(0)
    length = run.flatten()[place].masked_fill(none, -1)[:, None]
    step = torch.arange(longest, device=items.device)
    source = (place[:, None] - 1 - step).clamp_min(0)
    found = items.flatten()[source] * (step < length)
    return found + end * (step == length)
