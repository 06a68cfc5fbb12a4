"""The guides of CONTRIBUTING.md work: its examples are written out, registered and run."""

import io
import re
import shlex
import tomllib
from contextlib import redirect_stdout

import numpy as np
import pytest
from command import CARD, printed, refused
from distributions import installed, write_distribution
from house import ROOT, fenced

from bench.components import BACKBONES, ENCODERS, METHODS
from bench.data.load import load_dataset
from bench.runs.store import Store
from bench.settings import Settings

PAGE = ROOT / "CONTRIBUTING.md"
BASKETS = [
    f"{user}|{time}|item {(start + 2 * time) % 4}|item {(start + 2 * time + 1) % 4}\n"
    for start, user in enumerate(["ann", "bob", "eve"])
    for time in (1, 0)
]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Folder with every example of the page, registered as an installed distribution is."""
    folder = tmp_path_factory.mktemp("examples")
    points = {}
    for language, content in fenced(PAGE):
        if language == "python":
            name = re.match(r"# (\S+\.py)\n", content)[1]
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        elif language == "toml":
            points |= tomllib.loads(content)["project"]["entry-points"]
        elif language == "yaml":
            (folder / "card.yaml").write_text(content)
    (folder / "baskets.txt").write_text("".join(BASKETS))
    write_distribution(folder, "examples", points)
    with installed(folder):
        yield folder


def test_the_method_runs_beside_the_bare_backbone(examples, tmp_path):
    [command] = [content for language, content in fenced(PAGE) if language == "sh"]
    said = printed(*shlex.split(command)[1:], "--jobs", "1", cwd=tmp_path)
    assert "RareFilter" in said
    experiments = {
        stored.experiment.method: stored for stored in Store(tmp_path / "runs").experiments()
    }
    assert set(experiments) == {"none", "rare-filter"}
    decisions = experiments["rare-filter"].decisions("train")
    assert (decisions.keep == (decisions.item_count >= 3)).all()
    assert experiments["none"].decisions("train").keep.all()


def test_the_method_and_the_backbone_pass_the_conformance_tests(examples):
    said = io.StringIO()
    with redirect_stdout(said):
        failed = pytest.main(["-qs", "-p", "no:cacheprovider", "-p", "no:xdist", str(examples)])
    assert not failed, said.getvalue()
    assert int(re.match(r"(\d+) passed", said.getvalue().splitlines()[-1])[1]) > 20


def test_the_backbone_trains(examples, tmp_path):
    (tmp_path / "card.yaml").write_text(CARD)
    words = ("run", "--dataset", "./card.yaml", "--method", "none", "--backbone", "running-mean")
    said = printed(*words, "--jobs", "1", "--set", "epochs=1", cwd=tmp_path)
    assert "RunningMean" in said


def test_the_encoder_counts_letter_pairs(examples, tmp_path):
    printed("embed", "planted", "--encoder", "letter-pairs", cwd=tmp_path)
    [path] = (tmp_path / "bench_cache_dir" / "vectors").glob("letter-pairs-*/vectors.npy")
    data, vectors = load_dataset("planted", Settings.from_environment()), np.load(path)
    names = sorted(set(data.item_texts))
    assert vectors.shape == (len(names) + 1, 128)
    assert vectors.sum(1).tolist() == [0, *(len(name) - 1 for name in names)]


def test_the_card_is_read_by_the_reader(examples, tmp_path):
    card = str(examples / "card.yaml")
    said = printed("data", "stats", card, cwd=tmp_path)
    assert said.splitlines()[-1].split()[:4] == ["clicks", "3", "4", "12"]
    data = load_dataset(card, Settings.from_environment())
    found = ["".join(data.item_ids[item - 1][-1] for item in row) for row in data.sequences]
    assert found == ["0123", "1230", "2301"]


def test_the_reader_names_a_bad_line(examples, tmp_path):
    (tmp_path / "card.yaml").write_text((examples / "card.yaml").read_text())
    for bad, message in (("bob|soon|x", "not USER, TIME, ITEM"), ("bob|2|NA", "item id 'NA'")):
        (tmp_path / "baskets.txt").write_text(f"ann|1|x|y\n{bad}\n")
        said = refused("data", "stats", "./card.yaml", cwd=tmp_path)
        assert "baskets.txt, line 2: " in said
        assert message in said


@pytest.mark.parametrize(
    ("registry", "folder"),
    [(METHODS, "methods"), (BACKBONES, "methods/backbones"), (ENCODERS, "bench/text/encoders")],
)
def test_folders_are_found_by_scanning(registry, folder):
    packages = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
    assert packages
    names = {name.replace("_", "-") for name in packages - {"backbones", "parts"}}
    assert names
    assert names <= set(registry.names())
