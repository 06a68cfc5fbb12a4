"""The comparison of numerics reads the table that steps.py prints."""

from types import SimpleNamespace

import numerics
import pytest
from steps import HEADERS, StepCost

from bench.errors import TrainingError


def test_each_mode_has_its_own_process_and_times_are_those_of_the_table(monkeypatch, capsys):
    environments = []

    def process(words, env, **_):
        environments.append(env)
        slow = 2 if env["BENCH_NUMERICS"] == "portable" else 1
        costs = [
            StepCost("none", "positions", 3, slow * 0.010, None, {}, 1, 1),
            StepCost("hsd", "prefixes", 3, slow * slow * 0.020, None, {}, 1, 1),
        ]
        rows = [HEADERS, ["---"] * len(HEADERS), *(cost.row() for cost in costs)]
        table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        return SimpleNamespace(returncode=0, stdout=f"toy, 1 threads:\n\n{table}\n", stderr="")

    monkeypatch.setattr(numerics.subprocess, "run", process)
    words = ["--backbone", "caser", "--method", "none", "hsd", "--repeats", "3"]
    numerics.main(numerics.parser().parse_args(words))
    assert [env.get("MKL_CBWR") for env in environments] == [None, "COMPATIBLE"] * 3
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| caser")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells == [
        ["caser/none", "10.0", "20.0", "2.00 (2.00 to 2.00)"],
        ["caser/hsd", "20.0", "80.0", "4.00 (4.00 to 4.00)"],
    ]


def test_a_failed_measurement_is_named(monkeypatch):
    failed = SimpleNamespace(returncode=2, stdout="", stderr="error: no data\n")
    monkeypatch.setattr(numerics.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(TrainingError, match=r"steps\.py failed: error: no data"):
        numerics.main(numerics.parser().parse_args(["--repeats", "1"]))
