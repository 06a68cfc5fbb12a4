"""The guides of CONTRIBUTING.md work: its examples are written out, registered and run."""

import os
import re
import shlex
import subprocess
import sys
import tomllib

import numpy as np
import pytest
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
    groups = []
    for language, content in fenced(PAGE):
        if language == "python":
            name = re.match(r"# (\S+\.py)\n", content)[1]
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        elif language == "toml":
            groups += tomllib.loads(content)["project"]["entry-points"].items()
        elif language == "yaml":
            (folder / "card.yaml").write_text(content)
    (folder / "baskets.txt").write_text("".join(BASKETS))
    info = folder / "examples-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: examples\nVersion: 1.0\n")
    lines = [
        line
        for group, entries in groups
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


def python(examples, *words, cwd, succeeds=True):
    environment = {
        "PYTHONPATH": os.pathsep.join([str(examples), os.environ.get("PYTHONPATH", "")]),
        "BENCH_CACHE_DIR": str(cwd / "cache"),
        "BENCH_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout if succeeds else done.stderr


def test_the_method_runs_beside_the_bare_backbone(examples, tmp_path):
    [command] = [content for language, content in fenced(PAGE) if language == "sh"]
    said = python(examples, "-m", *shlex.split(command), "--jobs", "1", cwd=tmp_path)
    assert "RareFilter" in said
    experiments = {
        stored.experiment.method: stored for stored in Store(tmp_path / "runs").experiments()
    }
    assert set(experiments) == {"none", "rare-filter"}
    decisions = experiments["rare-filter"].decisions("train")
    assert (decisions.keep == (decisions.item_count >= 3)).all()
    assert experiments["none"].decisions("train") is None


def test_the_method_and_the_backbone_pass_the_conformance_tests(examples, tmp_path):
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", str(examples))
    said = python(examples, *words, cwd=tmp_path)
    assert re.search(r"\b\d+ passed", said.splitlines()[-1])
    assert "failed" not in said


def test_the_backbone_trains(examples, tmp_path):
    words = ("--method", "none", "--backbone", "running-mean", "--jobs", "1", "--set", "epochs=1")
    assert "RunningMean" in python(examples, "-m", "bench", "run", "planted", *words, cwd=tmp_path)


def test_the_encoder_counts_letter_pairs(examples, tmp_path):
    words = ("-m", "bench", "embed", "planted", "--encoder", "letter-pairs")
    python(examples, *words, cwd=tmp_path)
    [path] = (tmp_path / "cache" / "vectors").glob("letter-pairs-*/vectors.npy")
    data, vectors = load_dataset("planted", Settings.from_environment()), np.load(path)
    names = sorted(set(data.item_texts))
    assert vectors.shape == (len(names) + 1, 128)
    assert vectors.sum(1).tolist() == [0, *(len(name) - 1 for name in names)]


def test_the_card_is_read_by_the_reader(examples, tmp_path):
    card = str(examples / "card.yaml")
    said = python(examples, "-m", "bench", "data", "stats", card, cwd=tmp_path)
    assert said.splitlines()[-1].split()[:4] == ["clicks", "3", "4", "12"]
    script = (
        "from bench.data.load import load_dataset\n"
        "from bench.settings import Settings\n"
        f"data = load_dataset({card!r}, Settings.from_environment())\n"
        "print([[data.item_ids[i - 1][-1] for i in row] for row in data.sequences])"
    )
    said = python(examples, "-c", script, cwd=tmp_path)
    assert said.strip() == str([list("0123"), list("1230"), list("2301")])


def test_the_reader_names_a_bad_line(examples, tmp_path):
    (tmp_path / "card.yaml").write_text((examples / "card.yaml").read_text())
    words = ("-m", "bench", "data", "stats", "./card.yaml")
    for bad, message in (("bob|soon|x", "not USER, TIME, ITEM"), ("bob|2|NA", "item id 'NA'")):
        (tmp_path / "baskets.txt").write_text(f"ann|1|x|y\n{bad}\n")
        said = python(examples, *words, cwd=tmp_path, succeeds=False)
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
