"""What the pages show is what the program does."""

import configparser
import re
import subprocess
import tomllib

import pytest
import typer
import typer.main
from command_lines import check, introduced, shown
from house import PAGES, ROOT, fenced

from bench.cli.main import app
from bench.data.load import load_dataset
from bench.plan.spec import read_spec

README = ROOT / "README.md"
LINES = [
    pytest.param(page, line, id=f"{page.name}: {line}") for page in PAGES for line in shown(page)
]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def setup_commands():
    return [content.strip() for language, content in fenced(README)[:2] if language == "sh"]


def steps(command):
    return [step.strip() for step in command.split("&&")]


def test_there_are_exactly_two_setup_commands():
    blocks = [content for _, content in fenced(README) if "pip install" in content]
    assert [block.strip() for block in blocks] == setup_commands()
    assert len(blocks) == 2
    assert all(len(block.strip().splitlines()) == 1 for block in blocks)


def test_both_install_the_tested_versions_in_an_environment_of_their_own():
    for command in setup_commands():
        assert steps(command)[:2] == ["python3 -m venv .venv", ". .venv/bin/activate"]
        assert steps(command)[2].startswith("pip install -c constraints.txt -e ")
    assert steps(setup_commands()[0])[3:] == ["bench run"]


def test_the_second_is_what_tox_runs():
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    expected = [
        line.replace("{posargs}", "").strip()
        for name in ("lint", "type", "test")
        for line in tox[f"testenv:{name}"]["commands"].splitlines()
        if line
    ]
    assert steps(setup_commands()[1])[3:] == expected


def test_tox_installs_the_tested_versions():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert "-c {tox_root}/constraints.txt" in tox["testenv"]["install_command"]
    assert not [
        name
        for name in tox.sections()
        if name != "testenv" and "install_command" in tox[name] and name != "tox"
    ]


def test_ci_runs_the_second():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    [program] = re.findall(r"command=\$\((awk .+ README\.md)\)", script.read_text())
    done = subprocess.run(
        ["bash", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == setup_commands()[1]


def test_constraints_are_exact_and_cover_what_is_declared():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.match(r"[A-Za-z0-9-]+", entry)[0].lower() for group in groups for entry in group}
    assert names - {project["name"]} <= set(pins)  # an extra may name another one


@pytest.mark.parametrize(("page", "line"), LINES)
def test_command_lines_are_real(page, line):
    assert check(line, introduced(page)) in line


@pytest.mark.parametrize(
    "line",
    [
        "bench rum",
        "bench run --datasets beauty",
        "bench run --dataset beuty",
        "bench run one two",
        "bench run --jobs many",
        "bench ls methods backbones",
        "bench data --names",
    ],
)
def test_a_wrong_command_line_would_be_noticed(line):
    [usage_error] = typer.BadParameter.__bases__
    with pytest.raises((AssertionError, usage_error)):
        check(line)


def shown_in_help(command=None):
    """Examples below the help texts of all commands."""
    command = command or typer.main.get_command(app)
    lines = (command.epilog or "").splitlines()
    yield from (line.strip() for line in lines if line.strip().startswith("bench "))
    for inner in getattr(command, "commands", {}).values():
        yield from shown_in_help(inner)


@pytest.mark.parametrize("line", list(shown_in_help()))
def test_command_lines_in_help_texts_are_real(line):
    command = re.split(r"\s{3,}", line)[0]
    assert check(command) in command


def test_every_command_is_in_the_readme():
    text = README.read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:
        assert f"bench {name}" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.fixture
def shop(tmp_path):
    """The README's specification and card, with files such as the card describes."""
    spec, card = [content for language, content in fenced(README) if language == "yaml"]
    (tmp_path / "my-comparison.yaml").write_text(spec)
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "card.yaml").write_text(card)
    rows = [f"u{user},p{(user + step) % 6},{step}" for step in range(6) for user in range(6)]
    (folder / "clicks.csv").write_text("\n".join(["customer,product,clicked_at", *rows]))
    titles = [f"p{item},thing {item}" for item in range(6)]
    (folder / "products.csv").write_text("\n".join(["product,name", *titles]))
    return tmp_path


def test_the_card_in_the_readme_loads(shop, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(shop / "cache"))
    dataset = load_dataset(str(shop / "own" / "card.yaml"))
    assert (dataset.n_users, dataset.n_items, dataset.n_interactions) == (6, 6, 36)
    assert dataset.sequences[2].tolist() == [3, 4, 5, 6, 1, 2]
    assert dataset.item_texts[0] == "thing 0"


def test_the_specification_in_the_readme_is_valid(shop):
    spec = read_spec(shop / "my-comparison.yaml")
    spec.check()
    assert spec.backbone_config("sasrec").dropout == 0.3


def test_defaults_in_the_readme_are_the_real_ones():
    spec = read_spec(ROOT / "bench" / "plan" / "specs" / "default.yaml")
    [shown_spec, _] = [content for language, content in fenced(README) if language == "yaml"]
    assert f"epochs: {spec.training.epochs}, patience: {spec.training.patience}" in shown_spec
    assert f"cutoffs: {list(spec.protocol.cutoffs)}" in shown_spec
