"""Imports, help, listings and validation answer at once: they import nothing heavy."""

import subprocess
import sys

HEAVY = (
    *("torch", "pandas", "scipy", "pyarrow", "matplotlib", "transformers", "rich", "numpy"),
    *("mlflow", "optuna", "sqlalchemy"),
)
MODULES = (
    "bench",
    *(f"bench.plan.{name}" for name in ("experiment", "spec", "overrides", "protocol")),
    "bench.cli.report",
)
CONFIGS = "settings of components"
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
PLAN = "run planted --plan"  # reads data, and needs neither torch nor a database
BEST = "bench.tuning.best"  # which a run without tuned settings imports, too
# One process for all: the first line to name a module is the command that imported it.
SCRIPT = f"""
import contextlib, importlib, io, sys

def heavy(what):
    print(what, *sorted(set({HEAVY!r}) & set(sys.modules)), sep=": ")

for name in {MODULES!r}:
    importlib.import_module(name)
    heavy(name)
from bench.components import BACKBONES, ENCODERS, METHODS
for registry in (METHODS, BACKBONES, ENCODERS):
    assert registry.names()
    for name in registry.names():
        registry.get(name).config_class()
heavy({CONFIGS!r})
from bench.cli.main import app
for words in {(*LIGHT, PLAN)!r}:
    sys.argv = ["bench", *words.split()]
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            app()
        except SystemExit as end:
            assert not end.code, (words, end.code)
    heavy(words)
importlib.import_module({BEST!r})
heavy({BEST!r})
"""


def test_light_verbs_import_nothing_heavy(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *light, plan, best = (line.split(": ") for line in done.stdout.splitlines())
    assert light == [[name] for name in (*MODULES, CONFIGS, *LIGHT)]
    assert (plan[0], best[0]) == (PLAN, BEST)
    assert not {"torch", "optuna", "sqlalchemy", "mlflow"} & {*plan, *best}
