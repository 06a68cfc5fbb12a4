"""Bad input: one sentence that names the file and the line, and the remedy."""

import gzip
from datetime import date, time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_cards import (
    amazon_card,
    csv_card,
    load,
    movielens_card,
    parquet_card,
    recbole_card,
    refused,
    sequences_card,
    write_card,
)

from bench.data import load as load_module
from bench.data.split import Split
from bench.errors import DataError


def append(name, content):
    def spoil(folder):
        path = folder / name
        path.write_bytes(path.read_bytes() + content)

    return spoil


def replace(name, old, new):
    def spoil(folder):
        path = folder / name
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))

    return spoil


def content(name, new):
    return lambda folder: (folder / name).write_bytes(new)


def truncate(name):
    def spoil(folder):
        path = folder / name
        lines = gzip.decompress(path.read_bytes()) * 500
        packed = gzip.compress(lines)
        path.write_bytes(packed[: len(packed) // 2])

    return spoil


def parquet(columns):
    return lambda folder: pq.write_table(pa.table(columns), folder / "x.parquet")


BAD = {
    "empty sequences": (sequences_card, content("seq.txt", b""), "seq.txt is empty"),
    "blank sequences": (sequences_card, content("seq.txt", b"\n \n"), "seq.txt is empty"),
    "a byte-order mark alone": (csv_card, content("x.csv", b"\xef\xbb\xbf\n"), "x.csv is empty"),
    "user without items": (
        sequences_card,
        append("seq.txt", b"\nlonely\n"),
        "seq.txt, line 5: user 'lonely' has no items",
    ),
    "duplicate user": (
        sequences_card,
        append("seq.txt", b"u2 a\n"),
        "seq.txt, line 4: user 'u2' is already on line 1",
    ),
    "not UTF-8": (
        sequences_card,
        append("items.tsv", b"d\tCaf\xe9\n"),
        "items.tsv, line 5: not UTF-8",
    ),
    "unknown item": (
        sequences_card,
        append("seq.txt", b"u3 a zzz\n"),
        "not in its list of items (first: 'zzz')",
    ),
    "negative item": (
        sequences_card,
        append("seq.txt", b"u3 a -1\n"),
        "seq.txt, line 4: the item id -1 is negative",
    ),
    "item listed twice": (
        sequences_card,
        append("items.tsv", b"b\tAgain\n"),
        "items.tsv, line 5: item 'b' is listed a second time",
    ),
    "wrong columns of items": (
        sequences_card,
        replace("items.tsv", b"item_id\ttitle", b"id\tname"),
        "items.tsv has no column 'item_id'; its columns are id, name",
    ),
    "missing field": (
        recbole_card,
        replace("x.inter", b"timestamp:float", b"when:float"),
        "x.inter has no column 'timestamp'; its columns are user_id:token, item_id:token, rating",
    ),
    "too few values": (
        recbole_card,
        append("x.inter", b"\nu1\ta\t4\n"),
        "x.inter, line 12: 3 values where 4 are expected",
    ),
    "time is no number": (
        recbole_card,
        replace("x.inter", b"\t30\n", b"\tsoon\n"),
        "x.inter, line 2: 'timestamp' is 'soon', not a time",
    ),
    "negative time": (
        recbole_card,
        replace("x.inter", b"\t3\n", b"\t-3\n"),
        "x.inter, line 8: 'timestamp' is '-3', not a time",
    ),
    "infinite time": (
        csv_card,
        replace("x.csv", b"\n5,", b"\ninf,"),
        "x.csv, line 6: 'when' is 'inf', not a time",
    ),
    "time is missing": (
        csv_card,
        replace("x.csv", b"\n5,", b"\n,"),
        "x.csv, line 6: 'when' is '', not a time",
    ),
    "empty id": (
        csv_card,
        replace("x.csv", b'5,"u1",a', b'5,"",a'),
        "x.csv, line 6: the user id is empty",
    ),
    "header alone": (csv_card, content("x.csv", b"when,who,what\n"), "has a header and no rows"),
    "column twice": (
        csv_card,
        replace("x.csv", b"when,who", b"when,when"),
        "x.csv, line 1: two columns have the same name",
    ),
    "wrong separator": (
        csv_card,
        replace("x.csv", b"when,who,what", b"when;who;what"),
        "x.csv has no column 'who'; its columns are when;who;what",
    ),
    "truncated gzip": (amazon_card, truncate("reviews.json.gz"), "reviews.json.gz is truncated"),
    "not gzip": (
        amazon_card,
        content("meta.json.gz", b"{}"),
        "meta.json.gz holds no line that can be read",
    ),
    "empty gzip": (
        amazon_card,
        content("reviews.json.gz", gzip.compress(b"")),
        "reviews.json.gz is empty",
    ),
    "all lines bad": (
        amazon_card,
        content("reviews.json.gz", gzip.compress(b"nonsense\n" * 3)),
        "reviews.json.gz has no column 'reviewerID'; its columns are nonsense",
    ),
    "Parquet text that is not UTF-8": (
        parquet_card,
        parquet({"user_id": pa.array([b"u\xb2"]).view(pa.string()), "item_id": ["a"]}),
        "is an incomplete Parquet file",
    ),
    "not Parquet": (
        parquet_card,
        content("x.parquet", b"PAR1 no"),
        "is an incomplete Parquet file",
    ),
    "half of a Parquet file": (
        parquet_card,
        lambda folder: (folder / "x.parquet").write_bytes(
            (folder / "x.parquet").read_bytes()[:400]
        ),
        "is an incomplete Parquet file",
    ),
    "Parquet ids that are lists": (
        parquet_card,
        parquet({"user_id": [["u1"]], "item_id": ["a"], "timestamp": [1]}),
        "x.parquet: column 'user_id' holds list<",
    ),
    "Parquet times that are lists": (
        parquet_card,
        parquet({"user_id": ["u1"], "item_id": ["a"], "timestamp": [[1]]}),
        "x.parquet: column 'timestamp' holds list<",
    ),
    "times of two kinds": (
        csv_card,
        replace("x.csv", b"\n5,", b"\n2024-01-01,"),
        "x.csv, line 6: 'when' is '2024-01-01', another kind of time than before",
    ),
    "times with and without a zone": (
        csv_card,
        content(
            "x.csv",
            b"when,who,what\n2024-01-01T10:00:00Z,u1,a\n2024-01-01T10:00:00,u1,b\n",
        ),
        "x.csv, line 3: 'when' is '2024-01-01T10:00:00', another kind of time than before",
    ),
    "a number that only Python reads": (
        csv_card,
        replace("x.csv", b"\n5,", b"\n1_000,"),
        "x.csv, line 6: 'when' is '1_000', not a time",
    ),
    "Parquet dates too far away": (
        parquet_card,
        parquet({"user_id": ["u1"], "item_id": ["a"], "timestamp": [date(9999, 1, 1)]}),
        "x.parquet: column 'timestamp' holds date32[day] values that are not dates between",
    ),
    "Parquet times of day": (
        parquet_card,
        parquet({"user_id": ["u1"], "item_id": ["a"], "timestamp": [time(12)]}),
        "x.parquet: column 'timestamp' holds time64[us] values that are not dates between",
    ),
    "a long value in a line with too many": (
        csv_card,
        append("x.csv", b"6,u1," + 200_000 * b"x" + b",y\n"),
        "x.csv, line 11: 4 values where 3 are expected",
    ),
    "u.item of another data set": (
        movielens_card,
        content("u.item", b"1|Toy Story|x\n"),
        "u.item, line 1: 3 values where 24 are expected",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_is_one_clear_sentence(kind, tmp_path):
    write, spoil, message = BAD[kind]
    card = write(tmp_path)
    spoil(tmp_path)
    assert message in refused(load, card)


def test_a_missing_file_names_itself_and_the_remedies(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    card = sequences_card(tmp_path)
    (tmp_path / "items.tsv").unlink()
    message = refused(load, card)
    assert "missing items.tsv;" in message
    assert "BENCH_DATA_DIR" in message
    assert "bench run planted" in message
    assert "bench data fetch" not in message  # this card has no source


def test_a_missing_built_in_data_set_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=r"missing .*; run 'bench data fetch beauty'") as caught:
        load("beauty")
    assert "user_sequence.txt and items.tsv or reviews_Beauty_5.json.gz" in str(caught.value)


def test_counts_that_differ_from_the_card_show_both(tmp_path):
    expected = {"users": 3, "items": 4, "interactions": 9}
    card = sequences_card(tmp_path, card={"expected": expected})
    message = refused(load, card)
    assert "holds 3 users, 3 items, 9 interactions" in message
    assert "expects 3 users, 4 items, 9 interactions" in message


def test_counts_are_checked_when_the_cache_answers_too(tmp_path):
    load(sequences_card(tmp_path))
    expected = {"users": 1, "items": 1, "interactions": 1}
    with pytest.raises(DataError, match="expects 1 users"):
        load(sequences_card(tmp_path, card={"expected": expected}))


def test_one_item_users_load_but_do_not_split(tmp_path):
    card = write_card(tmp_path, format="sequences", files={"sequences": "seq.txt"})
    (tmp_path / "seq.txt").write_text("u1 a b c\nu2 a\n")
    dataset = load(card)
    with pytest.raises(DataError, match=r"first: user 'u2' with 1.*min_user_interactions: 3"):
        Split.of(dataset)


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(load_module, "file_hash", refuse)
    with pytest.raises(DataError, match=r"cannot read .*(seq.txt|items.tsv): Permission denied"):
        load(sequences_card(tmp_path))


def test_blank_lines_before_the_header_are_skipped(tmp_path):
    card = csv_card(tmp_path)
    before = load(card).fingerprint
    path = tmp_path / "x.csv"
    path.write_text("\n\n" + path.read_text())
    assert load(card).fingerprint == before
    path.write_text(path.read_text() + "\n1,u1\n")
    with pytest.raises(DataError, match=r"x.csv, line 14: 2 values where 3"):
        load(card)


def test_a_folder_in_a_files_place_counts_as_missing(tmp_path):
    card = sequences_card(tmp_path)
    (tmp_path / "seq.txt").unlink()
    (tmp_path / "seq.txt").mkdir()
    with pytest.raises(DataError, match=r"missing seq\.txt"):
        load(card)
