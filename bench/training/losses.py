"""Next-item losses, written so that the softmax runs near the speed of its matrix products.

Every loss is offered as a mean over targets and of each target. Scores are inner products of a
state's vector and an item's; s+ is that of the target, s- that of a negative:

==================  =====================================================================
``cross_entropy``   ``-log softmax`` over all items
``in_batch_tanh``   ``-log softmax`` over the batch's targets, of tanh of the scores
``bce``             ``(softplus(-s+) + sum softplus(s-)) / (k + 1)``
``bpr``             mean of ``softplus(s- - s+)``
``gbce``            ``(beta softplus(-s+) + sum softplus(s-)) / (k + 1)``
==================  =====================================================================
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from bench.errors import TrainingError
from bench.model.method import NextItemLoss, TargetLoss
from bench.model.shapes import is_static
from bench.plan.training import TrainingConfig

SLICE_ROWS = 128
"""Rows of logits at a time on a CPU: larger slices leave the processor's caches."""
SLICE_BYTES = 64 * 2**20
"""Most memory that a slice of logits takes there, whatever the number of items."""
KEPT_BYTES = 64 * 2**20
"""Most memory of slices that the losses of single targets keep for the backward pass."""
GPU_BYTES = 2**30
"""Both sizes on a GPU, where few large slices cost the fewest operations."""
ITEMS_PER_LOOKUP = 50
"""Up to so many items for each look-up, a CPU multiplies with all of them in less time."""


