"""Specifications: what is accepted, and the one sentence for what is not."""

from types import SimpleNamespace

import pytest

from bench.errors import ConfigError
from bench.plan.grid import freeze, grid_points
from bench.plan.protocol import Protocol, TemporalSplit
from bench.plan.spec import Spec, find_spec, read_spec, shipped

GOOD = {"name": "x", "datasets": ["planted"], "backbones": ["sasrec"]}


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_spec_is_valid(name):
    spec = find_spec(name)
    spec.check()
    assert spec.name == name
    assert grid_points(spec)


def test_the_default_is_what_the_readme_promises():
    spec = find_spec(None)
    assert spec.datasets == ("ml-100k",)
    assert spec.backbones == ("sasrec",)
    assert {"none", "none:prefixes", "hsd", "ssdrec", "iadsr", "dcrec"} == set(spec.methods)
    assert spec.seeds == (1,)


def test_a_data_set_name_runs_the_default_on_it():
    spec = find_spec("beauty")
    assert spec.datasets == ("beauty",)
    assert spec.methods == find_spec(None).methods


def test_a_file_and_its_defaults(tmp_path):
    path = write(tmp_path, "datasets: [planted]\nbackbones: [sasrec]\ntraining: {epochs: 3}\n")
    spec = find_spec(str(path))
    assert (spec.name, spec.methods, spec.training.epochs) == ("mine", ("none",), 3)
    assert spec.training.patience == 10


def test_a_card_named_by_a_relative_path_lies_beside_the_spec(tmp_path):
    path = write(tmp_path, "datasets: [cards/own.yaml, planted, /abs/a.yaml]\n")
    assert read_spec(path).datasets == (
        str(tmp_path / "cards/own.yaml"),
        "planted",
        "/abs/a.yaml",
    )


def test_max_length_is_the_data_sets_own_unless_set():
    assert Spec.parse(GOOD, "x").protocol_for(32).max_length == 32
    fixed = Spec.parse({**GOOD, "protocol": {"max_length": 9, "ties": "average"}}, "x")
    assert fixed.protocol_for(32).max_length == 9
    other = Spec.parse({**GOOD, "protocol": {"ties": "average"}}, "x").protocol_for(32)
    assert (other.max_length, other.ties) == (32, "average")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": ["planted"]}, r"unknown key 'dataset'; did you mean 'datasets'\?"),
        ({"training": {"epoch": 3}}, r"unknown key 'training.epoch'; did you mean 'epochs'\?"),
        ({"protocol": {"max_lenght": 3}}, r"'protocol.max_lenght'; did you mean 'max_length'\?"),
        ({"training": {"epochs": "many"}}, r"'training.epochs' = 'many'.*integer"),
        ({"training": {"learning_rate": float("nan")}}, "learning_rate.*finite"),
        ({"datasets": "planted"}, r"'datasets'.*must be a list; write \[planted\]"),
        ({"datasets": []}, "'datasets'.*the list is empty"),
        ({"methods": []}, "'methods'.*the list is empty"),
        ({"seeds": []}, "'seeds'.*the list is empty"),
        ({"seeds": [1, 2, 1]}, "1 is listed twice"),
        ({"backbones": ["sasrec", "sasrec"]}, "sasrec is listed twice"),
        ({"seeds": [-1]}, "'seeds.0' = -1.*greater than or equal to 0"),
        ({"seeds": [True]}, "'seeds' = .*a number is expected, not true or false"),
        ({"backbone_settings": {"sasrec": 3}}, "backbone_settings.sasrec"),
    ],
)
def test_wrong_content_is_one_sentence(changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Spec.parse({**GOOD, **changes}, "mine.yaml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("mine.yaml: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": ["beuaty"]}, r"unknown data set 'beuaty'; did you mean 'beauty'\?"),
        ({"methods": ["nonne"]}, r"unknown method 'nonne'; did you mean 'none'\?"),
        ({"backbones": ["sasrek"]}, r"unknown backbone 'sasrek'; did you mean 'sasrec'\?"),
        ({"encoders": ["llama"]}, "unknown encoder 'llama'"),
        ({"backbones": []}, r"method 'none' needs a backbone"),
        ({"backbone_settings": {"sasrec": {"hidden": 3}}}, r"sasrec: unknown key 'hidden'"),
        ({"backbone_settings": {"gru5rec": {}}}, r"did you mean 'gru4rec'\?"),
        ({"method_settings": {"none": {"theta": 3}}}, r"none: unknown key 'theta'"),
    ],
)
def test_wrong_names_and_settings_are_one_sentence(changes, message):
    with pytest.raises(ConfigError, match=message):
        Spec.parse({**GOOD, **changes}, "mine.yaml").check()


