"""How near the softmax comes to the speed of the machine's matrix products."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.training.losses import cross_entropy

CEILING_SIZE = 2048
"""Side of the square product that stands for the machine's best."""


@dataclass(frozen=True)
class SoftmaxSpeed:
    """Measured rates, in billions of floating-point operations a second.

    Attributes
    ----------
    ceiling
        A square matrix product.
    sliced
        Our loss with its gradient, counting its three products only.
    plain
        torch's cross-entropy on whole logits, the same count.
    """

    ceiling: float
    sliced: float
    plain: float

    @property
    def share(self) -> float:
        """Part of the ceiling that the sliced softmax reaches."""
        return self.sliced / self.ceiling


def measure(n_items: int, width: int = 64, targets: int = 1024, repeats: int = 9) -> SoftmaxSpeed:
    """Time forward and backward of the next-item loss.

    Parameters
    ----------
    n_items, width
        Shape of the item table.
    targets
        Per step.
    repeats
        The median of so many is taken.
    """
    torch.set_flush_denormal(True)
    square = torch.randn(CEILING_SIZE, CEILING_SIZE)
    vectors = torch.randn(targets, width, requires_grad=True)
    table = torch.randn(n_items, width, requires_grad=True)
    classes = torch.randint(1, n_items + 1, (targets,))

    def sliced() -> object:
        return torch.autograd.grad(cross_entropy(vectors, table, classes), [vectors, table])

    def plain() -> object:
        loss = torch.nn.functional.cross_entropy(vectors @ table.T, classes - 1)
        return torch.autograd.grad(loss, [vectors, table])

    work = 6 * targets * n_items * width
    return SoftmaxSpeed(
        ceiling=2 * CEILING_SIZE**3 / _median(lambda: square @ square, repeats) / 1e9,
        sliced=work / _median(sliced, repeats) / 1e9,
        plain=work / _median(plain, repeats) / 1e9,
    )


def _median(call: Callable[[], object], repeats: int) -> float:
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
