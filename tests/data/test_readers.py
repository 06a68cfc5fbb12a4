"""Every format against the same small data set written by hand."""

import logging

import numpy as np
import pytest
from own_cards import (
    CARDS,
    EXPECTED,
    ROWS,
    TITLES,
    amazon_card,
    csv_card,
    histories,
    load,
    movielens_card,
    recbole_card,
    sequences_card,
    texts,
    write_card,
)

from bench.errors import ConfigError, DataError


@pytest.mark.parametrize(("write", "rating"), [(recbole_card, 4), (movielens_card, 3)])
def test_ratings_of_published_formats_are_kept(write, rating, tmp_path):
    assert set(load(write(tmp_path)).ratings.tolist()) == {rating}


def test_ratings_of_amazon_reviews(tmp_path):
    assert load(amazon_card(tmp_path / "without")).ratings is None
    extra = '{"reviewerID": "u1", "asin": "a", "unixReviewTime": 99, "overall": 2.0}\n'
    dataset = load(amazon_card(tmp_path, extra_reviews=extra))
    expected = np.full(10, np.nan, dtype=np.float32)
    expected[3] = 2  # the last of u1, who is the first user
    np.testing.assert_array_equal(dataset.ratings, expected)


def test_a_named_column_of_ratings_must_be_there(tmp_path):
    card = recbole_card(tmp_path)
    path = tmp_path / "x.inter"
    path.write_text(path.read_text().replace("rating:float", "stars:float"))
    assert load(card).ratings is None
    assert set(load(recbole_card(tmp_path / "named", options={"rating": "rating"})).ratings) == {4}
    with pytest.raises(DataError, match=r"x.inter has no column 'stars'"):
        load(recbole_card(tmp_path / "other", options={"rating": "stars"}))


@pytest.mark.parametrize("write", CARDS)
def test_every_format_gives_the_histories_by_time(write, tmp_path):
    dataset = load(write(tmp_path))
    assert histories(dataset) == EXPECTED
    assert texts(dataset) == TITLES


def test_the_fingerprint_does_not_depend_on_the_format(tmp_path):
    prints = {load(write(tmp_path / write.__name__)).fingerprint for write in CARDS}
    assert len(prints) == 1


def test_the_fingerprint_depends_on_order_and_text(tmp_path):
    first = load(sequences_card(tmp_path / "a")).fingerprint
    card = sequences_card(tmp_path / "b")
    path = tmp_path / "b" / "seq.txt"
    path.write_text(path.read_text().replace("u1 a b c", "u1 b a c"))
    second = load(card).fingerprint
    card = sequences_card(tmp_path / "c")
    path = tmp_path / "c" / "items.tsv"
    path.write_text(path.read_text().replace("Paper", "paper"))
    assert len({first, second, load(card).fingerprint}) == 3


def test_users_and_items_are_numbered_by_id(tmp_path):
    dataset = load(sequences_card(tmp_path))
    assert list(dataset.user_ids) == ["u1", "u10", "u2"]
    assert list(dataset.item_ids) == ["a", "b", "c"]


def test_windows_newlines_and_a_byte_order_mark_change_nothing(tmp_path):
    card = csv_card(tmp_path)
    before = load(card).fingerprint
    for name in ("x.csv", "items.csv"):
        path = tmp_path / name
        text = path.read_text().replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load(card).fingerprint == before


def test_amazon_reports_and_skips_few_bad_lines(tmp_path, caplog):
    clean = load(amazon_card(tmp_path / "clean")).fingerprint
    card = amazon_card(
        tmp_path / "bad",
        extra_reviews='{"reviewerID": "u1"\n'
        f'{{"reviewerID": "u1", "asin": "a", "unixReviewTime": {10**30}}}\n',
        extra_meta="{'asin': 'a', 'title': \n__import__('os').remove('x')\n",
    )
    with caplog.at_level(logging.WARNING):
        assert load(card).fingerprint == clean
    assert "left out 2 unreadable lines: 10, 11" in caplog.text
    assert "left out 2 unreadable lines: 5, 6" in caplog.text


def test_amazon_stops_above_the_limit_of_bad_lines(tmp_path):
    card = amazon_card(tmp_path, extra_reviews="{\n{\n", options={"max_bad_lines": 1})
    with pytest.raises(DataError, match=r"reviews.json.gz, line 11: .*max_bad_lines = 1"):
        load(card)


