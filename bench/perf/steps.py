"""What one optimiser step of each method costs, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

import torch
from torch import Generator

from bench.components import METHODS
from bench.data.dataset import Dataset, LeaveOneOut
from bench.model.backbone import Backbone
from bench.model.batch import Rows, SequenceData
from bench.model.samples import batches
from bench.perf.stopwatch import Stopwatch, timed
from bench.plan.experiment import Experiment
from bench.plan.grid import freeze, grid_points
from bench.plan.spec import Spec
from bench.runs.train import build_method, training_data
from bench.seeds import seed_for
from bench.settings import Settings
from bench.training.device import configure
from bench.training.trainer import Trainer

BACKBONE, ENCODER = "sasrec", "tfidf"
"""What methods are attached to, and read texts through, unless told otherwise."""
HEADERS = (
    "method",
    "samples",
    "rows/step",
    "ms/step",
    "backbone",
    "method's own",
    "softmax",
    "optimiser",
    "s/epoch",
    "s to build",
)
_CALLS = ("encode", "encode_last", "project")
"""What a method asks of a backbone in a step."""
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class StepCost:
    """Cost of one method, means over a few steps.

    Attributes
    ----------
    method, samples
        Registered name; how samples were drawn.
    rows
        Rows of a batch.
    step
        Wall seconds of a step, gathering the batch included.
    parts
        Seconds of it by part: ``backbone``, ``softmax`` (the next-item loss), ``optimiser``. A
        method that brings its own recommender has no backbone.
    epoch
        Seconds of an epoch without validation: drawing samples, what the method does at its
        beginning, and its number of such steps.
    build
        Seconds until the first epoch: graphs, text vectors, weights.
    """

    method: str
    samples: str
    rows: float
    step: float
    parts: dict[str, float]
    epoch: float
    build: float

    @property
    def own(self) -> float:
        """Seconds of a step in none of the parts: the method's own."""
        return self.step - sum(self.parts.values())

    def row(self) -> tuple[str, ...]:
        """Values of a table's row, in the order of :data:`HEADERS`; parts as shares of a step."""
        return (
            self.method,
            self.samples,
            f"{self.rows:.0f}",
            f"{1000 * self.step:.1f}",
            self._share("backbone"),
            f"{self.own / self.step:.0%}",
            self._share("softmax"),
            self._share("optimiser"),
            f"{self.epoch:.1f}",
            f"{self.build:.1f}",
        )

    def _share(self, part: str) -> str:
        return f"{self.parts[part] / self.step:.0%}" if part in self.parts else "—"


class Stepper(Trainer):
    """A trainer whose steps are taken and timed one by one."""

    def begin(self) -> list[Rows]:
        """Begin the first epoch as training does; give its batches, not yet gathered."""
        torch.manual_seed(seed_for(*self.axes, "noise", 0))
        self.method.train()
        self.method.begin_epoch(0)
        order = Generator().manual_seed(seed_for(*self.axes, "order", 0))
        return batches(self.samples(0), self.config.batch_size, order)

    def take(self, rows: Rows) -> None:
        """Gather a batch and update the weights once."""
        self._step(self.data.gather(rows).to(self.device))


def measure(spec: Spec, dataset: Dataset, steps: int, threads: int = 1) -> Iterator[StepCost]:
    """Time each point of a specification on a CPU, one after another.

    Parameters
    ----------
    spec
        Checked by :meth:`bench.plan.spec.Spec.check`.
    dataset
        Its data set.
    steps
        Timed after one that is not; an epoch of fewer batches is gone through again.
    threads
        Of the arithmetic.

    Raises
    ------
    ConfigError
        A setting does not fit, or a graph of the method would be empty.
    """
    configure(_CPU, threads)
    for point in grid_points(spec):
        yield measure_experiment(freeze(point, spec, dataset), dataset, steps)


def measure_experiment(experiment: Experiment, dataset: Dataset, steps: int) -> StepCost:
    """Time one experiment; see :func:`measure`."""
    began = time.perf_counter()
    watch = Stopwatch()
    stepper = _prepare(experiment, dataset, watch)
    built = time.perf_counter()
    waiting = stepper.begin()
    begun = time.perf_counter()
    first, *rest = islice(cycle(waiting), steps + 1)
    with _watching(stepper, watch):
        stepper.take(first)
        watch.reset()
        start = time.perf_counter()
        for rows in rest:
            stepper.take(rows)
        step = (time.perf_counter() - start) / steps
    names = (
        ("softmax", "optimiser")
        if experiment.backbone is None
        else ("backbone", "softmax", "optimiser")
    )
    return StepCost(
        method=experiment.method,
        samples=stepper.sampling,
        rows=sum(map(len, rest)) / steps,
        step=step,
        parts={name: watch.seconds[name] / steps for name in names},
        epoch=begun - built + len(waiting) * step,
        build=built - began,
    )


def _prepare(experiment: Experiment, dataset: Dataset, watch: Stopwatch) -> Stepper:
    train = LeaveOneOut.of(dataset).train
    data = training_data(experiment, dataset, train, Settings.from_environment())
    watched = replace(data, next_item_loss=timed(watch, "softmax", data.next_item_loss))
    axes = (experiment.dataset, experiment.seed)
    torch.manual_seed(
        seed_for(*axes, experiment.method, experiment.backbone or "", "initial weights")
    )
    return Stepper(
        build_method(experiment, watched),
        SequenceData(train),
        experiment.training,
        experiment.protocol,
        sampling=METHODS.get(experiment.method).sampling_for(experiment.training.samples),
        axes=axes,
        device=_CPU,
    )


@contextmanager
def _watching(stepper: Stepper, watch: Stopwatch) -> Iterator[None]:
    """Time the optimiser, and what a method asks of its backbones."""
    for module in stepper.method.modules():
        if isinstance(module, Backbone):
            for name in _CALLS:
                # An attribute of the instance stands before the method of its class.
                setattr(module, name, timed(watch, "backbone", getattr(module, name)))
    optimiser = stepper.optimiser
    hooks: list[Any] = [
        optimiser.register_step_pre_hook(lambda *_: watch.start("optimiser")),
        optimiser.register_step_post_hook(lambda *_: watch.stop()),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
