"""Parsed data sets are kept by content."""

import os

import numpy as np
import pytest
from own_cards import csv_card, histories, load, movielens_card, sequences_card

from bench.data import load as load_module
from bench.data.load import parse_card, read_card
from bench.data.locate import locate
from bench.data.readers import sequences as sequences_reader
from bench.plan.data_card import load_card
from bench.settings import Settings


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


@pytest.fixture
def parsed(monkeypatch):
    """Count how often files were parsed."""
    calls = []
    read = sequences_reader.read
    monkeypatch.setattr(
        sequences_reader, "read", lambda *arguments: calls.append(1) or read(*arguments)
    )
    return calls


def same(one, other):
    return (
        one.fingerprint == other.fingerprint
        and histories(one) == histories(other)
        and list(one.item_texts) == list(other.item_texts)
        and one.max_length == other.max_length
        and one.per_second == other.per_second
        and np.array_equal(one.times, other.times)
        and np.array_equal(one.ratings, other.ratings)
        and np.array_equal(one.noise, other.noise)
    )


def test_the_second_load_parses_nothing_and_is_equal(tmp_path, cache_folder, parsed):
    card = sequences_card(tmp_path)
    first, second = load(card), load(card)
    assert len(parsed) == 1
    assert same(first, second)
    assert second.sequences.items.dtype == np.int32
    assert second.sequences.offsets.dtype == np.int64


def test_noise_survives_the_cache(cache_folder):
    first, second = load("planted"), load("planted")
    assert second.noise.dtype == np.bool_
    assert same(first, second)


def test_ratings_and_times_survive_the_cache(tmp_path, cache_folder):
    card = movielens_card(tmp_path)
    first, second = load(card), load(card)
    assert same(first, second)
    assert second.ratings.tolist() == [3] * 9
    assert second.ratings.dtype == np.float32
    assert second.times.tolist() == [5, 20, 20, 1, 2, 3, 10, 20, 30]
    assert second.times.dtype == np.int64
    assert second.per_second is None


def test_changed_bytes_of_equal_size_and_date_are_noticed(tmp_path, cache_folder, parsed):
    card = sequences_card(tmp_path)
    before = load(card)
    path = tmp_path / "seq.txt"
    stat = path.stat()
    path.write_text(path.read_text().replace("u1 a b c", "u1 c b a"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    after = load(card)
    assert len(parsed) == 2
    assert histories(before)["u1"] == ["a", "b", "c"]
    assert histories(after)["u1"] == ["c", "b", "a"]


def test_changed_options_filters_and_code_make_other_entries(tmp_path, cache_folder, monkeypatch):
    load(csv_card(tmp_path))
    load(csv_card(tmp_path, card={"filters": {"min_item_interactions": 2}}))
    load(csv_card(tmp_path, unlisted_items="keep"))
    load(csv_card(tmp_path, card={"filters": {"since": 2}}))
    load(csv_card(tmp_path, card={"ties": "random"}))
    load(csv_card(tmp_path, card={"ties": "random", "seed": 1}))
    load(csv_card(tmp_path, card={"times": "float32"}))
    monkeypatch.setattr(load_module, "_code", lambda function: "other")
    load(csv_card(tmp_path))
    assert len(list(cache_folder.glob("[!.]*"))) == 8


def test_maximum_length_comes_from_the_card_not_the_cache(tmp_path, cache_folder, parsed):
    assert load(sequences_card(tmp_path, card={"max_length": 7})).max_length == 7
    assert load(sequences_card(tmp_path, card={"max_length": 9})).max_length == 9
    assert len(parsed) == 1


def test_an_unwritable_cache_only_costs_time(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "file"))
    assert load(sequences_card(tmp_path)).n_users == 3
    assert "made again next time" in caplog.text


def test_verification_does_not_trust_the_cache(tmp_path, cache_folder, parsed):
    card, settings = load_card(sequences_card(tmp_path)), Settings.from_environment()
    located = locate(card, settings)
    kept = read_card(card, located, settings.cache)
    assert same(parse_card(card, located), kept)
    assert len(parsed) == 2
