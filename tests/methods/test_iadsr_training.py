"""IADSR under the harness's own trainer: every variant trains, and a killed run resumes exactly."""

import pytest
import torch
from iadsr_toys import HISTORIES, LENGTH, model, sequences, text_vectors

from bench.components import METHODS
from bench.model.batch import SequenceData
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig
from bench.training.trainer import Trainer

VARIANTS = ["iadsr", *(f"iadsr:{variant.name}" for variant in METHODS.get("iadsr").variants)]
FIGURES = [0.1, 0.3, 0.2, 0.4]


class KilledError(Exception):
    pass


def trainer(variant="iadsr", backbone="gru4rec", **settings):
    entry = METHODS.get(variant)
    return Trainer(
        model(variant, backbone, **settings),
        SequenceData(sequences()),
        TrainingConfig(epochs=len(FIGURES), batch_size=4, prefixes_per_user=2),
        Protocol(max_length=LENGTH),
        sampling=entry.sampling_for("auto"),
        axes=("toy", 1),
        device=torch.device("cpu"),
    )


def fit(run, path, report=lambda _: None):
    figures = iter(FIGURES[run.state.epoch :])
    return run.fit(lambda _: next(figures), path, report)


def plain(curve):
    return [{k: v for k, v in vars(row).items() if not k.endswith("seconds")} for row in curve]


def trained_parts(variant, backbone, path):
    run = trainer(variant, backbone)
    before = {name: value.clone() for name, value in run.method.named_parameters()}
    assert fit(run, path).epoch == len(FIGURES)
    return {name for name, value in run.method.named_parameters() if (value != before[name]).any()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_what_it_uses(tmp_path, variant):
    changed = trained_parts(variant, "gru4rec", tmp_path / "c")
    assert "backbone.items.weight" in changed
    # Without either loss nothing reaches the projections; the short-term score leaves one out.
    assert ("semantic_interests.short.weight" in changed) == (variant != "iadsr:without-both")
    long = {"iadsr:without-both", "iadsr:short-only"}
    assert ("semantic_interests.long.weight" in changed) == (variant not in long)
    no_decoder = {"iadsr:without-both", "iadsr:without-recon"}
    assert ("decoder.weight" in changed) == (variant not in no_decoder)


@pytest.mark.parametrize("backbone", ["sasrec", "caser"])
def test_it_attaches_to_every_backbone(tmp_path, backbone):
    changed = trained_parts("iadsr", backbone, tmp_path / "c")
    assert {"backbone.items.weight", "semantic_interests.short.weight", "decoder.weight"} <= changed


@pytest.mark.parametrize("killed_after", [1, 2])
@pytest.mark.parametrize("progressive", ["recomputed", "carried"])
def test_a_killed_run_resumes_with_the_same_masks(tmp_path, progressive, killed_after):
    whole = trainer(progressive=progressive)
    expected = fit(whole, tmp_path / "whole")

    def kill(state):
        if state.epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        fit(trainer(progressive=progressive), tmp_path / "killed", kill)
    resumed = trainer(progressive=progressive, seed=9)
    figures = iter(FIGURES[killed_after:])
    found = resumed.fit(lambda _: next(figures), tmp_path / "killed", lambda _: None)
    assert plain(found.curve) == plain(expected.curve)
    for name, value in whole.method.state_dict().items():
        assert torch.equal(value, resumed.method.state_dict()[name]), name
    if progressive == "carried":
        carried = whole.method.carried
        drawn = carried.now[carried.now != torch.iinfo(torch.int64).max]
        assert (drawn % 2 == 0).any()
        assert (drawn % 2 == 1).any()


def test_checkpoints_hold_masks_and_no_texts(tmp_path):
    names = set(trainer(progressive="carried").method.state_dict())
    assert {"carried.before", "carried.now", "statistics.counts"} <= names
    size = text_vectors().vectors.numel()
    state = trainer().method.state_dict()
    assert not any(value.numel() == size for value in state.values())
    assert not any(name.startswith("carried") for name in state)


def test_one_bit_for_each_training_interaction():
    carried = trainer(progressive="carried").method.carried
    assert len(carried.now) == sum(map(len, HISTORIES))
