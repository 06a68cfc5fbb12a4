"""Costs of single steps: what is timed, and that timing changes nothing."""

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from bench.cli.main import app
from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.perf import steps, stopwatch
from bench.perf.steps import HEADERS, StepCost, measure, measure_experiment
from bench.perf.stopwatch import Stopwatch, timed
from bench.plan.grid import freeze, grid_points
from bench.plan.spec import Spec
from bench.training.trainer import Trainer


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the operations below move."""
    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    return now


def slow(clock, there, back):
    """The identity, which takes so many seconds forward and backward."""

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            clock[0] += there
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            clock[0] += back
            return gradient

    return Slow.apply


def test_a_call_is_timed_on_its_way_there_and_back(clock):
    watch = Stopwatch()
    before, inside, after = slow(clock, 1, 2), slow(clock, 10, 20), slow(clock, 100, 200)
    x = torch.ones(3, requires_grad=True)
    after(timed(watch, "inside", inside)(before(x))).sum().backward()
    assert watch.seconds == {"inside": 30}
    assert clock[0] == 333


def test_several_calls_add_up_and_nested_ones_count_once(clock):
    watch = Stopwatch()
    inner = timed(watch, "part", slow(clock, 1, 2))
    outer = timed(watch, "part", lambda x: inner(slow(clock, 10, 20)(x)))
    x = torch.ones(3, requires_grad=True)
    (outer(x) + inner(x)).sum().backward()
    assert watch.seconds == {"part": 36}


def test_a_call_on_constants_is_timed_to_its_end(clock):
    # Its weights learn, its input does not.
    watch, weight = Stopwatch(), torch.ones(3, requires_grad=True)
    part, rest = slow(clock, 1, 2), slow(clock, 10, 20)
    call = timed(watch, "part", lambda x: part(x * weight))
    (call(torch.ones(3)) * rest(weight)).sum().backward()
    assert watch.seconds == {"part": 3}
    assert not watch.running
    assert weight.grad.tolist() == [2, 2, 2]


def test_two_inputs_end_a_call_together(clock):
    watch = Stopwatch()
    part = slow(clock, 1, 2)
    call = timed(watch, "part", lambda x, table, index: part(x) * part(table)[index])
    x, table = (torch.ones(3, requires_grad=True) for _ in range(2))
    call(x, table, torch.arange(3)).sum().backward()
    assert watch.seconds == {"part": 6}
    watch.reset()
    assert not watch.seconds


def test_timing_changes_no_gradient():
    torch.manual_seed(0)
    layer, x = nn.Linear(4, 4), torch.randn(5, 4, requires_grad=True)
    plain = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
    watched = timed(Stopwatch(), "part", layer.forward)(x).square().sum()
    for mine, theirs in zip(
        torch.autograd.grad(watched, [x, *layer.parameters()]), plain, strict=True
    ):
        assert mine.equal(theirs)


def toy(users=60, items=30):
    rows = [[(user + step) % items + 1 for step in range(5 + user % 4)] for user in range(users)]
    names = [str(number) for number in range(1, items + 1)]
    return Dataset("toy", "toy", Sequences.from_lists(rows), names * 2, names, [""] * items, 8)


def toy_spec(*methods):
    return Spec(
        datasets=("toy",),
        backbones=("sasrec",),
        methods=methods,
        training={"batch_size": 16, "samples": "auto", "prefixes_per_user": 1},
    )


def test_each_method_is_measured_with_its_own_samples():
    base, own = measure(toy_spec("none", "dcrec"), toy(), steps=2)
    assert (base.method, base.samples, set(base.parts)) == (
        "none",
        "positions",
        {"backbone", "softmax", "optimiser"},
    )
    assert (own.method, own.samples, set(own.parts)) == (
        "dcrec",
        "prefixes",
        {"softmax", "optimiser"},
    )
    assert own.rows == 16
    for cost in (base, own):
        assert all(seconds > 0 for seconds in cost.parts.values())
        assert 0 < cost.own < cost.step
        # 60 users in batches of 16 rows, or of about 16 targets in rows of 2 to 5.
        assert cost.epoch >= 4 * cost.step


def test_watching_changes_no_weight():
    spec, dataset = toy_spec("none"), toy()
    experiment = freeze(grid_points(spec)[0], spec, dataset)
    stepper = steps._prepare(experiment, dataset, Stopwatch())
    watched = steps._prepare(experiment, dataset, Stopwatch())
    assert isinstance(stepper, Trainer)
    batch = stepper.begin()[0]
    stepper.take(batch)
    watched.begin()
    with steps._watching(watched, Stopwatch()):
        watched.take(batch)
    mine, theirs = stepper.method.state_dict(), watched.method.state_dict()
    assert all(mine[name].equal(theirs[name]) for name in mine)


def test_more_steps_than_an_epoch_has_go_round():
    spec, dataset = toy_spec("dcrec"), toy()
    cost = measure_experiment(freeze(grid_points(spec)[0], spec, dataset), dataset, steps=9)
    # Batches of 16, 16, 16 and 12; the first is not timed.
    assert cost.rows == pytest.approx((2 * (16 + 16 + 12) + 16 + 16 + 16) / 9)


def test_a_row_shows_shares_of_a_step():
    parts = {"backbone": 0.05, "softmax": 0.1, "optimiser": 0.01}
    cost = StepCost("hsd", "prefixes", 511.6, 0.2, parts, 12.34, 1.0)
    shown = ("hsd", "prefixes", "512", "200.0", "25%", "20%", "50%", "5%", "12.3", "1.0")
    assert cost.row() == shown
    assert len(shown) == len(HEADERS)


def test_the_command_prints_a_row_for_each_method():
    words = ["perf", "methods", "--dataset", "planted", "--method", "none", "dcrec", "--steps", "1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    rows = [line.split("|")[1].strip() for line in result.output.splitlines() if "|" in line]
    assert rows[0] == "method"
    assert rows[2:] == ["none", "dcrec"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "dcrek"], "unknown method 'dcrek'; did you mean 'dcrec'?"),
        (["--method", "dcrec", "--set", "temperture=1"], "did you mean 'temperature'"),
    ],
)
def test_bad_input_is_named(words, message):
    result = CliRunner().invoke(app, ["perf", "methods", "--dataset", "planted", *words])
    assert message in str(result.exception)
