"""Vectors are encoded once, survive interruption and are refused when damaged."""

import json
import shutil

import numpy as np
import pytest
from text_toys import Noting, Remembering, dataset, vector

from bench.errors import DataError
from bench.plan.encoding import EncoderConfig
from bench.text import embed
from bench.text.embed import vectors_of
from bench.text.store import entry_of
from bench.text.texts import Corpus

WORDS = dataset([f"{'long ' * (item % 7)}name {item}" for item in range(120)])


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(embed, "SHARD_CHARACTERS", 300)


def corpus(config=None):
    return Corpus.of(WORDS, config or EncoderConfig(), 4)


def shards_of(entry):
    """Folder of the shards of an unfinished encoding."""
    return entry.folder.with_name(f".{entry.folder.name}.shards")


def sampled(encoder):
    """How many calls the estimate makes before the first shard."""
    vectors_of(encoder, corpus(), "toy", Noting())
    return embed.GROUPS + 1


def test_every_row_is_the_vector_of_its_text():
    wanted, noting = corpus(), Noting()
    found = vectors_of(Remembering(), wanted, "toy", noting)
    assert found.matrix.dtype == np.float32
    assert not found.matrix[0].any()
    np.testing.assert_array_equal(found.matrix[1:], np.stack([vector(t) for t in wanted.texts]))
    assert noting.texts == len(wanted.texts) == 120
    assert noting.endings == [("toy", True)]
    assert noting.estimates[0].texts == 120


def test_the_file_is_what_numpy_writes(tmp_path):
    wanted = corpus()
    found = vectors_of(Remembering(), wanted, "toy", Noting())
    rows = np.stack([np.zeros(3, np.float32), *(vector(text) for text in wanted.texts)])
    np.save(tmp_path / "whole.npy", rows)
    assert (found.folder / "vectors.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize("call", [0, embed.GROUPS + 1, embed.GROUPS + 4])
def test_a_cache_that_is_deleted_meanwhile_costs_time_only(call, tmp_path):
    class Deleting(Remembering):
        def encode(self, texts, report=lambda *_: None):
            if len(self.calls) == call:
                shutil.rmtree(tmp_path / "cache")
            return super().encode(texts, report)

    wanted = corpus()
    found = vectors_of(Deleting(), wanted, "toy", Noting())
    np.testing.assert_array_equal(found.matrix[1:], np.stack([vector(t) for t in wanted.texts]))


def test_what_it_cost_is_kept_beside():
    cost = vectors_of(Remembering(), corpus(), "toy", Noting()).metadata
    assert cost["texts"] == 120
    assert cost["tokens"] == sum(len(text.split()) for text in WORDS.item_texts)
    assert cost["seconds"] > 0
    assert cost["peak_memory_bytes"] > 10**6
    assert (cost["rows"], cost["size"], cost["encoder"]) == (121, 3, "remembering")


def test_a_second_time_nothing_is_encoded():
    vectors_of(Remembering(), corpus(), "toy", Noting())
    again, noting = Remembering(), Noting()
    vectors_of(again, corpus(), "toy", noting)
    assert (again.opened, again.calls, noting.endings) == (0, [], [("toy", False)])


@pytest.mark.parametrize("shards", [0, 1, 5])
def test_interrupted_it_goes_on_and_ends_with_the_same_bytes(shards, tmp_path, monkeypatch):
    whole = Remembering()
    before = sampled(whole)
    expected = (entry_of(whole, corpus()).folder / "vectors.npy").read_bytes()
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "interrupted"))
    broken = Remembering(fails_at=before + shards)
    with pytest.raises(KeyboardInterrupt):
        vectors_of(broken, corpus(), "toy", Noting())
    entry = entry_of(broken, corpus())
    assert entry.read() is None
    second, noting = Remembering(), Noting()
    vectors_of(second, corpus(), "toy", noting)
    assert (entry.folder / "vectors.npy").read_bytes() == expected
    done = [text for call in broken.calls[before:] for text in call]
    then = [text for call in second.calls[before:] for text in call]
    assert sorted(done + then) == list(corpus().texts)
    assert noting.estimates[0].done == len(done)
    assert entry.read().metadata["texts"] == 120
    assert not shards_of(entry).exists()


