"""Commands that pages and help texts show are ones that the scripts understand."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
COMMAND = re.compile(r"python benchmarks/(\w+)\.py([^`\n]*(?:\n[^`\n]+(?=`))?)")


def shown():
    for page in [*PAGES, *SCRIPTS]:
        text = page.read_text(encoding="utf-8").replace("\\\n", "")
        for script, words in COMMAND.findall(text):
            yield pytest.param(script, words, id=f"{page.name}: {script}{words.strip()}")


@pytest.mark.parametrize(("script", "words"), list(shown()))
def test_commands_are_real(script, words):
    parser = importlib.import_module(script).parser()
    assert parser.parse_args(shlex.split(words, comments=True))


def test_the_page_shows_every_script():
    names = set(COMMAND.findall((ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")))
    # The peer's script runs in an environment of its own; common has no command line.
    scripts = {path.stem for path in SCRIPTS} - {"common", "recbole_peer"}
    assert {name for name, _ in names} == scripts


def test_a_wrong_command_would_be_noticed(capsys):
    with pytest.raises(SystemExit):
        test_commands_are_real("steps", " --datasets beauty --steps 5")
    assert "unrecognized arguments" in capsys.readouterr().err
