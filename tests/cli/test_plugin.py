"""Methods from elsewhere register without a change here: distributions, files and folders."""

import os
import re
import tomllib

import pytest
from command import CARD, called, refused
from distributions import forget_modules, installed, write_distribution

from bench.components import METHODS
from bench.errors import ConfigError
from bench.plugins import use_plugins
from bench.runs.store import Store
from bench.settings import PLUGINS

ALONE = """
from bench.components import MethodEntry
from bench.config import Config
from bench.methods.none.model import BareBackbone

METHOD = MethodEntry(
    "alone", "Alone", "the loss in one file", f"{__name__}:AloneConfig", f"{__name__}:Alone", "x"
)


class AloneConfig(Config):
    factor: float = 2.0


class Alone(BareBackbone):
    def losses(self, batch):
        return {name: 2 * part for name, part in super().losses(batch).items()}
"""
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


def write(folder, files=FILES):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


@pytest.fixture(scope="module")
def louder(tmp_path_factory):
    """Folder with the package, as pip installs it."""
    folder = tmp_path_factory.mktemp("site")
    write(folder)
    points = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]
    write_distribution(folder, "louder-denoiser", points)
    return folder


def test_it_is_listed_beside_the_others_only_where_it_is_installed(louder, tmp_path):
    with installed(louder):
        with_it = called("ls", "methods", cwd=tmp_path).stdout
    without = called("ls", "methods", cwd=tmp_path).stdout
    assert re.search(r"^louder +the loss, only louder$", with_it, re.MULTILINE)
    assert "none" in with_it
    assert "louder" not in without


def test_its_settings_are_known(louder, tmp_path):
    words = ("run", "planted", "--method", "louder", "--plan", "--set", "facter=3")
    with installed(louder):
        said = refused(*words, cwd=tmp_path)
    assert "unknown setting 'facter'; did you mean 'factor'?" in said


def test_it_runs_and_its_code_is_part_of_the_key(louder, tmp_path):
    (tmp_path / "card.yaml").write_text(CARD)
    words = ("run", "--dataset", "./card.yaml", "--backbone", "sasrec", "--method", "louder")
    more = ("none", "--jobs", "1", "--set", "epochs=1", "factor=3")
    with installed(louder):
        done = called(*words, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Louder" in done.stdout
    experiments = {
        stored.experiment.method: stored.experiment
        for stored in Store(tmp_path / "runs").experiments()
    }
    assert experiments["louder"].method_settings == {"factor": 3.0}
    assert experiments["louder"].code != experiments["none"].code


def test_two_distributions_with_one_name_are_refused(louder, tmp_path):
    write_distribution(tmp_path, "rival", {"bench.methods": {"louder": "rival:METHOD"}})
    with installed(louder, tmp_path):
        said = refused("ls", "methods", cwd=tmp_path)
    assert "two methods are named 'louder'" in said
    assert "rename or uninstall one" in said


def test_one_that_does_not_import_does_not_hide_the_others(tmp_path):
    points = {"bench.methods": {"broken": "no_such_module:METHOD"}}
    write_distribution(tmp_path, "broken", points)
    with installed(tmp_path):
        done = called("ls", "methods", cwd=tmp_path)
    assert done.returncode == 0
    assert "the bare backbone" in done.stdout
    said = r"^broken +\(unusable: 'no_such_module:METHOD' does not import"
    assert re.search(said, done.stdout, re.MULTILINE)


@pytest.mark.process
@pytest.mark.slow
def test_a_file_and_a_folder_run_in_worker_processes_without_installation(tmp_path):
    write(tmp_path, {**FILES, "alone.py": ALONE, "card.yaml": CARD})
    words = ("run", "--dataset", "./card.yaml", "--backbone", "sasrec", "--method", "louder")
    more = ("alone", "--jobs", "2", "--set", "epochs=1", "--plugin", "alone.py")
    done = called(*words, *more, cwd=tmp_path, BENCH_PLUGINS="louder")
    forget_modules(tmp_path)
    assert done.returncode == 0, done.stderr
    stored = [stored.experiment for stored in Store(tmp_path / "runs").experiments()]
    assert {experiment.method for experiment in stored} == {"louder", "alone"}
    assert len({experiment.code for experiment in stored}) == 2


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Write files and use some of them; names that they register are gone afterwards."""

    def use(files, *names):
        write(tmp_path, files)
        monkeypatch.setenv(PLUGINS, "")
        use_plugins(tmp_path / name for name in names)

    yield use
    forget_modules(tmp_path)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("def (", "SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_one_that_does_not_import_is_named_and_left_out(plugins, tmp_path, caplog, content, cause):
    plugins({"broken.py": content, "alone.py": ALONE}, "broken.py", "alone.py")
    assert {"alone", "none"} <= set(METHODS.names())
    [said] = caplog.messages
    assert said.startswith(f"warning: plug-in {tmp_path / 'broken.py'} is ignored: {cause}")


def test_one_that_was_corrected_is_tried_again(plugins, tmp_path):
    plugins({"alone.py": "def ("}, "alone.py")
    assert "alone" not in METHODS.names()
    (tmp_path / "alone.py").write_text(ALONE)
    os.utime(tmp_path / "alone.py", (1, 1))  # a clock may be coarse
    assert "alone" in METHODS.names()


def test_settings_of_another_class_are_refused(plugins):
    plugins({"alone.py": ALONE.replace("(Config)", "")}, "alone.py")
    with pytest.raises(ConfigError, match=r"'alone:AloneConfig' must be a class derived from"):
        METHODS.get("alone").parse({}, "here")


def test_a_file_named_like_another_module_is_left_out(plugins, caplog):
    plugins({"json.py": ALONE}, "json.py")
    assert "alone" not in METHODS.names()
    assert "another module is called 'json'" in caplog.text


def test_a_name_that_is_taken_is_refused(plugins):
    plugins({"alone.py": ALONE.replace('"alone"', '"none"')}, "alone.py")
    with pytest.raises(ConfigError, match=r"two methods are named 'none'.*alone:METHOD"):
        METHODS.names()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere.py", "nowhere.py is not a Python file; check the path"),
        ("empty", "empty holds no __init__.py"),
        ("text.txt", "text.txt is not a Python file"),
    ],
)
def test_a_path_that_is_no_plugin_is_refused(plugins, tmp_path, path, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").touch()
    with pytest.raises(ConfigError, match=said):
        plugins({}, path)


def test_an_installed_one_that_does_not_import_breaks_no_verb(tmp_path):
    site = tmp_path / "site"
    points = {"broken": "broken:METHOD", "leaving": "leaving:METHOD"}
    write_distribution(site, "broken", {"bench.methods": points})
    write(site, {"broken.py": "def (", "leaving.py": "raise SystemExit(3)"})
    with installed(site):
        listed = called("ls", "methods", cwd=tmp_path).stdout
        assert called("show", "none", cwd=tmp_path).returncode == 0
        shown = refused("show", "broken", cwd=tmp_path)
    assert re.search(r"^broken +\(unusable: .* does not import \(SyntaxError", listed, re.MULTILINE)
    assert re.search(r"^leaving +\(unusable: .* import \(SystemExit: 3\)", listed, re.MULTILINE)
    assert shown.startswith("'broken:METHOD' does not import (SyntaxError")
