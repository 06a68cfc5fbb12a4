"""Costs of single steps: what is attributed to which part, and that labels change nothing."""

from types import SimpleNamespace

import pytest
import steps
import torch
from steps import HEADERS, StepCost, Stepper, labelled, measure, shares
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function
from toys import data_of

from bench.data.sequences import Sequences
from bench.errors import ConfigError
from bench.plan.grid import freeze, grid_points
from bench.plan.spec import Spec

BACK = "autograd::engine::evaluate_function: "


def event(name, start, end, number=-1, *, backward=False):
    """An event of a profile; ``number`` is that of the next node, backward of the node itself."""
    span = SimpleNamespace(start=start, end=end)
    return SimpleNamespace(name=name, time_range=span, sequence_nr=number, scope=int(backward))


def test_backward_time_goes_to_the_region_that_created_the_node():
    events = [
        event("step", 0, 100),
        event("embed", 1, 4, 7),
        event("backbone", 5, 20),
        event("linear", 6, 10, 8),
        event("relu", 11, 15, 9),
        event("detach", 16, 17, 10),  # creates no node: the next one is made outside
        event("scale", 21, 23, 10),
        event("softmax", 24, 34),
        event("loss", 25, 33, 11),
        event("sum", 35, 36, 12),
        event(BACK + "sum", 40, 42, 12, backward=True),
        event(BACK + "loss", 43, 46, 11, backward=True),
        event(BACK + "scale", 47, 49, 10, backward=True),
        event(BACK + "relu", 50, 53, 9, backward=True),
        event("mul", 51, 52),  # inside the node
        event(BACK + "linear", 54, 58, 8, backward=True),
        event(BACK + "AccumulateGrad", 59, 60, backward=True),  # of the linear map's weight
        event(BACK + "embed", 61, 69, 7, backward=True),
        event(BACK + "AccumulateGrad", 70, 71, backward=True),
        event("Optimizer.step#Adam.step", 80, 90),
    ]
    found = shares(reversed(events))
    assert found == {"backbone": 0.23, "softmax": 0.13, "optimiser": 0.1}


def test_a_region_inside_another_counts_once():
    events = [
        event("step", 0, 50),
        event("backbone", 0, 20),
        event("backbone", 5, 15),
        event("linear", 6, 10, 0),
        event("sum", 21, 22, 1),
        event(BACK + "linear", 30, 35, 0, backward=True),
    ]
    assert shares(events) == {"backbone": 0.5}


def test_the_profiler_numbers_nodes_as_assumed():
    """In a real profile, each node is between the numbers of its region's first op and the next."""
    first, inside, last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
    call = labelled("backbone", lambda x: inside(x).tanh())
    with profile(activities=[ProfilerActivity.CPU]) as profiler, record_function("step"):
        last(call(first(torch.ones(2, 3)).exp())).sum().backward()
    events = list(profiler.events())
    whole = shares(events)["backbone"]
    # Without the two nodes of the region, only its forward time is left.
    nodes = [e for e in events if e.name.startswith(BACK) and e.sequence_nr >= 0]
    order = [e.name.removeprefix(BACK) for e in nodes]
    assert order[2:5] == ["TBackward0", "TanhBackward0", "AddmmBackward0"]
    [region] = [e for e in events if e.name == "backbone"]
    [step] = [e for e in events if e.name == "step"]
    of_last = next(e for e in nodes if e.name.endswith("ExpBackward0"))
    own = [e for e in nodes[3:] if e.time_range.start < of_last.time_range.start]
    assert [e.name.removeprefix(BACK) for e in own] == [
        "TanhBackward0",
        "AddmmBackward0",
        "TBackward0",
    ]
    added = [
        e
        for e in events
        if e.name == BACK + "torch::autograd::AccumulateGrad"
        and own[0].time_range.start < e.time_range.start < of_last.time_range.start
    ]
    assert len(added) == 2  # bias and weight
    spent = sum(e.time_range.elapsed_us() for e in [region, *own, *added])
    assert whole == pytest.approx(spent / step.time_range.elapsed_us())


