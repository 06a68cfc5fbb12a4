"""``bench embed`` and the encoding that ``bench run`` does by itself."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command import CARD, called, refused


@pytest.fixture
def card(tmp_path):
    (tmp_path / "card.yaml").write_text(CARD)
    return "./card.yaml"


def vectors(folder):
    found = sorted((folder / "bench_cache_dir" / "vectors").glob("*/vectors.npy"))
    return {path.parent.name.rpartition("-")[0]: np.load(path) for path in found}


def test_several_encoders_once(card, tmp_path):
    done = called("embed", card, "--encoder", "random", "tfidf", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "tiny/random",
        "tiny/random",
        "tiny/tfidf",
        "tiny/tfidf",
    ]
    assert set(vectors(tmp_path)) == {"random", "tfidf"}
    again = called("embed", card, "--encoder", "random", "tfidf", cwd=tmp_path)
    assert [line for line in again.stderr.splitlines() if "encoded before" not in line] == []


def test_settings_reach_the_encoder(card, tmp_path):
    words = ("embed", card, "--encoder", "random", "--set", "size=7", "texts=random")
    assert called(*words, cwd=tmp_path).returncode == 0
    assert vectors(tmp_path)["random"].shape[1] == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--encoder", "randon"], "did you mean 'random'"),
        ([], "add --encoder"),
        (["--encoder", "random", "--set", "sise=3"], "did you mean 'size'"),
        (["--encoder", "llm2vec"], "set llm2vec.model to a folder or a Hugging Face id"),
        (["--encoder", "llm2vec:llama-3.1-8b"], "only the Hugging Face hub offers"),
        (["--encoder", "smollm2"], "BENCH_OFFLINE forbids"),
        (["--encoder", "random", "--device", "tpu"], "use auto, cpu"),
    ],
)
def test_what_cannot_be_is_one_sentence(card, tmp_path, words, message):
    assert message in refused("embed", card, *words, cwd=tmp_path)
    assert not (tmp_path / "bench_cache_dir" / "vectors").exists() or not vectors(tmp_path)


def test_a_run_encodes_what_is_missing_and_keeps_the_cost(card, tmp_path):
    words = ("run", "--dataset", card, "--backbone", "gru4rec", "--method", "iadsr")
    words = (*words, "--encoder", "tfidf", "--set", "epochs=1", "--jobs", "1")
    done = called(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith("tiny/tfidf: 55 texts, about ")
    assert "Encoding the item texts of tiny with tfidf, once" in done.stdout
    [manifest] = (tmp_path / "bench_cache_dir" / "vectors").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["metadata"]["texts"] == 55


SLOW_SHARDS = """
import time
import bench.text.encoders.random.model as model, bench.text.embed as embed
embed.SHARD_CHARACTERS = 60
encode = model.RandomEncoder.encode
def slow(self, texts, report):
    time.sleep(0.2)
    return encode(self, texts, report)
model.RandomEncoder.encode = lambda self, texts, report=lambda *_: None: slow(self, texts, report)
from bench.cli.main import main
main()
"""


@pytest.mark.process
def test_killed_it_goes_on_with_what_it_had(card, tmp_path, monkeypatch):
    words = ("embed", card, "--encoder", "random")
    cache = tmp_path / "bench_cache_dir" / "vectors"
    started = subprocess.Popen(
        [sys.executable, "-c", SLOW_SHARDS, *words],
        cwd=tmp_path,
        env={**os.environ, "BENCH_CACHE_DIR": str(cache.parent), "BENCH_OFFLINE": "1"},
        stderr=subprocess.DEVNULL,
    )
    while len(list(cache.glob(".*.shards/*/manifest.json"))) < 3:
        assert started.poll() is None, "it ended before it was killed"
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert vectors(tmp_path) == {}
    monkeypatch.setattr("bench.text.embed.SHARD_CHARACTERS", 60)
    assert " done earlier)" in called(*words, cwd=tmp_path).stderr
    [found] = vectors(tmp_path).values()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "card.yaml").write_text(CARD)
    assert "done earlier" not in called(*words, cwd=elsewhere).stderr
    [expected] = vectors(elsewhere).values()
    np.testing.assert_array_equal(found, expected)
