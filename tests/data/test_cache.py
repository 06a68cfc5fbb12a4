"""Parsed data sets are kept by content and never trusted when damaged."""

import hashlib
import io
import os

import numpy as np
import pytest
from own_cards import csv_card, histories, sequences_card

from bench.data import cache as cache_module
from bench.data import load as load_module
from bench.data.load import load_dataset
from bench.data.readers import sequences as sequences_reader
from bench.plan.data_card import load_card


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
        and np.array_equal(one.planted_noise, other.planted_noise)
    )


def test_the_second_load_parses_nothing_and_is_equal(tmp_path, cache_folder, parsed):
    card = sequences_card(tmp_path)
    first, second = load_dataset(card), load_dataset(card)
    assert len(parsed) == 1
    assert same(first, second)
    assert second.sequences.items.dtype == np.int32
    assert second.sequences.offsets.dtype == np.int64


def test_planted_noise_survives_the_cache(cache_folder):
    first, second = load_dataset("planted"), load_dataset("planted")
    assert second.planted_noise.dtype == np.bool_
    assert same(first, second)


def test_changed_bytes_of_equal_size_and_date_are_noticed(tmp_path, cache_folder, parsed):
    card = sequences_card(tmp_path)
    before = load_dataset(card)
    path = tmp_path / "seq.txt"
    stat = path.stat()
    path.write_text(path.read_text().replace("u1 a b c", "u1 c b a"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    after = load_dataset(card)
    assert len(parsed) == 2
    assert histories(before)["u1"] == ["a", "b", "c"]
    assert histories(after)["u1"] == ["c", "b", "a"]


def test_changed_options_filters_and_code_make_other_entries(tmp_path, cache_folder, monkeypatch):
    load_dataset(csv_card(tmp_path))
    load_dataset(csv_card(tmp_path, card={"filters": {"min_item_interactions": 2}}))
    load_dataset(csv_card(tmp_path, unlisted_items="keep"))
    monkeypatch.setattr(cache_module, "_code", lambda function: "other")
    load_dataset(csv_card(tmp_path))
    assert len(list(cache_folder.iterdir())) == 4


def test_maximum_length_comes_from_the_card_not_the_cache(tmp_path, cache_folder, parsed):
    assert load_dataset(sequences_card(tmp_path, card={"max_length": 7})).max_length == 7
    assert load_dataset(sequences_card(tmp_path, card={"max_length": 9})).max_length == 9
    assert len(parsed) == 1


def flip_each(content):
    """Every damage that one changed byte of a small entry can do, sampled."""
    return [
        content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
        for place in range(0, len(content), max(1, len(content) // 60))
    ]


def test_a_damaged_entry_is_made_again(tmp_path, cache_folder):
    card = sequences_card(tmp_path)
    right = load_dataset(card)
    (entry,) = cache_folder.iterdir()
    content = entry.read_bytes()
    damaged = [b"", b"PK", content[: len(content) // 2], *flip_each(content)]
    for bad in damaged:
        entry.write_bytes(bad)
        assert same(load_dataset(card), right)


def test_an_entry_with_pickled_objects_is_not_opened(tmp_path, cache_folder, caplog):
    card = sequences_card(tmp_path)
    right = load_dataset(card)
    (entry,) = cache_folder.iterdir()
    body = io.BytesIO()
    np.savez(body, names=np.array([{"a": 1}], dtype=object))
    entry.write_bytes(hashlib.sha256(body.getvalue()).digest() + body.getvalue())
    assert same(load_dataset(card), right)
    assert "allow_pickle" in caplog.text


def test_an_unwritable_cache_only_costs_time(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "file"))
    dataset = load_dataset(sequences_card(tmp_path))
    assert dataset.n_users == 3
    assert "parsed again next time" in caplog.text


def test_verification_does_not_trust_the_cache(tmp_path, cache_folder, parsed):
    card = load_card(sequences_card(tmp_path))
    located = load_module.locate(card)
    load_module.read_card(card, located)
    load_module.read_card(card, located, cached=False)
    assert len(parsed) == 2