def test_labels_change_no_gradient():
    torch.manual_seed(0)
    layer, x = nn.Linear(4, 4), torch.randn(5, 4, requires_grad=True)
    plain = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
    watched = labelled("part", layer.forward)(x).square().sum()
    for mine, theirs in zip(
        torch.autograd.grad(watched, [x, *layer.parameters()]), plain, strict=True
    ):
        assert mine.equal(theirs)


def toy(users=60, items=30):
    rows = [[(user + step) % items + 1 for step in range(5 + user % 4)] for user in range(users)]
    return data_of(Sequences.from_lists(rows), items)


def experiment(method):
    spec = Spec(
        datasets=("toy",),
        backbones=("sasrec",),
        methods=(method,),
        training={"batch_size": 16, "samples": "auto", "prefixes_per_user": 1},
    )
    [point] = grid_points(spec)
    return freeze(point, spec, toy())


@pytest.mark.slow
def test_each_method_is_measured_with_its_own_samples():
    base, own = measure([experiment(name) for name in ("none", "dcrec")], toy(), steps=2)
    assert (base.ratio, own.ratio) == (1, own.step / base.step)
    assert (base.method, base.samples) == ("none", "positions")
    assert set(base.shares) == {"backbone", "softmax", "optimiser"}
    assert (own.method, own.samples, set(own.shares)) == (
        "dcrec",
        "prefixes",
        {"softmax", "optimiser"},
    )
    for cost in (base, own):
        assert all(share > 0 for share in cost.shares.values())
        assert sum(cost.shares.values()) < 1
        # 60 users in batches of 16 rows, or of about 16 targets in rows of 2 to 5.
        assert cost.epoch >= 4 * cost.step


def test_a_profiled_step_changes_the_weights_as_any_other():
    plain, watched = (Stepper.of(experiment("none"), toy()) for _ in range(2))
    batch = plain.begin()[0]
    plain.take(batch)
    watched.begin()
    with profile(activities=[ProfilerActivity.CPU]):
        watched.take(batch)
    mine, theirs = plain.method.state_dict(), watched.method.state_dict()
    assert all(mine[name].equal(theirs[name]) for name in mine)


@pytest.mark.slow
def test_more_steps_than_an_epoch_has_repeat_it():
    [cost] = measure([experiment("dcrec")], toy(), steps=8)
    assert cost.ratio is None
    # Batches of 16, 16, 16 and 12.
    assert cost.rows == pytest.approx(2 * (16 + 16 + 16 + 12) / 8)


def test_a_row_shows_shares_of_a_step():
    parts = {"backbone": 0.25, "softmax": 0.5, "optimiser": 0.05}
    cost = StepCost("hsd", "prefixes", 511.6, 0.2, 1.256, parts, 12.34, 1.0)
    shown = ["hsd", "prefixes", "512", "200.0", "1.26", "25%", "20%", "50%", "5%", "12.3", "1.0"]
    assert cost.row() == shown
    assert len(shown) == len(HEADERS)


@pytest.mark.slow
def test_the_script_prints_a_row_for_each_method(capsys):
    words = ["--dataset", "planted", "--method", "none", "random-drop", "--steps", "1"]
    steps.main(steps.parser().parse_args(words))
    rows = [
        line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if "|" in line
    ]
    assert rows[0] == "method"
    assert rows[2:] == ["none", "random-drop"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "dcrek"], "unknown method 'dcrek'; did you mean 'dcrec'?"),
        (["--method", "dcrec", "--set", "temperture=1"], "did you mean 'temperature'"),
    ],
)
def test_bad_input_is_named(words, message):
    with pytest.raises(ConfigError) as caught:
        steps.main(steps.parser().parse_args(["--dataset", "planted", *words]))
    assert message in str(caught.value)
