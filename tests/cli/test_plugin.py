"""A method from a package outside this repository registers without touching it."""

import os
import re
import subprocess
import sys

import pytest
from command import CARD, bench

from bench.runs.store import Store

FILES = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "louder-denoiser"
version = "1.0"

[project.entry-points."bench.methods"]
louder = "louder:METHOD"

[tool.setuptools]
packages = ["louder"]
""",
    "louder/__init__.py": """
from bench.components import MethodEntry

METHOD = MethodEntry(
    "louder", "Louder", "the loss, only louder", "louder.config:LouderConfig",
    "louder.model:Louder", "Nobody, 2024.",
)
""",
    "louder/config.py": """
from bench.config import Config


class LouderConfig(Config):
    factor: float = 2.0
""",
    "louder/model.py": """
from bench.methods.none.model import BareBackbone


class Louder(BareBackbone):
    def __init__(self, config, data, backbone):
        super().__init__(config, data, backbone)
        self.factor = config.factor

    def losses(self, batch):
        return {name: self.factor * part for name, part in super().losses(batch).items()}
""",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder into which pip has installed the package, without a network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, content in FILES.items():
        path = source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *flags, str(source)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    if "BackendUnavailable" in done.stderr or "No module named pip" in done.stderr:
        pytest.skip("pip and setuptools 77 are not in this environment")
    assert done.returncode == 0, done.stderr
    return str(target)


def test_it_is_listed_beside_the_others_only_where_it_is_installed(installed, tmp_path):
    with_it = bench("ls", "methods", cwd=tmp_path, PYTHONPATH=installed).stdout
    without = bench("ls", "methods", cwd=tmp_path).stdout
    assert re.search(r"^louder +the loss, only louder$", with_it, re.MULTILINE)
    assert "none" in with_it
    assert "louder" not in without


def test_its_settings_are_known(installed, tmp_path):
    words = ("run", "planted", "--method", "louder", "--plan", "--set")
    done = bench(*words, "facter=3", cwd=tmp_path, PYTHONPATH=installed)
    assert done.returncode == 2
    assert "unknown setting 'facter'; did you mean 'factor'?" in done.stderr


def test_it_runs_and_its_code_is_part_of_the_key(installed, tmp_path):
    (tmp_path / "card.yaml").write_text(CARD)
    words = ("run", "--dataset", "./card.yaml", "--backbone", "sasrec", "--method", "louder")
    more = ("none", "--set", "epochs=1", "factor=3")
    done = bench(*words, *more, cwd=tmp_path, PYTHONPATH=installed)
    assert done.returncode == 0, done.stderr
    assert "Louder" in done.stdout
    experiments = {
        stored.experiment.method: stored.experiment
        for stored in Store(tmp_path / "runs").experiments()
    }
    assert experiments["louder"].method_settings == {"factor": 3.0}
    assert experiments["louder"].code != experiments["none"].code


def test_two_distributions_with_one_name_are_refused(installed, tmp_path):
    info = tmp_path / "rival-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench.methods]\nlouder = rival:METHOD\n")
    paths = os.pathsep.join([installed, str(tmp_path)])
    done = bench("ls", "methods", cwd=tmp_path, PYTHONPATH=paths)
    assert done.returncode == 2
    assert "two methods are named 'louder'" in done.stderr
    assert "rename or uninstall one" in done.stderr


def test_one_that_does_not_import_does_not_hide_the_others(tmp_path):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench.methods]\nbroken = no_such_module:METHOD\n")
    done = bench("ls", "methods", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0
    assert "the bare backbone" in done.stdout
    said = r"^broken +\(unusable: 'no_such_module:METHOD' does not import"
    assert re.search(said, done.stdout, re.MULTILINE)