def test_the_file_itself_can_be_wrong(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        find_spec(str(tmp_path / "absent.yaml"))
    with pytest.raises(ConfigError, match=r"neither a file nor .* did you mean 'planted'"):
        find_spec("plantd")
    with pytest.raises(ConfigError, match="line 2"):
        find_spec(str(write(tmp_path, "datasets: [a]\n  b: [\n")))
    with pytest.raises(ConfigError, match="'key: value'"):
        find_spec(str(write(tmp_path, "- 1\n")))
    with pytest.raises(ConfigError, match="is a folder"):
        find_spec(str(tmp_path))
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(ConfigError, match="byte 9 is not UTF-8"):
        find_spec(str(latin))


def test_plain_data_give_the_same_spec_again():
    spec = Spec.parse({**GOOD, "protocol": {"cutoffs": [1, 3]}, "seeds": [3, 1]}, "x")
    assert Spec.parse(spec.plain(), "x") == spec


def test_splits_are_an_axis_of_the_grid():
    content = {"datasets": ["planted"], "backbones": ["sasrec"]}
    spec = Spec.parse({**content, "splits": ["leave-one-out", "temporal:targets=all"]}, "two")
    points = grid_points(spec)
    assert [point.label for point in points] == [
        "planted/sasrec/none/seed 1",
        "planted/sasrec/none/temporal:targets=all/seed 1",
    ]
    data = SimpleNamespace(name="planted", fingerprint="f" * 64, max_length=50)
    first, second = (freeze(point, spec, data) for point in points)
    assert first.protocol == Protocol()
    assert second.protocol == Protocol(split=TemporalSplit(targets="all"))
    assert first.key != second.key
    one = Spec.parse({**content, "protocol": {"split": {"targets": "all"}}}, "one")
    assert freeze(grid_points(one)[0], one, data).key == second.key
    with pytest.raises(ConfigError, match="both set the split; remove one"):
        Spec.parse({**one.plain(), "splits": ["temporal"]}, "both").check()


def test_leave_one_out_is_the_protocol_that_it_was():
    """Its hash names tables and published results."""
    assert Protocol().hash.startswith("7eedb62e")
    known = {"split": "leave-one-out", "ranking": "full", "max_length": 50, "train_windows": "all"}
    known |= {"candidates": "all", "ties": "pessimistic", "selection": "NDCG@10"}
    assert Protocol().training_part() == known


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ("temporl", "unknown split 'temporl'; did you mean 'temporal'"),
        ("temporal:target=all", "unknown key 'target'; did you mean 'targets'"),
        ({"test_from": 3}, "write a date such as 2014-07-31, or a quantile between 0 and 1"),
        ({"test_from": "soon"}, "write a date such as 2014-07-31"),
        ({"test_from": 0.7}, "validation_from, 0.8, must be before test_from, 0.7"),
        (3, "write leave-one-out or temporal"),
    ],
)
def test_a_wrong_split_is_refused_in_a_sentence(split, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Protocol.parse({"split": split}, "spec.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "temporal",
        "temporal:validation_from=0.5:targets=first",
        "temporal:validation_from=2014-01-01T12:30:00+00:00:test_from=2014-03-01",
    ],
)
def test_a_split_is_read_as_it_is_printed(text):
    split = Protocol.parse({"split": text}, "spec.yaml").split
    assert str(split) == text
    assert Protocol.parse({"split": split.model_dump(mode="json")}, "again").split == split
