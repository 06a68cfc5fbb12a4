"""Time optimiser steps of methods on a CPU and show where the time goes.

Methods take their steps in turn, and their times are also shown as ratios to the bare backbone's.
Milliseconds of a step are measured without a profiler; shares come from a few more steps under
torch.profiler: the backbone's calls, the next-item loss, Adam, and the method's own rest, forward
and backward. Seconds of an epoch follow from its number of steps, without validation.

    python benchmarks/steps.py
    python benchmarks/steps.py --dataset ml-100k --backbone gru4rec --steps 5
    python benchmarks/steps.py --method none dcrec dcrec:no-contrast --set batch_size=2048
    python benchmarks/steps.py --method none t-ce r-ce pld --set t-ce.ramp=0 pld.warmup=0
"""

from __future__ import annotations

import statistics
import time
from argparse import ArgumentParser, Namespace
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import torch
from common import command, plan, positive, print_table, run
from torch import Generator, Tensor
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from bench.components import BASELINE, METHODS
from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.data.split import Split
from bench.model.backbone import Backbone
from bench.model.batch import Batch, Rows, SequenceData
from bench.model.samples import batches
from bench.plan.experiment import Experiment
from bench.plan.spec import Spec
from bench.runs.train import build_method, sampling_of, training_data
from bench.seeds import seed_for
from bench.settings import Settings
from bench.training.device import configure
from bench.training.trainer import Trainer

CPU = torch.device("cpu")
METHODS_OF_DATA = [name for name in METHODS.names() if name != "decisions"]
"""Every method but the one that needs a file of decisions."""
PROFILED_STEPS = 3
BACKBONE_CALLS = ("encode", "encode_last", "project")
"""What a method asks of a backbone in a step."""
HEADERS = (
    "method",
    "samples",
    "rows/step",
    "ms/step",
    "to base",
    "backbone",
    "method's own",
    "softmax",
    "optimiser",
    "s/epoch",
    "s to build",
)


def parser() -> ArgumentParser:
    """Describe the command line."""
    arguments = models_command(__doc__, dataset="beauty")
    add = arguments.add_argument
    add("--backbone", default="sasrec", help="recommender that methods are attached to")
    add("--steps", type=positive, default=10, help="timed steps of each method")
    return arguments


def models_command(description: str | None, dataset: str) -> ArgumentParser:
    """Create a parser of the options that :func:`planned` reads, except the backbones."""
    arguments = command(description)
    add = arguments.add_argument
    add("--dataset", default=dataset, help="name or path of a data card")
    add("--method", nargs="+", default=METHODS_OF_DATA, help="methods and variants")
    add("--encoder", default="tfidf", help="text encoder of methods that need one")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as batch_size=128")
    add("--threads", type=positive, default=1, help="threads of the arithmetic")
    return arguments


def planned(name: str, options: Namespace, *backbones: str) -> tuple[Dataset, list[Experiment]]:
    """Load the data, set the arithmetic of a CPU, and fix an experiment for each model."""
    spec = Spec(
        name=name,
        datasets=(options.dataset,),
        backbones=backbones,
        methods=tuple(options.method),
        encoders=(options.encoder,),
    )
    settings = Settings.from_environment()
    data = load_dataset(options.dataset, settings)
    configure(CPU, options.threads, settings.numerics)
    return data, plan(spec, options.set, data)


@dataclass(frozen=True)
class StepCost:
    """Cost of one method's steps.

    Attributes
    ----------
    method, samples
        Registered name; how samples are drawn.
    rows
        Mean number of rows of a batch.
    step
        Median wall seconds of a step, gathering the batch included.
    ratio
        Of this time to that of the bare backbone in the same run; None without one.
    shares
        Share of a step in ``backbone``, ``softmax`` (the next-item loss) and ``optimiser``.
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
    ratio: float | None
    shares: dict[str, float]
    epoch: float
    build: float

    def row(self) -> list[str]:
        """Format a table's row, in the order of :data:`HEADERS`."""
        return [
            self.method,
            self.samples,
            f"{self.rows:.0f}",
            f"{1000 * self.step:.1f}",
            "—" if self.ratio is None else f"{self.ratio:.2f}",
            # A method that brings its own recommender never calls a backbone.
            f"{self.shares['backbone']:.0%}" if "backbone" in self.shares else "—",
            f"{1 - sum(self.shares.values()):.0%}",
            f"{self.shares.get('softmax', 0):.0%}",
            f"{self.shares.get('optimiser', 0):.0%}",
            f"{self.epoch:.1f}",
            f"{self.build:.1f}",
        ]


