"""The counter of operations and waits: what counts, and that counting changes nothing."""

import re

import launches
import pytest
import torch
from launches import counted
from torch import nn
from torch.nn import functional

from bench.errors import ConfigError

X = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("call", "operations", "waits"),
    [
        (lambda: X.t().view(-1) if X.t().is_contiguous() else X.t()[0], 0, 0),
        (lambda: torch.empty(3), 0, 0),
        (lambda: (X + 1) * 2, 2, 0),
        (lambda: X.sum().item(), 1, 1),
        (lambda: bool((X > 1).any()), 2, 1),
        (X.nonzero, 1, 1),
        (lambda: X[X > 1], 2, 1),
        (lambda: X[torch.tensor([1, 0])], 1, 0),
        (lambda: X.long().flatten().unique(), 2, 1),
        (lambda: torch.bincount(X.long().flatten()), 2, 1),
        (lambda: torch.repeat_interleave(torch.tensor([1, 2])), 1, 1),
        (lambda: torch.repeat_interleave(torch.tensor([1, 2]), output_size=3), 1, 0),
    ],
)
def test_what_counts(call, operations, waits):
    with counted() as found:
        call()
    assert (found.operations.total(), found.waits.total()) == (operations, waits)


def test_a_library_call_counts_once_in_either_direction():
    layer, x = nn.GRU(3, 4, batch_first=True), torch.randn(2, 50, 3, requires_grad=True)
    q, k, v = torch.randn(3, 2, 1, 5, 4, requires_grad=True)
    start = torch.zeros(1, 2, 4)
    with counted() as found:
        layer(x, start)[0].sum().backward()
        functional.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()
    assert found.operations["gru"] == found.operations["gru backward"] == 1
    assert found.operations["scaled_dot_product_attention"] == 1
    assert found.operations["scaled_dot_product_attention backward"] == 1
    assert not found.waits
    assert found.operations.total() < 30


def test_counting_changes_no_gradient():
    torch.manual_seed(0)
    layer, x = nn.LSTM(3, 4, batch_first=True), torch.randn(2, 5, 3, requires_grad=True)

    def gradients():
        return torch.autograd.grad(layer(x)[0].square().sum(), [x, *layer.parameters()])

    expected = gradients()
    with counted():
        found = gradients()
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_script_prints_a_cell_for_each_pair(capsys):
    words = ["--dataset", "planted", "--method", "none", "--backbone", "gru4rec", "--operators"]
    launches.main(launches.parser().parse_args(words))
    printed = capsys.readouterr().out
    [row] = [line for line in printed.splitlines() if line.startswith("| none")]
    before, waits, after, padded_waits = map(int, re.findall(r"\d+", row))
    assert after < before
    assert padded_waits == 0 < waits
    assert "gru 1, " in printed


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match="did you mean 'dcrec'"):
        launches.main(launches.parser().parse_args(["--dataset", "planted", "--method", "dcrek"]))
