"""What ``bench new`` writes works as it is written: its tests pass and it runs as a plug-in."""

import io
import re
import tomllib
from contextlib import redirect_stdout

import pytest
from command import called
from distributions import installed
from typer.testing import CliRunner

from bench.cli.main import app
from bench.cli.new import KINDS
from bench.errors import ConfigError
from bench.plan.method_card import MethodCard, read_yaml


def new(*words):
    done = CliRunner().invoke(app, ["new", *words])
    if done.exception:
        raise done.exception
    return done.output


def test_new_components_pass_their_tests(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in KINDS:
        new(kind, f"my-{kind}")
        project = tomllib.loads((tmp_path / f"my-{kind}" / "pyproject.toml").read_text())["project"]
        entry = {f"my-{kind}": f"my_{kind}:{kind.upper()}"}
        assert project["entry-points"] == {f"bench.{kind}s": entry}
    said = io.StringIO()
    with installed(tmp_path), redirect_stdout(said):
        failed = pytest.main(["-qs", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)])
    assert not failed, said.getvalue()
    assert int(re.match(r"(\d+) passed", said.getvalue().splitlines()[-1])[1]) > 20


def test_a_name_with_a_dot_is_one_name(tmp_path):
    new("method", "my.own", "--out", str(tmp_path / "made"))
    project = tomllib.loads((tmp_path / "made" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"bench.methods": {"my.own": "my_own:METHOD"}}


@pytest.mark.slow
def test_the_command_that_is_shown_runs_a_new_method(tmp_path):
    shown = new("method", "loud", "--out", str(tmp_path / "written"))
    [line] = re.findall(r"^Run it: +bench (.*)$", shown, re.MULTILINE)
    with installed(tmp_path):
        done = called(*line.split(), "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Loud" in done.stdout
    card = tmp_path / "written" / "loud" / "card.yaml"
    assert MethodCard.parse(read_yaml(card), "card")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hsd", "a method named 'hsd' is registered already"),
        ("json", "a Python module named 'json' is installed"),
        ("My", "must be lower case"),
        ("3d", "must begin with a letter"),
        ("class", "is a word of Python's syntax"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(tmp_path, name, said):
    with pytest.raises(ConfigError, match=said):
        new("method", name, "--out", str(tmp_path / "made"))
    assert not (tmp_path / "made").exists()


def test_nothing_is_overwritten(tmp_path):
    with pytest.raises(ConfigError, match="exists; name another folder"):
        new("method", "mine", "--out", str(tmp_path))
