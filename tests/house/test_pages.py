"""What the pages show is what the program does."""

import ast
import configparser
import importlib
import re
import subprocess
import sys
import tomllib

import pandas as pd
import pytest
import typer
import yaml
from command_lines import bench_command, check, introduced, shown
from house import PAGES, ROOT, fenced, sources

import bench
from bench.data.load import load_dataset
from bench.plan.protocol import Protocol
from bench.plan.spec import read_spec
from bench.plan.training import TrainingConfig
from bench.settings import Settings

README = ROOT / "README.md"
DOCS = ROOT / "docs"
GENERATED = {"board.md", "command-line.md", "methods/index.md", "notebook.md"}
OWN = [page for page in PAGES if page.name != "recbole.md"]  # which also names a peer's options
LINES = [
    pytest.param(page, line, id=f"{page.name}: {line}") for page in PAGES for line in shown(page)
]
EXAMPLE = re.compile(r"\A# (\w+)/")  # the folder that a block's first line names
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def first_yaml(name):
    """The first YAML block of a page."""
    content, *_ = [content for language, content in fenced(DOCS / name) if language == "yaml"]
    return content


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
    command = command or bench_command()
    lines = (command.epilog or "").splitlines()
    yield from (line.strip() for line in lines if line.strip().startswith("bench "))
    for inner in getattr(command, "commands", {}).values():
        yield from shown_in_help(inner)


@pytest.mark.parametrize("line", list(shown_in_help()))
def test_command_lines_in_help_texts_are_real(line):
    command = re.split(r"\s{3,}", line)[0]
    assert check(command) in command


def options(command=None):
    """Every option of every command."""
    command = command or bench_command()
    yield from (name for parameter in command.params for name in parameter.opts)
    yield from (name for parameter in command.params for name in parameter.secondary_opts)
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)


def inline(page):
    """Every piece of code in running text."""
    text = page.read_text(encoding="utf-8")
    for language, content in fenced(page):
        text = text.replace(f"```{language}\n{content}```", "")
    return re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("page", OWN, ids=name_of)
def test_options_in_running_text_are_real(page):
    flags = {code.split()[0] for code in inline(page) if re.match(r"--\w", code)}
    assert flags <= set(options())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_and_files_that_a_page_names_are_there(page):
    examples = {folder for _, content in fenced(page) for folder in EXAMPLE.findall(content)}
    for code in inline(page):
        if any(folder in code for folder in examples):
            continue
        if re.fullmatch(r"bench(\.\w+)+", code):
            assert resolves(code), code
        elif re.fullmatch(r"(bench|docs|methods|reports|tests)(/[\w.-]+)+/?", code):
            assert (ROOT / code).exists(), code


def resolves(dotted):
    """Whether a dotted name is a module, or something inside one."""
    module, names = dotted, []
    while module:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, name = module.rpartition(".")
            names.insert(0, name)
            continue
        for name in names:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def api_examples():
    for page in PAGES:
        for language, content in fenced(page):
            if language == "python" and content.startswith("import bench\n"):
                yield pytest.param(content, id=name_of(page))


@pytest.mark.parametrize("example", [*api_examples()])
def test_examples_of_the_api_call_what_there_is(example):
    owners = {"bench": bench, "results": bench.Results, "model": bench.TrainedModel, "pd": pd}
    names = {
        node: owners[node.value.id]
        for node in ast.walk(ast.parse(example))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert names
    for node, owner in names.items():
        assert hasattr(owner, node.attr), ast.unparse(node)


def test_the_layers_of_the_page_are_those_of_the_contract():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = project["tool"]["importlinter"]["contracts"][0]["layers"]
    rows = re.findall(r"^\| (`bench\..+?) \|", (DOCS / "internals.md").read_text(), re.MULTILINE)
    stated = [set(re.findall(r"`bench\.([^`]+)`", row)) for row in rows[: len(contract)]]
    layers = [set(layer.replace("bench.", "").split(" | ")) for layer in reversed(contract)]
    assert stated == layers


def test_environment_variables_are_documented_and_real():
    read = {
        name
        for path in sources("bench", "methods", "reports")
        for name in re.findall(r"\bBENCH_[A-Z_]+\b", path.read_text(encoding="utf-8"))
    }
    page = (DOCS / "quickstart.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bBENCH_[A-Z_]+\b", page)) == read


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        known = (page.parent / target).exists() or (page.parent == DOCS and target in GENERATED)
        assert known, target


@pytest.mark.slow
def test_the_site_builds_strictly_and_describes_every_command(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "command-line.html").read_text(encoding="utf-8")
    flags = {name for name in options() if name.startswith("-")}
    assert flags <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", page))
    page = (tmp_path / "api.html").read_text(encoding="utf-8")
    exported = [getattr(bench, name) for name in getattr(bench, "__all__", ()) if name[0] != "_"]
    for found in exported:
        assert f'id="{found.__module__}.{found.__qualname__}"' in page
    for path in tmp_path.rglob("*.html"):
        fetched = r"<(?:script|link|img)[^>]+(?:src|href)=\"https?://"
        assert not re.search(fetched, path.read_text(encoding="utf-8")), "a page needs a network"


def test_the_citation_names_the_present_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == bench.__version__
    assert citation["license"] == "MIT"


@pytest.fixture
def shop(tmp_path):
    """The pages' specification and card, with files such as the card describes."""
    spec, card = first_yaml("quickstart.md"), first_yaml("your-data.md")
    (tmp_path / "my-comparison.yaml").write_text(spec)
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "card.yaml").write_text(card)
    rows = [f"u{user},p{(user + step) % 6},{step}" for step in range(6) for user in range(6)]
    (folder / "clicks.csv").write_text("\n".join(["customer,product,clicked_at", *rows]))
    titles = [f"p{item},thing {item}" for item in range(6)]
    (folder / "products.csv").write_text("\n".join(["product,name", *titles]))
    return tmp_path


def test_the_card_of_the_page_loads(shop, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(shop / "cache"))
    dataset = load_dataset(str(shop / "own" / "card.yaml"), Settings.from_environment())
    assert (dataset.n_users, dataset.n_items, dataset.n_interactions) == (6, 6, 36)
    assert dataset.sequences[2].tolist() == [3, 4, 5, 6, 1, 2]
    assert dataset.item_texts[0] == "thing 0"


def test_the_specification_of_the_page_is_valid(shop):
    spec = read_spec(shop / "my-comparison.yaml")
    spec.check()
    assert spec.backbone_config("sasrec").dropout == 0.3


def test_defaults_that_the_pages_state_are_the_real_ones():
    for page, words in (("quickstart", "at most 200 epochs"), ("protocol", "patience of 10")):
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        assert words in " ".join(text.split())
    assert (TrainingConfig().epochs, TrainingConfig().patience) == (200, 10)
    protocol = Protocol()
    assert (protocol.candidates, protocol.ties, protocol.selection) == (
        "all",
        "pessimistic",
        "NDCG@10",
    )
