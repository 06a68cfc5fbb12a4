"""Measure the next-item loss, with its gradient, against the machine's matrix product.

Rates count the three matrix products of the loss only.

    python benchmarks/softmax.py
    python benchmarks/softmax.py --items 50000 --targets 4096
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import torch
from common import command, positive, run, seconds
from torch.nn.functional import cross_entropy as whole_logits

from bench.training.losses import cross_entropy

CEILING_SIZE = 2048
"""Side of the square matrices whose product shows the machine's best rate."""


def parser() -> ArgumentParser:
    """Describe the command line."""
    arguments = command(__doc__)
    arguments.add_argument("--items", type=positive, default=12_101, help="size of the catalogue")
    arguments.add_argument("--width", type=positive, default=64, help="embedding size")
    arguments.add_argument("--targets", type=positive, default=1024, help="targets of a step")
    return arguments


def measure(items: int, width: int, targets: int, at_least: float = 1.0) -> dict[str, float]:
    """Return floating-point operations a second, in billions, of each computation."""
    torch.set_flush_denormal(True)
    square = torch.randn(CEILING_SIZE, CEILING_SIZE)
    vectors = torch.randn(targets, width, requires_grad=True)
    table = torch.randn(items, width, requires_grad=True)
    classes = torch.randint(1, items + 1, (targets,))

    def sliced() -> object:
        return torch.autograd.grad(cross_entropy(vectors, table, classes), [vectors, table])

    def plain() -> object:
        return torch.autograd.grad(whole_logits(vectors @ table.T, classes - 1), [vectors, table])

    operations = 6 * targets * items * width
    return {
        "matrix product": 2 * CEILING_SIZE**3 / seconds(lambda: square @ square, at_least) / 1e9,
        "sliced softmax": operations / seconds(sliced, at_least) / 1e9,
        "plain cross-entropy": operations / seconds(plain, at_least) / 1e9,
    }


def main(options: Namespace) -> None:
    """Print the rates."""
    rates = measure(options.items, options.width, options.targets)
    for name, rate in rates.items():
        share = rate / rates["matrix product"]
        print(f"{name:<20}{rate:>6.0f} GFLOP/s{share:>6.0%} of the matrix product")


if __name__ == "__main__":
    run(parser(), main)