class Stepper(Trainer):
    """A trainer whose steps are taken one by one."""

    @classmethod
    def of(cls, experiment: Experiment, dataset: Dataset) -> Stepper:
        """Build an experiment as training does, its parts labelled for the profiler."""
        split = Split.of(dataset)
        train, data = split.train, training_data(experiment, split, Settings.from_environment())
        axes = (experiment.dataset, experiment.seed)
        name = (experiment.method, experiment.backbone or "", "initial weights")
        torch.manual_seed(seed_for(*axes, *name))
        data = replace(
            data,
            next_item_loss=labelled("softmax", data.next_item_loss),
            target_loss=labelled("softmax", data.target_loss),
        )
        method = build_method(experiment, data)
        for module in method.modules():
            if isinstance(module, Backbone):
                for call in BACKBONE_CALLS:
                    # An attribute of the instance hides the method of its class.
                    setattr(module, call, labelled("backbone", getattr(module, call)))
        return cls(
            method,
            SequenceData(train),
            experiment.training,
            experiment.protocol,
            sampling=sampling_of(experiment),
            axes=axes,
            device=CPU,
        )

    def begin(self) -> list[Rows]:
        """Begin the first epoch as training does and return its batches, not yet gathered."""
        torch.manual_seed(seed_for(*self.axes, "noise", 0))
        self.method.train()
        self.method.begin_epoch(0)
        order = Generator().manual_seed(seed_for(*self.axes, "order", 0))
        return batches(self.samples(0), self.config.batch_size, order)

    def take(self, rows: Rows) -> None:
        """Gather a batch and update the weights once."""
        self.update(self.data.gather(rows))

    def update(self, batch: Batch) -> None:
        """Update the weights once."""
        self._step(batch)


def labelled(part: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Mark a function's operations for the profiler; results stay the same."""

    def wrapped(*given: Any, **options: Any) -> Tensor:
        with record_function(part):
            return call(*given, **options)

    return wrapped


class Course:
    """One method's steps; an epoch of fewer batches is repeated."""

    def __init__(self, experiment: Experiment, dataset: Dataset) -> None:
        began = time.perf_counter()
        self.experiment = experiment
        self.stepper = Stepper.of(experiment, dataset)
        built = time.perf_counter()
        self.waiting = self.stepper.begin()
        self.build, self.begin = built - began, time.perf_counter() - built
        self.coming = cycle(self.waiting)
        self.rows: list[int] = []

    def step(self) -> float:
        """Take a step and return its wall seconds."""
        began = time.perf_counter()
        rows = next(self.coming)
        self.stepper.take(rows)
        self.rows.append(len(rows))
        return time.perf_counter() - began

    def profiled(self) -> dict[str, float]:
        """Return the share of each part in a few more steps."""
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(PROFILED_STEPS):
                with record_function("step"):
                    self.step()
        return shares(profiler.events() or ())


def measure(experiments: Sequence[Experiment], dataset: Dataset, steps: int) -> list[StepCost]:
    """Time the steps of some experiments in turn, so that other work slows all of them alike."""
    courses = [Course(experiment, dataset) for experiment in experiments]
    for course in courses:
        course.step()
    rounds = [[course.step() for course in courses] for _ in range(steps)]
    seconds = [statistics.median(times) for times in zip(*rounds, strict=True)]
    names = [experiment.method for experiment in experiments]
    base = seconds[names.index(BASELINE)] if BASELINE in names else None
    return [
        StepCost(
            course.experiment.method,
            course.stepper.sampling,
            sum(course.rows[1:]) / steps,
            step,
            None if base is None else step / base,
            course.profiled(),
            epoch=course.begin + len(course.waiting) * step,
            build=course.build,
        )
        for course, step in zip(courses, seconds, strict=True)
    ]


def shares(events: Iterable[FunctionEvent]) -> dict[str, float]:
    """Return the share of the profiled steps that was spent in each part.

    Forward, a part's time is that of its labelled regions. Backward, it is the time of the nodes
    that were created in these regions. Autograd numbers its nodes one after another and the
    profiler notes with each operation the number of the next node, so that a region's nodes are
    those from the number of its first operation to that of the first operation after it. A
    gradient is added to a weight at once after the node that computed it, in the same part. The
    events are of steps on a CPU, each in a region ``step``.
    """
    ordered = sorted(events, key=lambda e: (e.time_range.start, -e.time_range.end))
    numbered = [e for e in ordered if e.sequence_nr >= 0 and e.scope == 0]
    starts = [e.time_range.start for e in numbered]
    owner: dict[int, str] = {}
    spent: Counter[str] = Counter()
    total = busy = 0.0
    part: str | None = None
    for event in ordered:
        begin, end = event.time_range.start, event.time_range.end
        if event.name == "step":
            total += end - begin
        if event.name == "step" or begin < busy:
            continue
        if event.name in {"backbone", "softmax"}:
            part = event.name
            inside, after = bisect_left(starts, begin), bisect_left(starts, end)
            if after < len(numbered):
                numbers = range(numbered[inside].sequence_nr, numbered[after].sequence_nr)
                owner.update(dict.fromkeys(numbers, part))
        elif event.name.startswith("autograd::engine::evaluate_function"):
            part = owner.get(event.sequence_nr) if event.sequence_nr >= 0 else part
        else:
            part = "optimiser" if event.name.startswith("Optimizer.step") else None
        if part is not None:
            spent[part] += end - begin
            busy = end
    return {name: time / total for name, time in spent.items()}


def main(options: Namespace) -> None:
    """Print a row for each method."""
    data, experiments = planned("steps", options, options.backbone)
    costs = measure(experiments, data, options.steps)
    print(f"{data.name}, {options.threads} threads, attached to {options.backbone}, ", end="")
    print(f"batches of {experiments[0].training.batch_size}:\n")
    print_table(HEADERS, [cost.row() for cost in costs])


if __name__ == "__main__":
    run(parser(), main)
