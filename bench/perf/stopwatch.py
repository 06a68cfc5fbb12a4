"""Time spent in chosen calls, on the way forward and back, without a profiler.

A call is timed on the way forward; markers around it in the graph of derivatives time it on the
way back. The engine of derivatives runs the youngest operations first, so all that a call has
recorded runs between its two markers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Stopwatch:
    """Wall seconds of named parts; parts do not overlap."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: tuple[str, float] | None = None

    @property
    def running(self) -> bool:
        """Whether a part is being timed."""
        return self._running is not None

    def start(self, part: str) -> None:
        """Begin a part."""
        self._running = part, time.perf_counter()

    def stop(self) -> None:
        """End the part that runs."""
        if self._running is not None:
            part, since = self._running
            self.seconds[part] += time.perf_counter() - since
        self._running = None

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Time a block."""
        self.start(part)
        try:
            yield
        finally:
            self.stop()

    def reset(self) -> None:
        """Forget what was timed."""
        self.seconds.clear()


class _Enter(torch.autograd.Function):
    """Marks a call's inputs: on the way back, the call ends here."""

    @staticmethod
    def forward(ctx: Any, watch: Stopwatch, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.watch = watch
        ctx.set_materialize_grads(False)
        return tuple(x.view_as(x) for x in inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.watch.stop()
        return None, *gradients


class _Leave(torch.autograd.Function):
    """Marks a call's result: on the way back, the call begins here."""

    @staticmethod
    def forward(ctx: Any, watch: Stopwatch, part: str, result: Tensor) -> Tensor:
        ctx.watch, ctx.part = watch, part
        return result.view_as(result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        ctx.watch.start(ctx.part)
        return None, None, gradient


def timed(watch: Stopwatch, part: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Time a function of tensors on the way forward and back.

    A call inside another one that is timed is part of that one.

    Parameters
    ----------
    watch
        Where seconds go.
    part
        Under what name.
    call
        Its floating-point positional arguments are what it is differentiated by.
    """

    def wrapped(*given: Any, **options: Any) -> Tensor:
        if watch.running:
            return call(*given, **options)
        places = [i for i, x in enumerate(given) if _is_real(x)]
        inputs = [given[i] for i in places]
        if not any(x.requires_grad for x in inputs):
            # The weights of the call may learn all the same: an end must be marked.
            inputs = [x.detach().requires_grad_() for x in inputs]
        marked = dict(zip(places, _Enter.apply(watch, *inputs), strict=True))  # type: ignore[no-untyped-call]
        with watch.timing(part):
            result = call(*(marked.get(i, x) for i, x in enumerate(given)), **options)
        left: Tensor = _Leave.apply(watch, part, result)  # type: ignore[no-untyped-call]
        return left

    return wrapped


def _is_real(x: object) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()
