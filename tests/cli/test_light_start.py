"""Help, listings and validation answer at once: they import nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = (
    *("torch", "pandas", "scipy", "pyarrow", "matplotlib", "transformers", "rich", "numpy"),
    *("mlflow", "optuna", "sqlalchemy"),
)


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "run --help",
        "report --help",
        "data --help",
        "tune --help",
        "track --help",
        "track sync --help",
        "ls methods",
        "ls backbones",
        "ls datasets",
        "ls encoders",
        "ls formats",
        "ls specs",
        "validate default",
        "validate planted",
    ],
)
def test_light_verbs_import_nothing_heavy(words, tmp_path):
    assert heavy(words, tmp_path) == []


def test_a_plan_reads_data_but_imports_no_torch(tmp_path):
    assert "torch" not in heavy("run planted --plan", tmp_path)


def heavy(words, folder):
    script = (
        "import sys\nfrom bench.cli.main import app\n"
        f"sys.argv = ['bench', *{words.split()!r}]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('heavy:', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "module", ["plan.experiment", "plan.spec", "plan.overrides", "plan.protocol"]
)
def test_contracts_import_nothing_heavy(module):
    script = f"import sys, bench.{module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
