"""What ``bench show`` prints of components, settings and data sets."""

import pytest
from typer.testing import CliRunner

from bench.cli.main import app
from bench.cli.show import documented
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig


def show(name):
    result = CliRunner().invoke(app, ["show", name])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


@pytest.mark.parametrize("schema", [TrainingConfig, Protocol])
def test_every_shared_setting_has_a_meaning(schema):
    assert set(schema.model_fields) == set(documented(schema))


def test_a_setting_has_default_range_search_space_and_meaning():
    lines = show("training")
    at = lines.index(
        "training.learning_rate = 0.001  (> 0; searched low: 0.0001, high: 0.01, log: True)"
    )
    assert lines[at + 1] == "  Step size of Adam."
    assert (
        "training.loss = cross_entropy  (cross_entropy | in_batch_tanh | bce | bpr | gbce)" in lines
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sasrec", "SASRec (sasrec): causal self-attention over the sequence"),
        ("hsd:compat", "trains on prefixes"),
        ("fmlp", "not causal: methods on it train on (prefix, next item) pairs"),
        ("tfidf", "size = 256  (>= 1)"),
        ("ml-100k", "max_length: 50"),
        ("protocol", "protocol.ties = pessimistic  (pessimistic | average)"),
    ],
)
def test_whatever_has_a_name_is_shown(name, line):
    assert line in show(name)


def test_an_unknown_name_gets_a_suggestion():
    result = CliRunner().invoke(app, ["show", "sasrek"])
    assert result.exit_code != 0
    assert "did you mean 'sasrec'?" in str(result.exception)