def _slice_rows(table: Tensor) -> int:
    if is_static(table.device):
        return max(1, GPU_BYTES // _row_bytes(table))
    return max(1, min(SLICE_ROWS, SLICE_BYTES // _row_bytes(table)))


def _kept_slices(table: Tensor) -> int:
    room = GPU_BYTES if is_static(table.device) else KEPT_BYTES
    return room // (_slice_rows(table) * _row_bytes(table))


def _row_bytes(table: Tensor) -> int:
    return table.element_size() * len(table)


class _SlicedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy over all items whose gradient is written out slice by slice.

    The logits of a slice are turned into probabilities, then into the gradient of the logits,
    in one buffer; a ``[targets, items]`` tensor never exists.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, table: Tensor, classes: Tensor) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        grad_vectors = torch.empty_like(vectors) if wanted else None
        grad_table = torch.zeros_like(table) if wanted else None
        total = vectors.new_zeros(())
        rows = _slice_rows(table)
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


class _TargetCrossEntropy(torch.autograd.Function):
    """Cross-entropy of each target over all items.

    Weights that depend on the losses are known only when all losses are. The backward pass starts
    from the logarithms of the first slices, which are kept, and from logits computed once more of
    the others.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, table: Tensor, classes: Tensor) -> Tensor:
        rows = _slice_rows(table)
        kept: list[Tensor] = []
        room = _kept_slices(table) if any(ctx.needs_input_grad) else 0
        losses = vectors.new_empty(len(vectors))
        buffer: Tensor | None = None
        for start in range(0, len(vectors), rows):
            part = vectors[start : start + rows]
            if len(kept) < room:
                out = vectors.new_empty(len(part), len(table))
                kept.append(out)
            else:
                buffer = vectors.new_empty(rows, len(table)) if buffer is None else buffer
                out = buffer[: len(part)]
            logs = torch.log_softmax(torch.mm(part, table.T, out=out), 1, out=out)
            index = classes[start : start + rows, None]
            losses[start : start + rows] = -logs.gather(1, index).squeeze(1)
        ctx.save_for_backward(vectors, table, classes, *kept)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_losses: Tensor) -> tuple[Tensor, Tensor, None]:
        vectors, table, classes, *kept = ctx.saved_tensors
        rows = _slice_rows(table)
        grad_vectors, grad_table = torch.zeros_like(vectors), torch.zeros_like(table)
        groups = _learnt_from(grad_losses, rows)
        buffer = vectors.new_empty(max(len(own) for own in groups), len(table))
        with torch.autocast(vectors.device.type, enabled=False):
            for place, own in enumerate(groups):
                out, part = buffer[: len(own)], vectors[own]
                if place < len(kept):
                    logs = torch.index_select(kept[place], 0, own - place * rows, out=out)
                    probabilities = logs.exp_()
                else:
                    probabilities = torch.softmax(torch.mm(part, table.T, out=out), 1, out=out)
                index, scale = classes[own, None], grad_losses[own, None]
                gradient = probabilities.scatter_(1, index, probabilities.gather(1, index) - 1)
                grad_vectors[own] = torch.mm(gradient, table) * scale
                grad_table.addmm_(gradient.T, part * scale)
        return grad_vectors, grad_table, None


def _learnt_from(grad_losses: Tensor, rows: int) -> tuple[Tensor, ...]:
    """Return the indices of the targets with a gradient, slice by slice; of all on a GPU."""
    if is_static(grad_losses.device):
        return torch.split(torch.arange(len(grad_losses), device=grad_losses.device), rows)
    counted = grad_losses.nonzero().squeeze(1)
    sizes = torch.bincount(counted // rows, minlength=-(-len(grad_losses) // rows))
    return torch.split(counted, sizes.tolist())


class _ChosenLogits(torch.autograd.Function):
    """Logits of some items for each vector, ``[M, chosen]``, by products with the whole table."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, table: Tensor, classes: Tensor) -> Tensor:
        ctx.save_for_backward(vectors, table, classes)
        rows = _slice_rows(table)
        buffer = vectors.new_empty(min(rows, len(vectors)), len(table))
        chosen = vectors.new_empty(classes.shape)
        for start in range(0, len(vectors), rows):
            part, index = vectors[start : start + rows], classes[start : start + rows]
            logits = torch.mm(part, table.T, out=buffer[: len(part)])
            torch.gather(logits, 1, index, out=chosen[start : start + rows])
        return chosen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_chosen: Tensor) -> tuple[Tensor, Tensor, None]:
        vectors, table, classes = ctx.saved_tensors
        rows = _slice_rows(table)
        buffer = vectors.new_empty(min(rows, len(vectors)), len(table))
        grad_vectors, grad_table = torch.empty_like(vectors), torch.zeros_like(table)
        for start in range(0, len(vectors), rows):
            part, index = vectors[start : start + rows], classes[start : start + rows]
            gradient = buffer[: len(part)].zero_()
            gradient.scatter_add_(1, index, grad_chosen[start : start + rows])
            torch.mm(gradient, table, out=grad_vectors[start : start + rows])
            grad_table.addmm_(gradient.T, part)
        return grad_vectors, grad_table, None


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


def target_cross_entropy(vectors: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each target among all items, ``[M]``, without a ceiling.

    Parameters are those of :func:`cross_entropy`. Targets whose upstream gradient is zero cost
    nothing in the backward pass.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        losses: Tensor = _TargetCrossEntropy.apply(  # type: ignore[no-untyped-call]
            vectors.float(), table.float(), (targets - 1).clamp_min(0)
        )
    return losses


def in_batch_tanh(
    vectors: Tensor,
    table: Tensor,
    targets: Tensor,
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    """Cross-entropy among the batch's own targets with tanh on the logits.

    The regime of IADSR's published script, kept as a named option: row m
    must pick target m among all M targets of the batch; an item that is the target of several
    rows is a candidate several times.

    Parameters are those of :func:`cross_entropy`; with ``reduction`` ``none`` the result is the
    loss of each target, ``[M]``.
    """
    logits = torch.tanh(vectors @ table[targets - 1].T)
    own = torch.arange(len(targets), device=vectors.device)
    if is_static(vectors.device):
        logits = logits.masked_fill((targets == 0) & (own != own[:, None]), float("-inf"))
    return functional.cross_entropy(logits, own, reduction=reduction)


def gbce(
    vectors: Tensor, table: Tensor, targets: Tensor, *, negatives: int, calibration: float
) -> Tensor:
    """Generalised binary cross-entropy of each target and its sampled negatives, ``[M]``.

    Petrov and Macdonald, RecSys 2023 (gSASRec): the likelihood of the target is raised to the
    power ``beta = 1 - t (1 - k / (I - 1))``, with k negatives and calibration t, since sampled
    negatives make every item look too likely. The loss is the mean over target and negatives;
    papers that train with binary cross-entropy (SASRec) sum both.

    Parameters are those of :func:`cross_entropy`.
    """
    own, others = _sampled_logits(vectors, table, targets, negatives)
    beta = 1 - calibration * (1 - negatives / (len(table) - 1))
    # The closed form of the official conversion of the logit, which loses the gradient of
    # hopeless targets.
    total = beta * functional.softplus(-own) + functional.softplus(others).sum(1)
    return total / (negatives + 1)


def bpr(vectors: Tensor, table: Tensor, targets: Tensor, *, negatives: int) -> Tensor:
    """Pairwise loss of each target, mean over its sampled negatives, ``[M]``.

    Rendle, Freudenthaler, Gantner, Schmidt-Thieme, UAI 2009: ``-log sigmoid(s+ - s-)``.

    Parameters are those of :func:`cross_entropy`.
    """
    own, others = _sampled_logits(vectors, table, targets, negatives)
    return functional.softplus(others - own[:, None]).mean(1)


def _sampled_logits(
    vectors: Tensor, table: Tensor, targets: Tensor, negatives: int
) -> tuple[Tensor, Tensor]:
    """Return logits of the targets ``[M]`` and of negatives ``[M, k]``.

    Negatives are uniform over the items other than the target, with repetition.
    """
    others = len(table) - 1
    if not others:
        raise TrainingError(
            "the data set has one item, so there is none to draw as a negative; set "
            "training.loss=cross_entropy"
        )
    drawn = torch.randint(others, (len(targets), negatives), device=targets.device)
    own = (targets[:, None] - 1).clamp_min(0)
    classes = torch.cat([own, drawn + (drawn >= own)], 1)
    with torch.autocast(vectors.device.type, enabled=False):
        vectors, table = vectors.float(), table.float()
        few = len(table) <= ITEMS_PER_LOOKUP * classes.shape[1]
        if few and not is_static(table.device):
            logits: Tensor = _ChosenLogits.apply(vectors, table, classes)  # type: ignore[no-untyped-call]
        else:
            entries = functional.embedding(classes, table)
            logits = torch.bmm(entries, vectors[:, :, None]).squeeze(2)
    return logits[:, 0], logits[:, 1:]


DEFAULT_NEGATIVES = {"bce": 1, "bpr": 1, "gbce": 256}
"""Of losses that draw negatives."""


def next_item_losses(config: TrainingConfig) -> tuple[NextItemLoss, TargetLoss]:
    """Return the loss of :attr:`TrainingConfig.loss` as a mean and of each target."""
    if config.loss == "cross_entropy":
        return cross_entropy, target_cross_entropy
    if config.loss == "in_batch_tanh":
        return in_batch_tanh, partial(in_batch_tanh, reduction="none")
    negatives = config.negatives or DEFAULT_NEGATIVES[config.loss]
    each: TargetLoss
    if config.loss == "bpr":
        each = partial(bpr, negatives=negatives)
    else:
        calibration = config.calibration if config.loss == "gbce" else 0.0
        each = partial(gbce, negatives=negatives, calibration=calibration)
    return lambda *given: each(*given).mean(), each
