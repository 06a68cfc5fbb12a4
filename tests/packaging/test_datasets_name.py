"""Our folder ``datasets/`` never hides the Python package ``datasets`` of Hugging Face.

A folder without Python files is at most a namespace package, which gives way to an installed
regular package even when it comes earlier on the path.
"""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "import datasets; print(datasets.__file__); print(datasets.load_dataset.__module__)"


def imported_from(*launch, **environment):
    done = subprocess.run(
        [sys.executable, *launch],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[0])


def test_a_regular_package_of_that_name_wins_from_the_root(tmp_path):
    package = tmp_path / "datasets"
    package.mkdir()
    (package / "__init__.py").write_text("def load_dataset(): ...\n")
    where = imported_from("-c", SCRIPT, PYTHONPATH=str(tmp_path))
    assert where == package / "__init__.py"


def test_it_wins_for_modules_run_from_the_root_too(tmp_path):
    package = tmp_path / "datasets"
    package.mkdir()
    (package / "__init__.py").write_text("def load_dataset(): ...\n")
    (tmp_path / "asks.py").write_text(SCRIPT)
    where = imported_from("-m", "asks", PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]))
    assert where == package / "__init__.py"


@pytest.mark.slow
def test_hugging_face_datasets_imports_from_the_root():
    try:
        distribution("datasets")
    except PackageNotFoundError:
        pytest.skip("Hugging Face datasets is not installed; the stand-in above is tested instead")
    assert not imported_from("-c", SCRIPT).is_relative_to(ROOT / "datasets")


def test_a_python_file_in_the_folder_would_be_noticed(tmp_path):
    """The trap is real: with an ``__init__.py`` the folder of the root hides the package."""
    for name in ("root", "site"):
        (tmp_path / name / "datasets").mkdir(parents=True)
        (tmp_path / name / "datasets" / "__init__.py").write_text(f"load_dataset = {name!r}\n")
    done = subprocess.run(
        [sys.executable, "-c", "import datasets; print(datasets.load_dataset)"],
        cwd=tmp_path / "root",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "root"
