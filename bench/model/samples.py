"""Training samples of an epoch and their batches.

Every way to draw samples gives :class:`~bench.model.batch.Rows`: windows that predict every next
item in one pass, (prefix, next item) pairs, or rows without a next item. Batches mix lengths:
batches of similar length would spare padding, but every step then learns from one kind of user, and
in a trial with SASRec on Beauty (one seed) validation NDCG@10 stopped rising earlier. Encoders
leave padding out themselves where it costs.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator, Tensor

from bench.model.batch import Rows, SequenceData


def windows(data: SequenceData, max_length: int, generator: Generator, last_only: bool) -> Rows:
    """Cut every history so that each training interaction but the first is a target once.

    A history with at most ``max_length`` inputs is one row. A longer one is cut into windows of
    ``max_length`` inputs, each half a length after the one before, and a window predicts what
    the one before did not: past the first window every target has at least half of
    ``max_length`` as its context, as nearly every test target of a long history has. Windows
    end at a random phase, drawn anew each epoch.

    Parameters
    ----------
    data
        Training interactions.
    max_length
        Most inputs of a row.
    generator
        Draws the phases.
    last_only
        Keep only the most recent window of each user.
    """
    inputs = (data.lengths - 1).clamp_min(0)
    if last_only:
        length = inputs.clamp_max(max_length)
        start = data.offsets[:-1] + inputs - length
        return _non_empty(Rows(torch.arange(len(inputs)), start, length, length))
    return _cut(data, inputs, max_length, generator)


def covering_windows(data: SequenceData, max_length: int, generator: Generator) -> Rows:
    """Cut every history into the windows of :func:`windows`, the last item included.

    Nothing is predicted from the history: the rows are for methods that hide items of theirs.
    """
    rows = _cut(data, data.lengths, max_length, generator)
    return replace(rows, targets=torch.zeros_like(rows.targets))


def _cut(data: SequenceData, inputs: Tensor, max_length: int, generator: Generator) -> Rows:
    """Cut the first ``inputs`` interactions of each user into windows; see :func:`windows`."""
    stride = (max_length + 1) // 2
    phase = torch.randint(0, stride, inputs.shape, generator=generator)
    first = torch.where(inputs > max_length, max_length - phase, inputs)
    count = 1 + _ceil_div(inputs - first, stride)
    user = torch.repeat_interleave(torch.arange(len(inputs)), count)
    nth = torch.arange(len(user)) - (count.cumsum(0) - count)[user]
    end = torch.minimum(first[user] + nth * stride, inputs[user])
    # Where the window before ended; the first has none before it.
    predicted = torch.where(nth == 0, 0, first[user] + (nth - 1) * stride)
    begin = (end - max_length).clamp_min(0)
    return _non_empty(Rows(user, data.offsets[user] + begin, end - begin, end - predicted))


def prefixes(data: SequenceData, max_length: int, per_user: int, generator: Generator) -> Rows:
    """Draw (prefix, next item) pairs: ``per_user`` times as many as users, or all there are.

    Every pair of the data is as likely as any other and comes at most once, as in :func:`windows`,
    so that an epoch's loss estimates the loss over all pairs without bias. (Drawing equally many
    from each user would repeat the pairs of short histories and rarely show those of long ones.)
    A prefix keeps its last ``max_length`` items.
    """
    pairs = (data.lengths - 1).clamp_min(0)
    until = pairs.cumsum(0)
    total = int(pairs.sum())
    wanted = min(per_user * int((pairs > 0).sum()), total)
    drawn = torch.randperm(total, generator=generator)[:wanted]
    users = torch.searchsorted(until, drawn, right=True)
    end = 1 + drawn - (until - pairs)[users]
    length = end.clamp_max(max_length)
    start = data.offsets[users] + end - length
    return Rows(users, start, length, torch.ones_like(users))


def last_prefixes(data: SequenceData, max_length: int) -> Rows:
    """Return the (prefix, next item) pair of each user that ends with the last interaction."""
    users = torch.nonzero(data.lengths > 1).squeeze(1)
    length = (data.lengths - 1)[users].clamp_max(max_length)
    return Rows(users, data.offsets[1:][users] - 1 - length, length, torch.ones_like(users))


def segments(data: SequenceData, max_length: int, per_user: int, generator: Generator) -> Rows:
    """Draw runs of consecutive interactions, ``per_user`` of each user, with nothing to predict.

    The first interaction is uniform over the history, the length uniform over 1 .. max_length
    and cut at the history's end (STEAM's official sampler).
    """
    users = torch.nonzero(data.lengths > 0).squeeze(1).repeat(per_user)
    room = data.lengths[users]
    drawn = torch.rand(2, len(users), generator=generator, dtype=torch.float64)
    begin = (drawn[0] * room.double()).long()
    length = torch.minimum(1 + (drawn[1] * max_length).long(), room - begin)
    return Rows(users, data.offsets[users] + begin, length, torch.zeros_like(users))


def histories(data: SequenceData, max_length: int, ends: Tensor | None = None) -> Rows:
    """Return the last ``max_length`` interactions of histories, without targets.

    Parameters
    ----------
    data
        Interactions of all users.
    max_length
        Most interactions of a row.
    ends
        int64 ``[rows]``: where each history ends, the place after its last interaction in those of
        all users; it has one at least. None: the whole history of every user.
    """
    if ends is None:
        user, ends = torch.arange(len(data.lengths)), data.offsets[1:]
    else:
        user = torch.searchsorted(data.offsets, ends - 1, right=True) - 1
    length = (ends - data.offsets[user]).clamp_max(max_length)
    return Rows(user, ends - length, length, torch.zeros_like(length))


def batches(rows: Rows, targets_per_batch: int, generator: Generator) -> list[Rows]:
    """Shuffle rows and cut them into batches of about as many targets (:attr:`Rows.weight`)."""
    shuffled = rows.take(torch.randperm(len(rows), generator=generator))
    before = shuffled.weight.cumsum(0) - shuffled.weight
    sizes = torch.unique_consecutive(before // targets_per_batch, return_counts=True)[1]
    groups = torch.split(torch.arange(len(shuffled)), sizes.tolist())
    return [shuffled.take(group) for group in groups]


def blocks(rows: Rows, positions_per_block: int) -> list[Rows]:
    """Group rows of similar length for evaluation, bounded in padded positions."""
    ordered = rows.take(torch.argsort(rows.length, stable=True))
    result = []
    start = 0
    while start < len(ordered):
        # Lengths ascend: the longest row that may join decides how many fit.
        longest = int(ordered.length[min(start + positions_per_block, len(ordered)) - 1])
        size = max(1, positions_per_block // max(longest, 1))
        result.append(ordered.take(torch.arange(start, min(start + size, len(ordered)))))
        start += size
    return result


def _non_empty(rows: Rows) -> Rows:
    return rows.take(torch.nonzero(rows.length > 0).squeeze(1))


def _ceil_div(value: Tensor, divisor: int) -> Tensor:
    return -torch.div(-value, divisor, rounding_mode="floor")
