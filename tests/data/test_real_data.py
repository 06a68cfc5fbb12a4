"""The four real data sets against the published counts and against their raw files."""

from functools import cache

import numpy as np
import pytest
from own_cards import histories, load, texts

from bench.data.audit import (
    against_file,
    low_ratings,
    order_of_time,
    spans,
    statistics,
    ties_in_time,
)
from bench.data.load import parse_card, read_card
from bench.data.locate import locate
from bench.data.split import Split
from bench.plan.data_card import load_card
from bench.settings import Settings

pytestmark = [pytest.mark.data, pytest.mark.usefixtures("real_data_dir")]

# Table 1 of the IADSR paper: users, items, actions, average length, sparsity.
TABLE_1 = {
    "beauty": ("22,363", "12,101", "198,502", "8.9", "99.93 %"),
    "sports": ("35,598", "18,357", "296,337", "8.3", "99.95 %"),
    "toys": ("19,412", "11,924", "167,597", "8.6", "99.93 %"),
    "ml-100k": ("943", "1,682", "100,000", "106.0", "93.70 %"),
}
AMAZON = ["beauty", "sports", "toys"]
LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("sports", "toys")]
"""Of the same format as Beauty."""


@pytest.fixture(scope="module")
def loaded():
    """Load each data set once."""
    return cache(load)


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1_to_the_digit(name, loaded):
    assert tuple(statistics(loaded(name)).values()) == TABLE_1[name]


@pytest.mark.parametrize("name", AMAZON)
def test_every_sequence_and_title_is_the_files(name, real_data_dir, loaded):
    dataset = loaded(name)
    with (real_data_dir / name / "user_sequence.txt").open(encoding="utf-8") as stream:
        expected = {user: items for user, *items in map(str.split, stream)}
    assert histories(dataset) == expected
    with (real_data_dir / name / "items.tsv").open(encoding="utf-8") as stream:
        next(stream)
        titles = dict(line.rstrip("\n").split("\t") for line in stream)
    assert texts(dataset) == {item: " ".join(title.split()) for item, title in titles.items()}


def test_ml_100k_is_sorted_by_time_then_by_line(real_data_dir, loaded):
    with (real_data_dir / "ml-100k" / "ml-100k.inter").open(encoding="utf-8") as stream:
        next(stream)
        rows = [line.split() for line in stream]
    rows.sort(key=lambda row: float(row[3]))  # stable: equal times stay in order of line
    expected = {}
    for user, item, *_ in rows:
        expected.setdefault(user, []).append(item)
    assert histories(loaded("ml-100k")) == expected


def test_ml_100k_has_the_known_share_of_low_ratings(real_data_dir, loaded):
    """17.5 % of all ratings and 22.9 % of those of test targets are 1 or 2."""
    with (real_data_dir / "ml-100k" / "ml-100k.inter").open(encoding="utf-8") as stream:
        next(stream)
        rows = [line.split() for line in stream]
    rows.sort(key=lambda row: float(row[3]))
    ratings = {}
    for user, _, rating, _ in rows:
        ratings.setdefault(user, []).append(float(rating))
    dataset = loaded("ml-100k")
    assert dataset.ratings.tolist() == [r for user in dataset.user_ids for r in ratings[user]]
    assert round((dataset.ratings <= 2).mean(), 3) == 0.175
    assert round((Split.of(dataset).target_ratings("test") <= 2).mean(), 3) == 0.229
    assert low_ratings(dataset).text == (
        "100,000 of 100,000 interactions are rated, from 1 to 5; below 3: 17.5%, of test targets "
        "22.9%; below 4: 44.6%, of test targets 48.5%"
    )


def test_ml_100k_with_32_bit_times_is_another_data_set(real_data_dir, loaded):
    """What pandas and RecBole's 32-bit tensors do: 46.6 %, 15.8 % and 26.9 % differ."""
    import pandas as pd

    path = real_data_dir / "ml-100k" / "ml-100k.inter"
    rows = pd.read_csv(path, sep="\t", dtype={"user_id:token": str, "item_id:token": str})
    rows["time"] = rows["timestamp:float"].astype(np.float32)
    rows = rows.sort_values("time", kind="stable").groupby("user_id:token")["item_id:token"]
    card = load_card("ml-100k").model_copy(update={"times": "float32"})
    exact = loaded("ml-100k")
    rounded = parse_card(card, locate(card, Settings.from_environment()))
    assert load("ml-100k+times:float32").fingerprint == rounded.fingerprint
    assert against_file(rounded, exact).text == (
        "46.6% of the positions hold another interaction; 15.8% of the users have another test "
        "target; 26.9% of the users have another validation target"
    )
    assert histories(rounded) == {user: items.tolist() for user, items in rows}


def test_ml_100k_was_entered_at_one_sitting(loaded):
    dataset = loaded("ml-100k")
    assert ties_in_time(dataset).text == (
        "51.0% of neighbouring interactions have the same time, 44.0% of test and 44.8% of "
        "validation targets that of the interaction before"
    )
    assert spans(dataset).text.startswith("52.8% of the users have all their interactions within")


@pytest.mark.parametrize("name", TABLE_1)
def test_filters_of_the_card_remove_nothing_and_everyone_splits(name, loaded):
    split = Split.of(loaded(name))
    assert split.item_counts().sum() == split.dataset.n_interactions - 2 * split.dataset.n_users


@pytest.mark.parametrize("name", TABLE_1)
def test_no_file_is_sorted_by_item_id(name, loaded):
    assert order_of_time(loaded(name)).level == "ok"


@pytest.mark.parametrize("name", ["beauty", *LARGE])
def test_a_copy_sorted_by_item_id_is_found(name, real_data_dir, tmp_path, monkeypatch):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "items.tsv").write_bytes((real_data_dir / name / "items.tsv").read_bytes())
    with (real_data_dir / name / "user_sequence.txt").open(encoding="utf-8") as stream:
        lines = [" ".join([user, *sorted(items)]) for user, *items in map(str.split, stream)]
    (folder / "user_sequence.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    assert order_of_time(load(name)).level == "warning"


@pytest.mark.parametrize("name", ["beauty", "ml-100k", *LARGE])
def test_the_cache_answers_as_the_files(name):
    card, settings = load_card(name), Settings.from_environment()
    located = locate(card, settings)
    parsed = parse_card(card, located)
    kept = read_card(card, located, settings.cache)
    assert kept.fingerprint == parsed.fingerprint
    assert (kept.sequences.items == parsed.sequences.items).all()
    assert (kept.sequences.offsets == parsed.sequences.offsets).all()
    assert list(kept.item_texts) == list(parsed.item_texts)


def test_beauty_has_seven_items_without_title(loaded):
    assert sum(not text for text in loaded("beauty").item_texts) == 7
