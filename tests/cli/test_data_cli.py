"""``bench data`` as a user types it."""

import os

import pytest
from typer.testing import CliRunner

from bench.cli.data import app
from bench.errors import BenchError, ConfigError, DataError

CARD = "name: tiny\ntitle: Tiny\nforms:\n  - format: sequences\n    files: {sequences: seq.txt}\n"


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_OFFLINE", "1")

    def invoke(*words):
        result = CliRunner().invoke(app, list(words))
        if isinstance(result.exception, BenchError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CARD)
    (tmp_path / "seq.txt").write_text("u1 c a b\nu2 a c\n")
    return str(tmp_path / "tiny.yaml")


def test_list_says_what_is_there_and_how_to_get_the_rest(run):
    output = run("list")
    lines = {line.split()[0]: line for line in output.splitlines() if line}
    assert lines["planted"].endswith("generated")
    assert lines["beauty"].endswith("bench data fetch beauty")


def test_stats_of_a_card_of_ones_own(run, tiny):
    # 5 actions of 2 users on 3 items: 1 - 5 / 6 of the pairs are empty.
    last = run("stats", tiny).splitlines()[-1].split()
    assert last == ["tiny", "2", "3", "5", "2.5", "16.67", "%"]


def test_without_names_whatever_is_there_is_described(run):
    names = [line.split()[0] for line in run("stats").splitlines()[2:]]
    assert names == ["planted"]


def test_audit_warns(run, tiny):
    output = run("audit", tiny)
    assert "warning  short users: 1 users" in output
    assert "warning  items without text: 3 of 3" in output


def test_verify_prints_checksums(run, tiny):
    assert "tiny.yaml: ok, fingerprint" in run("verify", tiny)


def test_verify_goes_on_after_a_failure_and_then_fails(run, tiny, tmp_path):
    (tmp_path / "seq.txt").write_text("u1\n")
    result = CliRunner().invoke(app, ["verify", tiny, "planted"])
    assert "tiny.yaml: FAILED" in result.output
    assert "planted: ok" in result.output
    with pytest.raises(DataError, match="user 'u1' has no items"):
        run("verify", tiny, "planted")


def test_fetch_of_what_is_there_asks_no_network(run, tiny):
    assert "tiny: 5 interactions" in run("fetch", tiny)
    assert "planted: 7,053 interactions, generated" in run("fetch", "planted")


def test_fetch_without_network_names_the_way_out(run):
    with pytest.raises(DataError, match=r"bench run planted.*BENCH_OFFLINE"):
        run("fetch", "beauty")


def test_unknown_names_are_suggested(run):
    with pytest.raises(ConfigError, match="did you mean 'beauty'"):
        run("stats", "beatuy")


def test_data_dir_flag_means_the_variable(run, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", "nowhere")  # restored after the flag has changed it
    folder = tmp_path / "elsewhere" / "toys"
    folder.mkdir(parents=True)
    (folder / "user_sequence.txt").write_text("u a b c\n")
    (folder / "items.tsv").write_text("item_id\ttitle\na\tx\nb\ty\nc\tz\n")
    output = run("list", "--data-dir", str(tmp_path / "elsewhere"))
    assert str(folder) in output
    assert os.environ["BENCH_DATA_DIR"] == str(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no user and item survive at least 5"):
        run("stats", "toys")