def test_metadata_may_lack_an_item_when_the_card_says_so(tmp_path):
    card = amazon_card(tmp_path, unlisted_items="keep")
    extra = '{"reviewerID": "u1", "asin": "new", "unixReviewTime": 99}\n'
    card = amazon_card(tmp_path, extra_reviews=extra, unlisted_items="keep")
    dataset = load(card)
    assert dataset.item_texts[dataset.item_ids.index("new")] == ""
    card = amazon_card(tmp_path, extra_reviews=extra)
    with pytest.raises(DataError, match="1 items have interactions but are not in its list"):
        load(card)


def test_movielens_titles_are_latin_1(tmp_path):
    card = movielens_card(tmp_path)
    path = tmp_path / "u.item"
    path.write_bytes(path.read_bytes().replace(b"Paper", "Misérables, Les".encode("latin-1")))
    assert "Misérables, Les" in load(card).item_texts


def test_items_file_is_optional(tmp_path):
    sequences_card(tmp_path)
    card = write_card(tmp_path, format="sequences", files={"sequences": "seq.txt"})
    assert set(load(card).item_texts) == {""}


def test_a_table_without_time_is_taken_in_file_order(tmp_path):
    options = {"user": "who", "item": "what", "time": None, "item_id": "what", "text": "name"}
    dataset = load(csv_card(tmp_path, options=options))
    expected = {user: [i for u, i, _ in ROWS if u == user] for user in EXPECTED}
    assert histories(dataset) == expected


@pytest.mark.parametrize("unit", ["date", "zone", "before 1970", "spaces", "fraction", "large"])
def test_times_as_dates_fractions_and_large_whole_numbers(unit, tmp_path):
    write = {
        "date": lambda t: f"2014-07-01T00:00:{t:02d}",
        # The offset outweighs the hour: as text the order would be another.
        "zone": lambda t: f"2014-07-01T{t % 2 + 9:02d}:00:{t:02d}+{t % 2:02d}:00",
        "before 1970": lambda t: f"1969-07-01T00:00:{t:02d}",
        "spaces": lambda t: f" {t} ",
        "fraction": lambda t: f"{t / 7:.6f}",
        "large": lambda t: str(1_700_000_000_000_000_000 + t),  # float64 would tie these
    }[unit]
    card = csv_card(tmp_path)
    rows = "".join(f"{write(time)},{user},{item}\n" for user, item, time in ROWS)
    (tmp_path / "x.csv").write_text("when,who,what\n" + rows)
    assert histories(load(card)) == EXPECTED


def test_parquet_accepts_whole_number_ids(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"user_id": [7, 7, 7], "item_id": [3, 1, 2], "timestamp": [1, 2, 3]})
    frame.to_parquet(tmp_path / "x.parquet")
    card = write_card(tmp_path, format="table", files={"interactions": "x.parquet"})
    assert histories(load(card)) == {"7": ["3", "1", "2"]}


def test_unknown_format_option_and_role_are_suggested(tmp_path):
    files = {"sequences": "seq.txt"}
    with pytest.raises(ConfigError, match="did you mean 'sequences'"):
        load(write_card(tmp_path, format="sequence", files=files))
    with pytest.raises(ConfigError, match="unknown key 'text_colum'; did you mean 'text_column'"):
        load(write_card(tmp_path, format="sequences", files=files, options={"text_colum": "x"}))
    with pytest.raises(ConfigError, match="has no file 'sequence'; did you mean 'sequences'"):
        load(write_card(tmp_path, format="sequences", files={"sequence": "seq.txt"}))


def test_a_reader_from_elsewhere_needs_no_change_here(tmp_path, monkeypatch):
    (tmp_path / "elsewhere_reader.py").write_text(
        "from bench.config import Config\n"
        "from bench.plan.formats import Reader\n"
        "class Options(Config):\n    step: int = 1\n"
        "def read(files, options):\n"
        "    from bench.data.interactions import Interactions, encode\n"
        "    users, user_ids = encode(['u'] * 3)\n"
        "    items, item_ids = encode(['x', 'y', 'z'][::options.step])\n"
        "    return Interactions(users, items, user_ids, item_ids)\n"
        "READER = Reader('else', 'x', (), (), Options, 'elsewhere_reader:read')\n"
    )
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path / "elsewhere_reader.py"))
    card = write_card(tmp_path, format="else", options={"step": -1})
    assert histories(load(card)) == {"u": ["z", "y", "x"]}
