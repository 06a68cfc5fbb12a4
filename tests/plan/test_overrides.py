"""--set key=value finds its owner, or says why not."""

import pytest

from bench.components import BACKBONES, KINDS
from bench.errors import ConfigError
from bench.plan.overrides import apply_overrides
from bench.plan.spec import Spec

SPEC = Spec.parse({"datasets": ["planted"], "backbones": ["gru4rec", "sasrec", "caser"]}, "x")


def fields(name):
    return set(BACKBONES.get(name).config_class().model_fields)


def test_a_bare_key_of_training_and_of_the_protocol():
    spec = apply_overrides(SPEC, ["epochs=3", "learning_rate=1e-4", "max_length=9", "ties=average"])
    assert (spec.training.epochs, spec.training.learning_rate) == (3, 1e-4)
    assert (spec.protocol.max_length, spec.protocol.ties) == (9, "average")
    assert spec.training.batch_size == SPEC.training.batch_size


def test_the_last_of_two_wins():
    assert apply_overrides(SPEC, ["epochs=3", "training.epochs=4"]).training.epochs == 4


def test_null_and_lists_are_yaml():
    spec = apply_overrides(SPEC, ["clip_norm=5", "clip_norm=null", "cutoffs=[1, 10]"])
    assert spec.training.clip_norm is None
    assert spec.protocol.cutoffs == (1, 10)


def test_backbone_dot_key_reaches_every_selected_backbone_that_has_it():
    having = {name for name in SPEC.backbones if "dropout" in fields(name)}
    assert len(having) > 1
    spec = apply_overrides(SPEC, ["backbone.dropout=0.25"])
    assert spec.backbone_settings == {name: {"dropout": 0.25} for name in having}
    assert apply_overrides(SPEC, ["dropout=0.25"]) == spec


def test_a_name_dot_key_reaches_one():
    spec = apply_overrides(SPEC, ["sasrec.dropout=0.25", "gru4rec.dropout=0.75"])
    assert spec.backbone_settings["sasrec"] == {"dropout": 0.25}
    assert spec.backbone_config("gru4rec").dropout == 0.75


def test_a_key_of_two_kinds_is_ambiguous(monkeypatch):
    from bench.config import Config

    class Clashing(Config):
        epochs: int = 1
        theta: float = 0.5

    entry = type("Entry", (), {"config_class": staticmethod(lambda: Clashing)})
    registry = type("R", (), {"get": lambda *_: entry})()
    monkeypatch.setitem(KINDS, "method", registry)
    with pytest.raises(ConfigError, match=r"'epochs' is ambiguous; write method\.epochs or "):
        apply_overrides(SPEC, ["epochs=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch=3", r"unknown setting 'epoch'; did you mean 'epochs'\?"),
        ("epochs", "is not key=value"),
        ("=3", "is not key=value"),
        ("epochs=three", r"--set epochs=three: key 'epochs' = 'three'.*integer"),
        ("epochs=0", "greater than or equal to 1"),
        ("epochs=[", "expected the node content"),
        ("trainign.epochs=3", r"unknown name 'trainign'; did you mean 'training'\?"),
        ("sasrec.hiden_size=3", "unknown setting 'hiden_size'; did you mean"),
        ("gru4rec.epochs=3", "unknown setting 'epochs'"),
        ("dropout=2", "dropout=2: key 'dropout' = 2"),
    ],
)
def test_mistakes_are_one_sentence(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        apply_overrides(SPEC, [text])
    assert "\n" not in str(caught.value)
