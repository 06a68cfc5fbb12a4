"""Statistics of the trained corrector's edits on training histories.

Insertions grow with the length of a history, since training segments are mostly short, so shares
are reported by length too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.data.sequences import Sequences
from bench.model.batch import Rows, SequenceData

from .edits import Corrected

LENGTHS = (5, 15, 30)
"""Upper bounds of the length classes of histories; the last class is open."""
ROWS = 512
"""Number of histories that are corrected at a time."""


def edit_statistics(
    edit: Callable[[Tensor], Corrected], train: Sequences, longest: int, device: torch.device
) -> dict[str, float | int | str]:
    """Correct the last ``longest`` interactions of every user and count the edits.

    Parameters
    ----------
    edit
        Function that corrects histories, int64 ``[B, W]``.
    train
        Training interactions.
    longest
        Largest length of a history.
    device
        Device of ``edit``.

    Returns
    -------
    dict
        ``deleted`` and ``inserted`` items, also as shares of the original items for each length
        class; the number of distinct inserted items, of insertions that the history already held,
        and of emptied histories.
    """
    bounds = torch.tensor(LENGTHS)
    sums = torch.zeros(4, len(LENGTHS) + 1, dtype=torch.long)
    repeated = torch.zeros((), dtype=torch.long)
    seen: list[Tensor] = []
    for items in _histories(SequenceData(train), longest):
        found = edit(items.to(device))
        inserted = found.items.where(found.inserted, 0).cpu()
        length = (items > 0).sum(1)
        added = (inserted > 0).sum(1)
        left = found.lengths.cpu()
        rows = torch.stack([length, length - (left - added), added, (left == 0).long()])
        sums.index_add_(1, torch.bucketize(length, bounds), rows)
        held = (inserted[:, :, None] == items[:, None]).any(2) & (inserted > 0)
        repeated += held.sum()
        seen.append(torch.unique(inserted[inserted > 0]))
    return {
        **_shares(sums),
        "inserted distinct": len(torch.unique(torch.cat(seen))),
        "inserted again": int(repeated),
    }


def _shares(sums: Tensor) -> dict[str, float | int | str]:
    """Name counts; ``sums [4, classes]``: items, deleted, inserted, emptied."""
    total, deleted, inserted, emptied = sums.sum(1).tolist()
    diagnostics: dict[str, float | int | str] = {
        "items": total,
        "deleted": deleted,
        "inserted": inserted,
        "emptied histories": emptied,
    }
    starts = [1, *(bound + 1 for bound in LENGTHS)]
    names = [f"{a}-{b}" for a, b in zip(starts, LENGTHS, strict=False)] + [f"{starts[-1]}+"]
    for name, (size, gone, new, _) in zip(names, sums.T.tolist(), strict=True):
        if size:
            diagnostics[f"deleted share, length {name}"] = gone / size
            diagnostics[f"inserted share, length {name}"] = new / size
    return diagnostics


def _histories(data: SequenceData, longest: int) -> Iterator[Tensor]:
    """Yield the last interactions of all users who have any, shortest first."""
    lengths = data.lengths.clamp_max(longest)
    users = torch.argsort(lengths, stable=True)
    users = users[lengths[users] > 0]
    for part in torch.split(users, ROWS):
        length = lengths[part]
        start = data.offsets[1:][part] - length
        yield data.gather(Rows(part, start, length, torch.zeros_like(length))).items
