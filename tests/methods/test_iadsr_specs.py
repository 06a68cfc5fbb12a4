"""The shipped specifications of IADSR's studies, its variants and its search space."""

from itertools import pairwise

import pytest

from bench.components import METHODS
from bench.plan.grid import grid_points
from bench.plan.spec import find_spec

ENTRY = METHODS.get("iadsr")


def configs(name):
    spec = find_spec(name)
    return {method: spec.method_config(method) for method in spec.methods if method != "none"}


def test_the_threshold_goes_from_minus_one_to_nine_tenths_in_steps_of_a_tenth():
    found = [config.theta for config in configs("iadsr-theta").values()]
    assert (found[0], found[-1], len(found)) == (-1.0, 0.9, 20)
    assert all(later - earlier == pytest.approx(0.1) for earlier, later in pairwise(found))
    rest = {config.model_copy(update={"theta": 0.0}) for config in configs("iadsr-theta").values()}
    assert len({str(config) for config in rest}) == 1


def test_the_ablation_switches_one_thing_at_a_time():
    plain = ENTRY.parse({}, "x").model_dump()
    changed = {
        name.partition(":")[2]: {k: v for k, v in config.model_dump().items() if v != plain[k]}
        for name, config in configs("iadsr-ablation").items()
    }
    assert changed == {
        "": {},
        "without-both": {"info_weight": 0.0, "recon_weight": 0.0},
        "without-info": {"info_weight": 0.0},
        "without-recon": {"recon_weight": 0.0},
        "short-only": {"interests": "short"},
        "long-only": {"interests": "long"},
    }


def test_the_published_regime_is_whole():
    spec = find_spec("iadsr-published")
    training = spec.training
    assert (training.loss, training.samples) == ("in_batch_tanh", "last")
    assert (training.stop_on, training.batch_size) == ("training_loss", 32)
    config = configs("iadsr-published")["iadsr:published"]
    assert (config.theta, config.progressive) == (-1.0, "none")
    assert METHODS.get("iadsr:published").sampling_for(training.samples) == "last"


def test_the_text_study_crosses_encoders_and_texts():
    spec = find_spec("iadsr-text")
    drawn = {c.encoder: spec.encoder_config(c.encoder) for c in grid_points(spec) if c.encoder}
    assert {"smollm2", "minilm", "tfidf", "random"} <= set(drawn)
    assert [config.texts for name, config in drawn.items() if "=" in name] == [
        "shuffled",
        "random",
        "none",
    ]


@pytest.mark.parametrize(
    ("name", "sampling"), [("iadsr", "prefixes"), ("iadsr:causal", "positions")]
)
def test_samples(name, sampling):
    assert METHODS.get(name).sampling_for("auto") == sampling
