"""The wheel installs ``bench`` and nothing else, with cards, specifications and methods inside."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PARTS = ("bench", "methods", "datasets", "reports", "pyproject.toml", "README.md", "LICENSE")
SHIPPED = {".py", ".yaml", ".typed", ".j2", ".parquet"}


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built, without a network, from a copy that holds no leftovers of other builds."""
    source = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, source / name)
    (source / "tests").mkdir()
    (source / "tests" / "__init__.py").touch()  # a package that must not be taken along
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source)
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    flags = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "install", *flags, "--target", target, wheel)
    return target


def expected():
    """What belongs into the wheel, by its path there."""
    for folder in ("bench", "methods", "datasets", "reports"):
        for path in (ROOT / folder).rglob("*"):
            place = path.relative_to(ROOT).as_posix()
            linked = any(parent.is_symlink() for parent in path.parents)
            if path.suffix in SHIPPED and path.is_file() and not linked:
                yield place if folder == "bench" else f"bench/{place}"


def test_it_holds_bench_and_every_file_of_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    ours = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert ours == set(expected())
    assert {"bench/methods/none/model.py", "bench/datasets/planted.yaml", "bench/py.typed"} <= ours
    assert {"bench/reports/tables/rows.py", "bench/plan/specs/default.yaml"} <= ours


def test_it_names_one_package_and_one_command(wheel):
    archive = zipfile.ZipFile(wheel)
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert archive.read(f"{info}/top_level.txt").decode().split() == ["bench"]
    commands = archive.read(f"{info}/entry_points.txt").decode().splitlines()
    assert commands == ["[console_scripts]", "bench = bench.cli.main:main"]


def test_it_installs_no_other_top_level_name(installed):
    names = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert names <= {"bench", "bin"}  # pip puts the command's script into bin


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("ls methods", "none"),
        ("ls backbones", "gru4rec"),
        ("ls datasets", "ml-100k"),
        ("validate default", "fine"),
    ],
)
def test_it_works_outside_the_repository(installed, tmp_path, words, answer):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    where = run(
        sys.executable, "-c", "print(__import__('bench').__file__)", cwd=tmp_path, env=environment
    )
    assert Path(where.strip()).is_relative_to(installed)
    said = run(sys.executable, "-m", "bench", *words.split(), cwd=tmp_path, env=environment)
    assert answer in said
