"""Decisions of a trained denoiser about original interactions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.sequences import Sequences
from bench.model.batch import SequenceData
from bench.model.method import Method
from bench.model.samples import blocks, histories
from bench.plan.result import Decisions

POSITIONS_PER_BLOCK = 16_384
"""Padded positions of a block."""


@torch.inference_mode()
def read_decisions(
    method: Method,
    sequences: Sequences,
    item_counts: NDArray[np.int32],
    max_length: int,
    device: torch.device,
    ends: NDArray[np.int64] | None = None,
) -> Decisions | None:
    """Compute keep decisions and noise scores of the last interactions of histories.

    Parameters
    ----------
    method
        The trained model.
    sequences
        Interactions of all users.
    item_counts
        int32 ``[n_items + 1]``: training interactions of each item.
    max_length
        Most recent interactions that the model sees.
    device
        Device of the model.
    ends
        Where histories end, as for :func:`bench.model.samples.histories`; one of a user at most.

    Returns
    -------
    Decisions or None
        In the order of users and positions; None if the method decides nothing.
    """
    method.eval()
    data = SequenceData(sequences)
    indices, keeps, scores = [], [], []
    places = None if ends is None else torch.from_numpy(ends)
    for rows in blocks(histories(data, max_length, places), POSITIONS_PER_BLOCK):
        batch = data.gather(rows)
        decided = method.denoise(batch.to(device))
        if decided is None:
            return None
        real = batch.valid
        indices.append(batch.flat_index[real])
        keeps.append(decided.keep.cpu()[real])
        scores.append(decided.score.float().cpu()[real])
    index = torch.cat(indices)
    order = torch.argsort(index)
    flat = index[order].numpy()
    user = np.searchsorted(sequences.offsets, flat, side="right") - 1
    item = sequences.items[flat]
    return Decisions(
        user=user.astype(np.int32),
        position=(flat - sequences.offsets[user]).astype(np.int32),
        item=item,
        item_count=item_counts[item],
        keep=torch.cat(keeps)[order].numpy(),
        score=torch.cat(scores)[order].numpy(),
    )
