"""Next-item losses, written so that the softmax runs near the speed of its matrix products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

SLICE_ROWS = 128
"""Rows of logits at a time: larger slices leave the processor's caches."""
SLICE_BYTES = 64 * 2**20
"""Most memory that a slice of logits takes, whatever the number of items."""


class _SlicedCrossEntropy(torch.autograd.Function):
    """Cross-entropy over all items whose gradient is written out slice by slice.

    The logits of a slice are turned into probabilities, then into the gradient of the logits,
    in one buffer; a ``[targets, items]`` tensor never exists.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, table: Tensor, classes: Tensor) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        grad_vectors = torch.empty_like(vectors) if wanted else None
        grad_table = torch.zeros_like(table) if wanted else None
        total = vectors.new_zeros(())
        rows = max(1, min(SLICE_ROWS, SLICE_BYTES // (table.element_size() * len(table))))
        buffer = vectors.new_empty(min(rows, len(vectors)), len(table))
        for start in range(0, len(vectors), rows):
            part = vectors[start : start + rows]
            target = classes[start : start + rows]
            logits = torch.mm(part, table.T, out=buffer[: len(part)])
            probabilities = torch.softmax(logits, 1, out=logits)
            index = target[:, None]
            own = probabilities.gather(1, index)
            total -= own.clamp_min(torch.finfo(own.dtype).tiny).log().sum()
            if grad_vectors is not None and grad_table is not None:
                gradient = probabilities.scatter_(1, index, own - 1)
                torch.mm(gradient, table, out=grad_vectors[start : start + len(part)])
                grad_table.addmm_(gradient.T, part)
        ctx.save_for_backward(grad_vectors, grad_table)
        return total / len(vectors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_vectors, grad_table = ctx.saved_tensors
        scale = grad_output / len(grad_vectors)
        return grad_vectors * scale, grad_table * scale, None


def cross_entropy(vectors: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of the next item among all items.

    Parameters
    ----------
    vectors
        ``[M, D]``, one for each target.
    table
        ``[I, D]``, row i = item i + 1.
    targets
        int64 ``[M]`` in 1 .. I.

    Returns
    -------
    Tensor
        A scalar. One row's loss saturates near 87 (float32's smallest probability); its
        gradient does not.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        loss: Tensor = _SlicedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            vectors.float(), table.float(), targets - 1
        )
    return loss


def in_batch_tanh(vectors: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy among the batch's own targets with tanh on the logits.

    The regime of IADSR's published script, kept as a named option: row m
    must pick target m among all M targets of the batch; an item that is the target of several
    rows is a candidate several times.

    Parameters and return value are those of :func:`cross_entropy`.
    """
    logits = torch.tanh(vectors @ table[targets - 1].T)
    return functional.cross_entropy(logits, torch.arange(len(targets), device=vectors.device))


LOSSES = {"cross_entropy": cross_entropy, "in_batch_tanh": in_batch_tanh}