@pytest.mark.parametrize("name", ["vectors.npy", "manifest.json"])
def test_a_damaged_shard_is_encoded_again(name):
    broken = Remembering(fails_at=embed.GROUPS + 4)
    with pytest.raises(KeyboardInterrupt):
        vectors_of(broken, corpus(), "toy", Noting())
    shard = sorted(shards_of(entry_of(broken, corpus())).glob(f"*/{name}"))[1]
    content = bytearray(shard.read_bytes())
    content[-9] ^= 1
    shard.write_bytes(bytes(content))
    found = vectors_of(Remembering(), corpus(), "toy", Noting())
    np.testing.assert_array_equal(found.matrix[1:], np.stack([vector(t) for t in corpus().texts]))


def test_shards_of_another_cut_are_not_mixed_in(monkeypatch):
    broken = Remembering(fails_at=embed.GROUPS + 4)
    with pytest.raises(KeyboardInterrupt):
        vectors_of(broken, corpus(), "toy", Noting())
    monkeypatch.setattr(embed, "SHARD_CHARACTERS", 170)
    noting = Noting()
    found = vectors_of(Remembering(), corpus(), "toy", noting)
    assert noting.estimates[0].done == 0
    np.testing.assert_array_equal(found.matrix[1:], np.stack([vector(t) for t in corpus().texts]))


def test_a_large_corpus_is_not_cut_into_countless_shards(monkeypatch):
    monkeypatch.setattr(embed, "SHARD_CHARACTERS", 10)
    many = len(list(embed._parts(corpus())))
    monkeypatch.setattr(embed, "MOST_SHARDS", 7)
    parts = list(embed._parts(corpus()))
    assert len(parts) <= 8 < many
    assert sorted(int(at) for part in parts for at in part) == list(range(120))


def test_the_estimate_reads_texts_of_all_lengths_but_few_of_them():
    encoder, noting = Remembering(), Noting()
    vectors_of(encoder, corpus(), "toy", noting)
    groups = encoder.calls[1 : 1 + embed.GROUPS]
    lengths = [[len(text) for text in group] for group in groups]
    assert all(len(group) <= embed.SAMPLE for group in groups)
    assert [np.mean(group) for group in lengths] == sorted(np.mean(group) for group in lengths)
    words = sum(len(text.split()) for text in corpus().texts)
    assert abs(noting.estimates[0].tokens - words) < 0.2 * words


def test_of_long_texts_the_estimate_reads_fewer(monkeypatch):
    monkeypatch.setattr(embed, "SAMPLE_CHARACTERS", 20)
    encoder = Remembering()
    vectors_of(encoder, corpus(), "toy", Noting())
    assert [len(group) for group in encoder.calls[1 : 1 + embed.GROUPS]][-1] == 1


def test_float16_halves_the_file_and_rounds():
    half = vectors_of(Remembering(EncoderConfig(storage="float16")), corpus(), "toy", Noting())
    assert half.matrix.dtype == np.float16
    expected = np.stack([vector(t) for t in corpus().texts]).astype(np.float16)
    np.testing.assert_array_equal(half.matrix[1:], expected)


@pytest.mark.parametrize(
    ("scale", "storage", "message"),
    [(1e6, "float16", "encoder.storage=float32"), (np.nan, "float32", "no numbers")],
)
def test_vectors_that_cannot_be_kept_are_refused(scale, storage, message):
    encoder = Remembering(EncoderConfig(storage=storage), scale=scale)
    with pytest.raises(DataError, match=message):
        vectors_of(encoder, corpus(), "toy", Noting())
    assert entry_of(encoder, corpus()).read() is None


def test_other_texts_settings_or_fitted_names_are_other_entries(monkeypatch):
    base = entry_of(Remembering(), corpus())
    fewer = Corpus.of(dataset(WORDS.item_texts[:-1]), EncoderConfig(), 4)
    assert entry_of(Remembering(), fewer) != base
    assert entry_of(Remembering(EncoderConfig(storage="float16")), corpus()) != base
    monkeypatch.setattr(Remembering, "weights", lambda self: "others")
    assert entry_of(Remembering(), corpus()) != base


def test_an_encoder_that_learns_from_the_names_depends_on_all_of_them(monkeypatch):
    one, two = (
        Corpus.of(dataset(texts), EncoderConfig(), 4) for texts in (["a", "b"], ["a", "b", "a"])
    )
    assert entry_of(Remembering(), one) == entry_of(Remembering(), two)
    monkeypatch.setattr(Remembering, "fitted", True)
    assert entry_of(Remembering(), one) != entry_of(Remembering(), two)


def test_the_description_is_plain_json():
    found = vectors_of(Remembering(), corpus(), "toy", Noting())
    manifest = json.loads((found.folder / "manifest.json").read_text())
    assert {**manifest["metadata"], "sha256": manifest["files"]["vectors.npy"]} == found.metadata
