"""Options that take several values after one flag."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.options import Json, ManyValues, expand, numbers, separate
from bench.errors import ConfigError
from bench.plan.overrides import resolve_spec
from bench.plan.training import TrainingConfig

MANY = {"--dataset": separate, "--seeds": numbers, "--set": lambda word: [word]}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ""),
        ("spec.yaml", "spec.yaml"),
        ("--seeds 1", "--seeds 1"),
        ("--seeds 1 2 3", "--seeds 1 --seeds 2 --seeds 3"),
        ("--seeds 1 --seeds 2", "--seeds 1 --seeds 2"),
        ("--seeds 1 2 --plan --dataset a b", "--seeds 1 --seeds 2 --plan --dataset a --dataset b"),
        ("--jobs 2 spec", "--jobs 2 spec"),
        ("--seeds=1 2", "--seeds=1 --seeds 2"),
        ("--seeds=1-2 --plan", "--seeds=1 --seeds=2 --plan"),
        ("--seeds 1-3,7", "--seeds 1 --seeds 2 --seeds 3 --seeds 7"),
        ("--seeds 2-2 -1", "--seeds 2 -1"),
        ("--dataset a,b:x=[1,2] c", "--dataset a --dataset b:x=[1,2] --dataset c"),
        ("--set a=1,2", "--set a=1,2"),
        ("--set a=-1 b=2", "--set a=-1 --set b=2"),
        ("--dataset", "--dataset"),
    ],
)
def test_expand(words, expected):
    assert expand(words.split(), MANY) == expected.split()


@pytest.mark.parametrize("word", ["3-1", "1-100000"])
def test_a_range_that_is_none(word):
    with pytest.raises(ConfigError, match=f"'{word}' is not a range of 1 to 1000 numbers"):
        expand(["--seeds", word], MANY)


def test_the_name_of_a_file_may_hold_a_comma(tmp_path):
    (tmp_path / "a,b.yaml").touch()
    assert separate(f"{tmp_path}/a,b.yaml") == [f"{tmp_path}/a,b.yaml"]


def test_the_name_of_a_file_with_variants_may_hold_a_comma(tmp_path, monkeypatch):
    card = tmp_path / "a,b" / "two+one.yaml"
    card.parent.mkdir()
    card.touch()
    assert separate(f"{card}+random:0.1") == [f"{card}+random:0.1"]
    assert separate(f"{card}+swap:0.1:seed=2+shuffled") == [f"{card}+swap:0.1:seed=2+shuffled"]
    # A folder of data in the way does not make a list of data sets one name.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ml-100k").mkdir()
    names = ["ml-100k+random:0.1", "beauty+random:0.1"]
    assert separate(",".join(names)) == names
    many = [f"hsd:threshold=0.{number}" for number in range(100)]
    assert separate(",".join(many)) == many


def test_in_a_command():
    app = typer.Typer()
    seen = []

    @app.command(cls=ManyValues)
    def verb(spec: str, seeds: Annotated[list[int] | None, typer.Option(metavar="N ...")] = None):
        seen.append((spec, seeds))

    assert CliRunner().invoke(app, ["x", "--seeds", "1-2"]).exit_code == 0
    assert CliRunner().invoke(app, ["x"]).exit_code == 0
    assert CliRunner().invoke(app, ["x", "--seeds", "1", "b"]).exit_code == 2
    assert seen == [("x", [1, 2]), ("x", None)]


def test_json_is_short_for_its_format_and_otherwise_an_option_of_its_own():
    app = typer.Typer()
    app.callback()(lambda: None)
    seen = []

    @app.command(cls=ManyValues)
    def rendered(format_: Annotated[str, typer.Option("--format")] = "markdown"):
        seen.append(format_)

    @app.command(cls=ManyValues)
    def plain(json: Json = False):
        seen.append(json)

    for words in ("rendered --json", "rendered", "plain --json", "plain"):
        assert CliRunner().invoke(app, words.split()).exit_code == 0
    assert seen == ["json", "markdown", True, False]


def test_the_small_budget_is_the_default_comparison_s_own():
    nothing = {"datasets": None, "backbones": None, "methods": None, "encoders": None}
    default = resolve_spec(None, {**nothing, "seeds": [1, 2]}, [])
    assert default.seeds == (1, 2)
    assert default.complete_training.budget == "quick"
    assert default.complete_training.epochs < TrainingConfig().epochs
    own = resolve_spec(None, {**nothing, "datasets": ["planted"], "seeds": None}, ["patience=3"])
    assert own.complete_training == TrainingConfig(patience=3)
    assert own.complete_training.budget == "patience=3"
    quick = resolve_spec(None, {"datasets": ["planted"], "budget": "quick"}, ["epochs=3"])
    assert quick.complete_training == TrainingConfig(epochs=3, patience=10, batch_size=128)
    assert own.methods == default.methods
    generated = resolve_spec("planted", {**nothing, "seeds": None}, [])
    assert generated.datasets == ("planted",)
    assert generated.encoders == ("tfidf",)  # works without a network
