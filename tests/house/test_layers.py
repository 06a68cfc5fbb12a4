"""import-linter, which passes as things are (tox -e lint), fails when an import is turned."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from house import ROOT

pytest.importorskip("importlinter")
TURNED = {
    "bench/plan/grid.py": "import bench.runs.store",
    "bench/model/method.py": "import bench.methods.none.model",
    "bench/methods/hsd/model.py": "import bench.methods.backbones.sasrec.model",
    "bench/methods/none/model.py": "import bench.data.load",
    "bench/methods/backbones/caser/model.py": "import bench.training.trainer",
    "bench/reports/titles.py": "import torch",
    "bench/reports/results.py": "import bench.reports.tables",
    "bench/plan/overrides.py": "import pandas",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path):
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=ignore)  # follows the links
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_an_import_turned_round_breaks_each_contract(copy):
    for name, line in TURNED.items():
        with (copy / name).open("a", encoding="utf-8") as module:
            module.write(f"\n\ndef _turned():\n    {line}\n")  # inside a function too
    done = lint(copy)
    assert done.returncode == 1
    assert "Contracts: 0 kept" in done.stdout, done.stdout
    assert "bench.plan.grid -> bench.runs.store" in done.stdout
    assert "bench.methods.backbones.caser.model -> bench.training.trainer" in done.stdout
