"""DCRec as an experiment: trained and searched."""

import math
from importlib.resources import files

import pytest
import yaml
from training_toys import dataset, experiment

from bench.components import METHODS
from bench.methods.dcrec.config import DCRecConfig
from bench.runs.train import run_experiment

NAMES = ["dcrec", *(f"dcrec:{variant.name}" for variant in METHODS.get("dcrec").variants)]
SMALL = {"embedding_size": 8, "inner_size": 8}


def dcrec_cell(name="dcrec", epochs=2, **settings):
    entry = METHODS.get(name)
    config = entry.config_class()(**{**SMALL, **entry.defaults, **settings})
    return experiment(
        method=name,
        backbone=None,
        backbone_settings={},
        method_settings=config.model_dump(mode="json"),
        training={"epochs": epochs, "batch_size": 16},
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_trains_and_decides_nothing_about_interactions(name, tmp_path):
    result = run_experiment(dcrec_cell(name), dataset(), tmp_path)
    parts = {"next_item"} if name == "dcrec:no-contrast" else {"next_item", "contrast", "prior"}
    assert len(result.curve) == 2
    for row in result.curve:
        assert parts == set(row.parts)
        assert all(map(math.isfinite, row.parts.values()))
    assert not result.decisions
    assert result.metadata.sampling == "prefixes"
    assert result.metadata.diagnostics["training_transition_edges"] > 0
    followed = "mean_omega_deviation" in result.metadata.diagnostics
    assert followed == (name != "dcrec:no-contrast")


def test_it_learns_what_follows(tmp_path):
    # Users walk along the catalogue; chance is an NDCG@10 of about 0.15.
    result = run_experiment(dcrec_cell(epochs=12, hidden_dropout=0.1), dataset(), tmp_path)
    figures = [row.metric for row in result.curve]
    assert max(figures) > 0.4


def test_the_search_space_is_made_of_settings():
    space = yaml.safe_load(files("bench.methods.dcrec").joinpath("search.yaml").read_text())
    defaults = DCRecConfig().model_dump()
    for key, choice in space.items():
        if key.startswith("training."):
            continue
        if "choices" in choice:
            assert defaults[key] in choice["choices"]
            for value in choice["choices"]:
                DCRecConfig(**{key: value})
        else:
            assert choice["low"] <= defaults[key] <= choice["high"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"heads": 3}, "heads must divide"), ({"edge_dropout": 1.0}, "edge_dropout"), ({"k": 4}, "k")],
)
def test_settings_out_of_range_are_refused(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        DCRecConfig(**settings)
