"""What the scripts share."""

import pytest
import softmax
import torch
from common import command, print_table, run, seconds

from bench.errors import ConfigError


def test_a_call_is_timed_with_the_threads_of_now():
    before, used = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        spent = seconds(lambda: used.add(torch.get_num_threads()), at_least=0)
    finally:
        torch.set_num_threads(before)
    assert used == {2}
    assert spent > 0


def test_bad_input_is_one_sentence_and_exit_code_2(monkeypatch, capsys):
    def main(options):
        raise ConfigError("no such thing; name another")

    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit, match="2"):
        run(command("Measure."), main)
    assert capsys.readouterr().err == "error: no such thing; name another\n"


def test_cells_are_printed_as_they_are(capsys):
    print_table(["a", "b"], [["1.50", "007"]])
    assert [cell.strip() for cell in capsys.readouterr().out.splitlines()[2].split("|")] == [
        "",
        "1.50",
        "007",
        "",
    ]


def test_numbers_of_things_are_at_least_one(capsys):
    with pytest.raises(SystemExit, match="2"):
        softmax.parser().parse_args(["--items", "0"])
    assert "--items: invalid positive value: '0'" in capsys.readouterr().err


def test_rates_of_the_softmax_are_measured():
    rates = softmax.measure(50, 8, 20, at_least=0)
    assert set(rates) == {"matrix product", "sliced softmax", "plain cross-entropy"}
    assert all(rate > 0 for rate in rates.values())
