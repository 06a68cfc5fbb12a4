"""Count what a training step asks of a GPU, on a machine without one.

A step of each method on each backbone is taken twice on the CPU: as a CPU computes it, on real
tokens alone, and as a GPU does, on padded frames (bench.model.shapes). Two things are counted in
forward, backward and the update of the weights:

- operations: calls of torch's operators that would launch at least one kernel. Views and new,
  empty tensors launch none. A recurrent layer and scaled_dot_product_attention are one operation
  in either direction, as in cuDNN and in torch's fused kernels.
- synchronisations: operators for whose result the CPU has to wait, since a shape or a branch
  depends on it: nonzero, unique, masks as indices, item, bincount, copies to the CPU.

    python benchmarks/launches.py
    python benchmarks/launches.py --dataset beauty --method none hsd --backbone gru4rec
    python benchmarks/launches.py --method hsd --backbone sasrec --operators
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from common import print_table, run
from steps import Stepper, models_command, planned
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_unflatten

from bench.components import BACKBONES
from bench.data.dataset import Dataset
from bench.model.shapes import static_shapes
from bench.plan.experiment import Experiment

_NO_KERNEL = {
    "aten::_local_scalar_dense",
    "aten::_unsafe_view",
    "aten::empty",
    "aten::empty_like",
    "aten::empty_strided",
    "aten::lift_fresh",
    "aten::new_empty",
    "aten::new_empty_strided",
    "aten::resize_",
    "profiler::_record_function_enter_new",
    "profiler::_record_function_exit",
}
"""Operators that copy a number, that allocate or describe memory, or that mark a profile."""
_WAITS = {
    "aten::_local_scalar_dense",
    "aten::_unique2",
    "aten::bincount",
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
    "aten::unique_consecutive",
    "aten::unique_dim",
}
"""Operators whose result or its size the CPU must know."""
_MASKABLE = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
_LIBRARY = ("scaled_dot_product_attention", "lstm", "gru", "dropout")


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counter of the operators below autograd, and of those that wait, by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operator and call it."""
        del types
        name = func.name().partition(".")[0]
        if not (func.is_view or name in _NO_KERNEL):
            self.operations[name] += 1
        if name in _WAITS or _has_mask(name, args) or _unsized_repeat(name, kwargs):
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


def _has_mask(name: str, args: Any) -> bool:
    if name not in _MASKABLE:
        return False
    return any(index is not None and index.dtype in {torch.bool, torch.uint8} for index in args[1])


def _unsized_repeat(name: str, kwargs: Any) -> bool:
    return name == "aten::repeat_interleave" and not (kwargs or {}).get("output_size")


class _AsLibrary(TorchFunctionMode):
    """Count what a library computes in one call as one operator in either direction."""

    def __init__(self, launches: Launches) -> None:
        super().__init__()
        self.launches = launches

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace the operators inside a call by one."""
        del types
        given = kwargs or {}
        name = getattr(func, "__name__", "")
        if name not in _LIBRARY:
            return func(*args, **given)
        flat, spec = tree_flatten((args, given))
        tensors = [value for value in flat if isinstance(value, Tensor)]

        def call(*inner: Tensor) -> tuple[Tensor, ...]:
            left = iter(inner)
            again = [next(left) if isinstance(value, Tensor) else value for value in flat]
            again_args, again_given = tree_unflatten(again, spec)
            found = func(*again_args, **again_given)
            return (found,) if isinstance(found, Tensor) else tuple(found)

        found = _OneCall.apply(self.launches, name, call, *tensors)  # type: ignore[no-untyped-call]
        return found[0] if len(found) == 1 else found


class _OneCall(torch.autograd.Function):
    """A call with its own graph, whose operators are not counted."""

    @staticmethod
    def forward(
        ctx: Any,
        launches: Launches,
        name: str,
        call: Callable[..., tuple[Tensor, ...]],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        launches.operations[name] += 1
        with _disable_current_modes(), torch.enable_grad():
            ctx.inner = [
                tensor.detach().requires_grad_(wanted)
                for tensor, wanted in zip(tensors, ctx.needs_input_grad[3:], strict=True)
            ]
            ctx.found = call(*ctx.inner)
            ctx.launches, ctx.call = launches, name
            ctx.set_materialize_grads(False)
            return tuple(tensor.detach() for tensor in ctx.found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        ctx.launches.operations[f"{ctx.call} backward"] += 1
        wanted = [tensor for tensor in ctx.inner if tensor.requires_grad]
        pairs = [
            (tensor, grad)
            for tensor, grad in zip(ctx.found, grads, strict=True)
            if tensor.requires_grad and grad is not None
        ]
        with _disable_current_modes():
            made = iter(
                torch.autograd.grad(
                    [tensor for tensor, _ in pairs],
                    wanted,
                    [grad for _, grad in pairs],
                    allow_unused=True,
                )
            )
        each = (next(made) if tensor.requires_grad else None for tensor in ctx.inner)
        return (None, None, None, *each)


@contextmanager
def counted(*, library: bool = True) -> Iterator[Launches]:
    """Count the operators of the block; of a library's call, all of them or one."""
    launches = Launches()
    with launches, _AsLibrary(launches) if library else nullcontext():
        yield launches


def count_step(experiment: Experiment, dataset: Dataset, *, static: bool) -> Launches:
    """Count what one step asks for, after one that warms up.

    It is of the second epoch, in which all parts of a method work; ``static``: as on a GPU.
    """
    with static_shapes() if static else nullcontext():
        stepper = Stepper.of(experiment, dataset)
        waiting = stepper.begin()
        stepper.take(waiting[0])
        stepper.method.begin_epoch(1)
        batch = stepper.data.gather(waiting[1 % len(waiting)])
        with counted(library=static) as launches:
            stepper.update(batch)
    return launches


def parser() -> ArgumentParser:
    """Describe the command line."""
    arguments = models_command(__doc__, dataset="planted")
    add = arguments.add_argument
    add("--backbone", nargs="+", default=BACKBONES.names(), help="recommenders")
    add("--operators", action="store_true", help="list the operators of padded steps too")
    return arguments


def main(options: Namespace) -> None:
    """Print a row for each method and a column for each backbone."""
    data, experiments = planned("launches", options, *options.backbone)
    cells, lists = defaultdict[str, dict[str, str]](dict), []
    for experiment in experiments:
        found = [count_step(experiment, data, static=static) for static in (False, True)]
        method, backbone = experiment.method, experiment.backbone or "no backbone"
        cells[method][backbone] = " → ".join(
            f"{each.operations.total()} ({each.waits.total()})" for each in found
        )
        lists.append((f"{method} on {backbone}", found[1]))
    heads = list(dict.fromkeys(backbone for row in cells.values() for backbone in row))
    rows = ([method, *(row.get(head, "—") for head in heads)] for method, row in cells.items())
    print("Operations (waits) of a step on real tokens → on padded frames:\n")
    print_table(("method", *heads), rows)
    if options.operators:
        for name, launches in lists:
            print(f"\n{name}:")
            for kind in (launches.waits, launches.operations):
                print("  " + ", ".join(f"{op} {times}" for op, times in kind.most_common()))


if __name__ == "__main__":
    run(parser(), main)
