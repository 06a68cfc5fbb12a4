"""Help, listings and validation answer at once: they import nothing heavy."""

import subprocess
import sys

HEAVY = (
    *("torch", "pandas", "scipy", "pyarrow", "matplotlib", "transformers", "rich", "numpy"),
    *("mlflow", "optuna", "sqlalchemy"),
)
CONTRACTS = ("plan.experiment", "plan.spec", "plan.overrides", "plan.protocol")
LIGHT = (
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
)
PLAN = "run planted --plan"  # reads data, and needs no torch
# One process for all: the first line to name a module is the command that imported it.
SCRIPT = f"""
import contextlib, importlib, io, sys

def heavy(what):
    print(what, *sorted(set({HEAVY!r}) & set(sys.modules)), sep=": ")

for name in {CONTRACTS!r}:
    importlib.import_module(f"bench.{{name}}")
    heavy(name)
from bench.cli.main import app
for words in {(*LIGHT, PLAN)!r}:
    sys.argv = ["bench", *words.split()]
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            app()
        except SystemExit as end:
            assert not end.code, (words, end.code)
    heavy(words)
"""


def test_light_verbs_import_nothing_heavy(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *light, plan = done.stdout.splitlines()
    assert light == [*CONTRACTS, *LIGHT]
    assert plan.startswith(PLAN)
    assert "torch" not in plan
