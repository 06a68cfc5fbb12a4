"""Cards of methods: what is accepted, and that every shipped one is whole."""

import pytest
import yaml
from typer.testing import CliRunner

from bench.cli.main import app
from bench.components import BACKBONES, METHODS
from bench.errors import ConfigError
from bench.plan import method_card
from bench.plan.data_card import card_names
from bench.plan.method_card import MethodCard, find

CARD = """
citation: An example.
paper: {doi: 10.1/example}
code: {url: https://example.org, commit: abc}
settings: {paper: {theta: 0.5}, code: {}}
divergences: [{topic: loss, official: BPR, here: cross-entropy}]
published:
  - {source: Table 2, dataset: beauty, backbone: sasrec, HR@5: 0.03, NDCG@10: null, note: lost}
"""
WITH_CARD = [name for name in METHODS.names() if find(name) is not None]


def parse(**changes):
    return MethodCard.parse(yaml.safe_load(CARD) | changes, "x")


def test_figures_are_keys_of_a_row():
    [row] = parse().published
    assert row.metrics == {"HR@5": 0.03, "NDCG@10": None}
    assert (row.backbone, row.method, row.note) == ("sasrec", None, "lost")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"papers": {}}, "unknown key 'papers'; did you mean 'paper'"),
        ({"published": [{"source": "x", "dataset": "y", "HR5": 1}]}, "unknown key.*HR5"),
        ({"published": [{"source": "x", "dataset": "y", "HR@5": "high"}]}, "HR@5"),
        ({"divergences": [{"topic": "x", "here": "y"}]}, "official' is missing"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        parse(**changes)


def test_a_method_without_a_card(monkeypatch):
    monkeypatch.setattr(method_card, "FILE", "no-such.yaml")
    assert find("none") is None


def test_this_one_has_a_card():
    assert "iadsr" in WITH_CARD
    assert find("iadsr:published") == find("iadsr")


@pytest.mark.parametrize("name", WITH_CARD)
def test_shipped_cards_name_what_is_registered(name):
    card = find(name)
    assert card.citation
    assert card.paper.url or card.paper.doi
    assert card.divergences
    for row in card.published:
        assert row.dataset in card_names()
        assert row.backbone is None or BACKBONES.get(row.backbone)
        assert row.method is None or METHODS.get(row.method)
        assert row.metrics
        assert all(value is None or 0 <= value <= 1 for value in row.metrics.values())


def test_show_prints_settings_variants_and_card():
    shown = CliRunner().invoke(app, ["show", "iadsr"]).output
    assert "theta" in shown
    assert "iadsr:long-only" in shown
    assert "arxiv.org/abs/2510.04239" in shown
    assert "0.0940" in shown  # the paper's own slip is carried, with its note
    assert "0.0094" in shown


def test_show_a_variant_and_a_method_without_a_card():
    shown = CliRunner().invoke(app, ["show", "iadsr:theta=0.25"]).output
    assert "theta = 0.25  (" in shown
    assert CliRunner().invoke(app, ["show", "none"]).output.startswith("Base (none)")
    unknown = CliRunner().invoke(app, ["show", "iadsrr"])
    assert "did you mean 'iadsr'" in str(unknown.exception)
