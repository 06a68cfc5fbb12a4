"""What a trained denoiser decides about original interactions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.sequences import Sequences
from bench.method import Method
from bench.runs.result import ReadOut
from bench.training.batch import Interactions
from bench.training.samples import blocks, histories

POSITIONS_PER_BLOCK = 16_384
"""Padded positions that are read out at a time."""


@torch.inference_mode()
def read_out(
    method: Method,
    sequences: Sequences,
    item_counts: NDArray[np.int32],
    max_length: int,
    device: torch.device,
) -> ReadOut | None:
    """Read keep decisions and noise scores of the last ``max_length`` interactions of each user.

    Parameters
    ----------
    method
        The trained model.
    sequences
        Whose interactions are judged.
    item_counts
        int32 ``[n_items + 1]``: training interactions of each item.
    max_length
        What the model sees of a history.
    device
        Where the model lives.

    Returns
    -------
    ReadOut or None
        In the order of users and positions; None where the method decides nothing.
    """
    method.eval()
    data = Interactions(sequences)
    slots, keeps, scores = [], [], []
    for rows in blocks(histories(data, max_length), POSITIONS_PER_BLOCK):
        batch = data.gather(rows)
        decided = method.denoise(batch.to(device))
        if decided is None:
            return None
        real = batch.valid
        slots.append(batch.slots[real])
        keeps.append(decided.keep.cpu()[real])
        scores.append(decided.score.float().cpu()[real])
    slot = torch.cat(slots)
    order = torch.argsort(slot)
    place = slot[order].numpy()
    user = np.searchsorted(sequences.offsets, place, side="right") - 1
    item = sequences.items[place]
    return ReadOut(
        user=user.astype(np.int32),
        position=(place - sequences.offsets[user]).astype(np.int32),
        item=item,
        item_count=item_counts[item],
        keep=torch.cat(keeps)[order].numpy(),
        score=torch.cat(scores)[order].numpy(),
    )
