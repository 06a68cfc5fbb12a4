"""Files as they are published or exported: each kind against counts and orders worked by hand."""

import bz2
import contextlib
import csv
import gzip
import io
import json
import lzma
from datetime import UTC, datetime
from functools import partial

import numpy as np
import own_cards
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_cards import histories, load, texts, write_card

from bench.data.audit import audit
from bench.data.readers.table import read
from bench.data.tables import read_table
from bench.errors import ConfigError, DataError
from bench.plan.formats import FileOptions, TableOptions

SIMPLE = "user_id,item_id,timestamp\nu,a,2\nu,b,1\nv,b,3\n"


def card(folder, content, options=None, items=None, name="x.dat", **form):
    """Write a card of format ``table`` and its files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"interactions": name}
    for role, file, data in (("interactions", name, content), ("items", "items.dat", items)):
        if data is not None:
            (folder / file).write_bytes(data.encode() if isinstance(data, str) else data)
            files[role] = file
    form = {"format": "table", "options": options or {}, **form}
    return write_card(folder, files=files, **form)


def parquet(folder, columns, **form):
    path = card(folder, "", **form)
    pq.write_table(pa.table(columns), folder / "x.dat")
    return path


def notes(dataset):
    return "\n".join(f"{found.level}: {found.text}" for found in audit(dataset))


refused = partial(own_cards.refused, load)


# --- quotes -----------------------------------------------------------------------------------


def test_a_quote_in_a_tab_separated_file_is_a_letter(tmp_path):
    # An artist's name begins with a quote that nobody closes, in one of 1,000 lines.
    rows = [(f"u{n % 50}", f"i{n % 7}", f'"Weird Al {n}' if n % 1000 == 3 else "x", n)
            for n in range(4000)]  # fmt: skip
    text = "".join("{}\t{}\t{}\t{}\n".format(*row) for row in rows)
    options = {"separator": "\t", "columns": ["user_id", "item_id", "name", "timestamp"]}
    items = 'item_id\ttitle\n' + "".join(f'i{n}\t"{n}" song\n' for n in range(7))  # fmt: skip
    dataset = load(card(tmp_path, text, options, items))
    assert (dataset.n_users, dataset.n_items, dataset.n_interactions) == (50, 7, 4000)
    assert texts(dataset)["i3"] == '"3" song'


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ('u,"a,1\nu,b,2\n', 2),  # never closed
        ('u,b,1\nu,"a,2\nu,c",3\n', 3),  # closed two lines later
        ('u,b,1\n\nu,"a" x,2\n', 4),  # something after it
        ('u,b,1\nu,"a\\"b",2\n', 3),  # escaped by a backslash
    ],
)
def test_wrong_quotes_in_csv_name_their_line(tmp_path, row, line):
    message = refused(card(tmp_path, "user_id,item_id,timestamp\n" + row))
    assert f"x.dat, line {line}: " in message
    assert "'quoted: false'" in message


def test_line_breaks_in_values_need_the_card(tmp_path):
    text = 'user_id,item_id,timestamp,review\nu,a,2,"good\n\nvery"\nu,b,1,""\n'
    assert "x.dat, line 2: a value in quotes continues" in refused(card(tmp_path, text))
    dataset = load(card(tmp_path, text, {"line_breaks": True}))
    assert histories(dataset) == {"u": ["b", "a"]}
    message = refused(card(tmp_path, text + "u,-1,3,x\n", {"line_breaks": True}))
    assert "x.dat, line 6: the item id -1" in message


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_value_may_be_long(tmp_path, quote):
    review = f"{quote}{'x' * 3_000_000}{quote}"
    text = f"user_id,item_id,timestamp,review\nu,a,2,{review}\nu,b,1,\n"
    assert histories(load(card(tmp_path, text))) == {"u": ["b", "a"]}


def test_quotes_can_be_switched_off_and_on(tmp_path):
    off = load(card(tmp_path, 'user_id,item_id,timestamp\nu,"a,1\n', {"quoted": False}))
    assert histories(off) == {"u": ['"a']}
    text = 'user_id\titem_id\ttimestamp\nu\t"a\tb"\t1\n'
    path = card(tmp_path, text.replace("a\tb", "a b"), {"quoted": True, "separator": "\t"})
    assert histories(load(path)) == {"u": ["a b"]}
    assert "4 values where 3" in refused(card(tmp_path, text, {"separator": "\t"}))
    text = 'user_id::item_id::timestamp\nu::"a::b"::1\n'
    path = card(tmp_path, text, {"quoted": True, "separator": "::"})
    assert histories(load(path)) == {"u": ["a::b"]}


VALUES = st.text(st.sampled_from('ab",; é'), max_size=4)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5), st.sampled_from(",;"))
def test_csv_values_are_those_of_the_standard_library(tmp_path_factory, rows, separator):
    path = tmp_path_factory.getbasetemp() / "values.csv"
    written = io.StringIO()
    csv.writer(written, delimiter=separator, lineterminator="\n").writerows([("x", "y"), *rows])
    path.write_text(written.getvalue(), encoding="utf-8")
    table = read_table(path, ["y", "x"], FileOptions(separator=separator))
    assert list(zip(table.strings("x"), table.strings("y"), strict=True)) == rows


# --- ids --------------------------------------------------------------------------------------


def test_floating_point_ids_are_whole_numbers(tmp_path):
    # As text, 2^53 - 1 and its neighbours would be 9.007199254740991e+15 and fall together.
    ids = [2.0**53 - delta for delta in range(1, 11)]
    columns = {"user_id": ids, "item_id": ["a"] * 10, "timestamp": list(range(10))}
    dataset = load(parquet(tmp_path, columns))
    assert set(dataset.user_ids) == {str(2**53 - delta) for delta in range(1, 11)}
    assert "floating-point numbers; they were read as whole ones" in notes(dataset)


@pytest.mark.parametrize(
    "ids",
    [
        np.array([1.0, 2.0**53 + 2]),
        np.array([1, 2**24 + 2], dtype=np.float32),
        np.array([1, 2.5]),
        np.array([1, np.inf]),
    ],
)
def test_floating_point_ids_that_lost_digits_are_refused(tmp_path, ids):
    columns = {"user_id": ["u", "v"], "item_id": ids, "timestamp": [1, 2]}
    assert "x.dat, row 2: 'item_id' is" in refused(parquet(tmp_path, columns))


@pytest.mark.parametrize(("kind", "limit"), [(np.float32, 2**24), (np.float64, 2**53)])
def test_the_first_floating_point_id_that_may_be_another_is_refused(tmp_path, kind, limit):
    """The next whole number is stored as the same one."""
    assert kind(limit) == kind(limit + 1)
    for value, is_fine in ((limit - 1, True), (limit, False)):
        columns = {"user_id": ["u"], "item_id": np.array([value], kind), "timestamp": [1]}
        path = parquet(tmp_path, columns)
        if is_fine:
            assert load(path).item_ids == [str(value)]
        else:
            assert "has lost digits" in refused(path)
    text = f"user_id,item_id,timestamp\nu,{limit}.0,1\n"
    assert kind is np.float32 or "has lost digits" in refused(card(tmp_path, text))


def test_a_missing_floating_point_id_is_refused(tmp_path):
    columns = {"user_id": [1.0, float("nan"), 2.0], "item_id": ["a"] * 3, "timestamp": [1, 2, 3]}
    assert "row 2: the user id is empty" in refused(parquet(tmp_path, columns))


def test_one_and_one_point_zero_are_one_id(tmp_path):
    text = "user_id,item_id,timestamp\n1,7.0,1\n1.0,8,2\n2,7,3\n"
    dataset = load(card(tmp_path, text, items="item_id,title\n7,seven\n8.0,eight\n"))
    assert histories(dataset) == {"1": ["7", "8"], "2": ["7"]}
    assert texts(dataset) == {"7": "seven", "8": "eight"}
    assert "user ids written as floating-point numbers were read as whole ones, 1 in all" in notes(
        dataset
    )


@pytest.mark.parametrize("missing", ["", "NaN"])
def test_a_missing_id_makes_others_no_names(tmp_path, missing):
    # As pandas writes a column of whole numbers in which one is missing.
    text = f"user_id,item_id,timestamp\n1.0,7,1\n{missing},8,2\n2.0,8,3\n1.0,8,4\n"
    items = f"item_id,title\n7.0,seven\n{missing},nothing\n8.0,eight\n"
    dataset = load(card(tmp_path, text, items=items, missing_ids="drop"))
    assert histories(dataset) == {"1": ["7", "8"], "2": ["8"]}
    assert texts(dataset) == {"7": "seven", "8": "eight"}


def test_one_point_zero_among_names_is_a_name_unless_one_is_there(tmp_path):
    text = "user_id,item_id,timestamp\nu,1.0,1\nu,x,2\n"
    assert histories(load(card(tmp_path, text))) == {"u": ["1.0", "x"]}
    message = refused(card(tmp_path, text + "u,1,3\n"))
    assert "line 2: the item id 1.0 is next to 1" in message


@pytest.mark.parametrize("value", ["1.23457e+08", "4E+17", "9007199254740994.0"])
def test_ids_that_a_spreadsheet_cut_are_refused(tmp_path, value):
    assert f"line 5: the user id {value} is a number that has lost digits" in refused(
        card(tmp_path, f"{SIMPLE}{value},a,4\n")
    )


def test_white_space_around_ids_is_removed(tmp_path):
    text = "user_id, item_id ,timestamp\nu , a,1\nu,b\u3000,2\n v,a ,3\n"
    dataset = load(card(tmp_path, text, items="item_id,title\na,first\n b ,second\n"))
    assert histories(dataset) == {"u": ["a", "b"], "v": ["a"]}
    assert texts(dataset) == {"a": "first", "b": "second"}
    assert "note: white space around user ids was removed, 2 in all, the first 'u '" in notes(
        dataset
    )
    assert "note: white space around item ids was removed, 3 in all" in notes(dataset)
    assert notes(load(str(tmp_path / "mine.yaml"))) == notes(dataset)  # the cache keeps them


@pytest.mark.parametrize("word", ["nan", "None", "NULL", "NA", "-", "N/A", "<NA>", " nan ", r"\N"])
def test_words_for_missing_values_are_no_ids_unless_the_card_says_so(tmp_path, word):
    text = f"{SIMPLE}{word},a,4\n"
    message = refused(card(tmp_path, text))
    assert f"x.dat, line 5: the user id '{word.strip()}' is a word for a missing value" in message
    assert "missing_ids: keep" in message
    assert load(card(tmp_path, text, missing_ids="keep")).n_users == 3
    dropped = load(card(tmp_path, text, missing_ids="drop"))
    assert histories(dropped) == {"u": ["b", "a"], "v": ["b"]}
    assert "note: 1 lines without a user or item id were left out" in notes(dropped)


def test_lines_without_an_id_can_be_left_out(tmp_path):
    text = f"{SIMPLE},a,4\nv, ,5\nw,NULL,6\nv,a,7\n"
    message = refused(card(tmp_path, text))
    assert "x.dat, line 5: the user id is empty; add it, or set 'missing_ids: drop'" in message
    dataset = load(card(tmp_path, text, missing_ids="drop"))
    assert histories(dataset) == {"u": ["b", "a"], "v": ["b", "a"]}
    assert "note: 3 lines without a user or item id" in notes(dataset)
    assert "x.dat, line 5: the user id is empty" in refused(
        card(tmp_path, text, missing_ids="keep")
    )
    for bad in ("-1", "-1.0"):
        path = card(tmp_path, f"{SIMPLE}{bad},a,4\n", missing_ids="drop")
        assert f"the user id {bad} is negative" in refused(path)


@pytest.mark.parametrize("again", ["1.0", "1\u00a0", "1"])
def test_a_user_with_two_lines_is_refused_however_the_id_is_written(tmp_path, again):
    (tmp_path / "seq.txt").write_text(f"1 a b\n2 a b\n{again} b a\n", encoding="utf-8")
    path = write_card(tmp_path, format="sequences", files={"sequences": "seq.txt"})
    assert "seq.txt, line 3: user '1' is already on line 1" in refused(path)
    (tmp_path / "seq.txt").write_text("1 a b\nv a b\n1.0 b a\n", encoding="utf-8")
    assert "the user id 1.0 is next to 1, which may be the same" in refused(path)


def test_names_that_people_chose_are_kept_as_they_are(tmp_path):
    names = ["-1", "1", "1.0", "1e+08", "None", "a\x01b"]
    text = "user_id,item_id,timestamp\n" + "".join(f"{name},a,1\n" for name in names)
    dataset = load(card(tmp_path, text, missing_ids="keep"))
    assert list(dataset.user_ids) == sorted(names)


def test_words_are_refused_in_every_format(tmp_path):
    (tmp_path / "seq.txt").write_text("u a b\nv a NA\n")
    path = write_card(tmp_path, format="sequences", files={"sequences": "seq.txt"})
    assert "seq.txt, line 2: the item id 'NA'" in refused(path)


@pytest.mark.parametrize("value", ["a\x01b", "a\x7f"])
def test_control_characters_in_ids_are_refused(tmp_path, value):
    assert "line 5: the user id" in refused(card(tmp_path, f"{SIMPLE}{value},a,4\n"))


# --- times ------------------------------------------------------------------------------------


def timed(folder, times, options=None):
    rows = "".join(f"u,i{n},{time}\n" for n, time in enumerate(times))
    return card(folder, "user_id,item_id,timestamp\n" + rows, options)


def order(dataset):
    return [int(item[1:]) for item in histories(dataset)["u"]]


@pytest.mark.parametrize("times", [["1405209600000000001.0", "1405209600000000000.5"],
                                   ["1405209600", "1.4052096000000001e18"]])  # fmt: skip
def test_nanoseconds_as_floats_are_refused(tmp_path, times):
    assert "has lost its order" in refused(timed(tmp_path, times))


def test_nanoseconds_as_floats_in_parquet_are_refused(tmp_path):
    columns = {"user_id": ["u"] * 2, "item_id": ["a", "b"], "timestamp": [1.4e18 + 256, 1.4e18]}
    assert "row 1: 'timestamp' is 1.4" in refused(parquet(tmp_path, columns))
    columns["timestamp"] = np.array([1405209600, 1405209601], dtype=np.float32)
    assert "has lost its order" in refused(parquet(tmp_path, columns))
    columns["timestamp"] = [1405209601.5, 1405209600.5]
    assert histories(load(parquet(tmp_path, columns))) == {"u": ["b", "a"]}


@pytest.mark.parametrize(
    ("factor", "form"),
    [(10**3, "{}"), (10**6, "{}"), (10**9, "{}"), (10**3, "{}.0"), (10**6, "{}.5")],
)
def test_mixed_units_are_refused(tmp_path, factor, form):
    times = [1405209600, 1405209700, 1405209650 * factor]
    message = refused(timed(tmp_path, map(form.format, times)))
    assert "x.dat, line 4: 'timestamp' is 1405209650" in message
    assert "line 2 has 1405209600" in message
    assert "write all in one unit" in message


@given(st.lists(st.integers(3 * 10**8, 19 * 10**8 - 1), min_size=1, max_size=8), st.integers(0, 3))
def test_one_unit_is_accepted_and_sorted(tmp_path_factory, seconds, power):
    times = [second * 1000**power for second in seconds]
    dataset = load(timed(tmp_path_factory.mktemp("x"), times))
    assert order(dataset) == sorted(range(len(times)), key=times.__getitem__)


@pytest.mark.parametrize("value", [str(10**30), "1405209600000000000.5", "7.5"])
def test_the_time_that_makes_others_lose_their_order_is_named(tmp_path, value):
    times = [1405209600000000001, 1405209600000000002, value, 1405209600000000003]
    assert f"x.dat, line 4: 'timestamp' is '{value}'" in refused(timed(tmp_path, times))


@pytest.mark.parametrize("column", ["user_id", "item_id", "timestamp"])
def test_truth_values_are_neither_ids_nor_times(tmp_path, column):
    columns = {"user_id": ["u"] * 2, "item_id": ["a", "b"], "timestamp": [1, 2]}
    what = "times" if column == "timestamp" else "ids"
    message = refused(parquet(tmp_path, {**columns, column: [True, False]}))
    assert f"x.dat: column '{column}' holds true and false, not {what}" in message


@pytest.mark.parametrize("zero", ["0", "0.0"])
def test_zero_among_times_since_1970_is_a_missing_time(tmp_path, zero):
    times = [1405209600, zero, 1405209500]
    message = refused(timed(tmp_path, times))
    assert "x.dat, line 3: 'timestamp' is 0, which marks a missing time" in message
    assert order(load(timed(tmp_path, times, {"time_format": "s"}))) == [1, 2, 0]
    assert order(load(timed(tmp_path, [3, zero, 1]))) == [1, 2, 0]


def test_counters_are_no_units(tmp_path):
    assert order(load(timed(tmp_path, [5_000_000_000, 3, 0, 99_999_999]))) == [2, 1, 3, 0]


FORMATS = {
    "%m/%d/%Y %H:%M": ["07/13/2014 00:01", "12/31/1968 23:59", "07/13/2014 00:00"],
    "%a %b %d %H:%M:%S %z %Y": [
        "Sun Jul 13 00:30:00 +0100 2014",
        "Sun Jan 12 00:00:00 +0000 1969",
        "Sat Jul 12 23:29:59 +0000 2014",
    ],
    "%d.%m.%Y": ["02.01.2020", "03.12.1900", "01.02.2019"],
    "epoch": ["5", "-86400", "-1"],
}


@pytest.mark.parametrize("form", FORMATS)
def test_times_of_a_stated_format(tmp_path, form):
    path = timed(tmp_path, FORMATS[form], {"time_format": form})
    assert order(load(path)) == [1, 2, 0]


@pytest.mark.parametrize(
    ("form", "times"),
    [
        (None, ["1970-01-02", "1970-01-03", "1970-01-04"]),
        ("%m/%d/%Y", ["01/02/1970", "01/03/1970", "01/04/1970"]),
        ("%Y-%m-%d %H:%M:%S.%f", [f"1970-01-0{day} 00:00:00.000000000" for day in (2, 3, 4)]),
    ],
)
def test_dates_of_every_form_are_the_same_moments(tmp_path, form, times):
    """Seconds since 1970 by hand, and a bound that leaves out the first of three days."""
    dataset = load(timed(tmp_path, times, {"time_format": form}))
    assert (dataset.times / dataset.per_second).tolist() == [86400.0, 172800.0, 259200.0]
    rows = "".join(f"u,i{n},{time}\n" for n, time in enumerate(times))
    path = card(
        tmp_path,
        "user_id,item_id,timestamp\n" + rows,
        {"time_format": form},
        card={"filters": {"since": "1970-01-03"}},
    )
    assert order(load(path)) == [1, 2]


def test_a_year_alone_is_no_bound_of_times(tmp_path):
    path = card(
        tmp_path,
        "user_id,item_id,timestamp\nu,a,2018-05-01\nu,b,2019-05-01\n",
        card={"filters": {"since": 2019}},
    )
    assert (
        "'since: 2019' is a number of its times, which count 1,000,000,000 per second"
        in refused(path)
    )
    assert "write '2019-01-01'" in refused(path)


def test_dates_in_lists_are_refused(tmp_path):
    columns = {"user_id": ["u"], "item_id": ["a"], "timestamp": [["01/02/1970"]]}
    message = refused(parquet(tmp_path, columns, options={"time_format": "%m/%d/%Y"}))
    assert "column 'timestamp' holds list<" in message


def test_a_time_of_another_format_names_its_line(tmp_path):
    times = ["07/13/2014 00:01", "13/07/2014 00:00"]
    message = refused(timed(tmp_path, times, {"time_format": "%m/%d/%Y %H:%M"}))
    assert "x.dat, line 3: 'timestamp' is '13/07/2014 00:00', not a time as '%m" in message
    assert "time_format" in refused(timed(tmp_path, times))
    with pytest.raises(ConfigError, match="time_format"):
        load(timed(tmp_path, times, {"time_format": "seconds"}))


def test_ties_of_a_file_that_runs_backwards_are_reported(tmp_path):
    times = [9, 8, 8, 7, 5]
    backwards = notes(load(timed(tmp_path, times)))
    assert "warning: equal times keep the order of the file (ties: file), which runs" in backwards
    ok = "ok: equal times keep the order of the file (ties: file)\n"
    assert ok in notes(load(timed(tmp_path, times[::-1])))
    assert ok in notes(load(timed(tmp_path, [3, 2, 1])))


def test_the_tie_rule_of_a_card_is_stated(tmp_path):
    path = card(tmp_path, SIMPLE, card={"ties": "random", "seed": 3})
    assert "note: equal times are in random order (ties: random, seed: 3)" in notes(load(path))
    path = card(tmp_path, SIMPLE, card={"ties": "item"})
    assert "note: equal times are in the order of item ids (ties: item)" in notes(load(path))


@pytest.mark.parametrize(
    ("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
)
def test_a_stated_unit_admits_times_of_every_size(tmp_path, unit, per_second):
    # In 1956, in 1970 and in 2010: by their size the last two are times of different units.
    days = [-5000, 100, 14610]
    times = [day * 86_400 * per_second for day in days]
    dataset = load(timed(tmp_path, times[::-1], {"time_format": unit}))
    assert order(dataset) == [2, 1, 0]
    assert (dataset.per_second, dataset.times.tolist()) == (per_second, times)
    if unit == "ms":
        assert "or name it as the card's 'time_format' (s, ms, us or ns)" in refused(
            timed(tmp_path, times[1:])
        )


@pytest.mark.parametrize(
    ("time", "per_second"),
    [
        ("99999999", None), ("100000000", 1), ("1405209600", 1), ("1405209600000.5", 10**3),
        ("2014130100", 1), ("1405209600000000", 10**6), ("1405209600000000000", 10**9),
        ("2014-07-13", 10**9),
    ],
)  # fmt: skip
def test_the_unit_of_times_is_known_by_their_size(tmp_path, time, per_second):
    assert load(timed(tmp_path, [time])).per_second == per_second


@pytest.mark.parametrize("form", ["%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_dates_without_separators_are_no_numbers_since_1970(tmp_path, form):
    dates = [datetime(2014, 7, 13, 2), datetime(1999, 12, 31, 23), datetime(2014, 7, 13, 1)]
    times = [date.strftime(form) for date in dates]
    message = refused(timed(tmp_path, times))
    assert f"x.dat, line 2: 'timestamp' is {times[0]}, a date or a number since 1970" in message
    assert f"time_format' ('{form}' or 'epoch')" in message
    dataset = load(timed(tmp_path, times, {"time_format": form}))
    seconds = [date.replace(tzinfo=UTC).timestamp() for date in sorted(dates)]
    assert (dataset.times / dataset.per_second).tolist() == seconds
    assert order(load(timed(tmp_path, times, {"time_format": "epoch"}))) == [1, 2, 0]


# --- ratings ----------------------------------------------------------------------------------

RATED = "user_id,item_id,timestamp,rating\nu,a,2,4.5\nu,b,1,\nu,c,3, 3 \nv,b,3,NaN\n"


def same_ratings(dataset, expected):
    assert dataset.ratings.dtype == np.float32
    np.testing.assert_array_equal(dataset.ratings, np.float32(expected))


def test_ratings_of_a_table_need_the_card(tmp_path):
    assert load(card(tmp_path, RATED)).ratings is None
    nan = np.nan
    same_ratings(load(card(tmp_path, RATED, {"rating": "rating"})), [nan, 4.5, 3, nan])
    assert "x.dat has no column 'stars'" in refused(card(tmp_path, RATED, {"rating": "stars"}))


@pytest.mark.parametrize("value", ["four", "4,5", "inf", "4 stars", "1e300", "-1e39"])
def test_a_rating_that_is_none_names_its_line(tmp_path, value):
    message = refused(card(tmp_path, f'{RATED}v,c,4,"{value}"\n', {"rating": "rating"}))
    assert f"x.dat, line 6: 'rating' is '{value}', not a rating" in message


@pytest.mark.parametrize(
    "values",
    [
        pa.array([4, None, 3], pa.int8()),
        pa.array(["4", None, " 3"]),
        pa.array([4.0, float("nan"), 3.0], pa.float32()),
        pa.array(["4", "NULL", "3"]).dictionary_encode(),
    ],
)
def test_ratings_of_parquet(tmp_path, values):
    columns = {"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "timestamp": [1, 2, 3]}
    options = {"rating": "stars"}
    dataset = load(parquet(tmp_path, {**columns, "stars": values}, options=options))
    same_ratings(dataset, [4, np.nan, 3])
    path = parquet(tmp_path, {**columns, "stars": [[1], [2], [3]]}, options=options)
    assert "column 'stars' holds list<" in refused(path)


def test_the_largest_rating_is_that_of_32_bits(tmp_path):
    large = str(float(np.finfo(np.float32).max))
    dataset = load(card(tmp_path, f"{RATED}v,c,4,{large}\n", {"rating": "rating"}))
    assert dataset.ratings[-1] == np.finfo(np.float32).max


def test_ratings_of_objects_may_be_missing_but_not_all(tmp_path):
    lines = LINES.splitlines()[:3]
    stars = [line[:-1] + f', "stars": {value}}}' for line, value in zip(lines, [5, "null", '"2"'],
                                                                       strict=True)]  # fmt: skip
    same_ratings(load(card(tmp_path, "\n".join(stars), {"rating": "stars"})), [5, np.nan, 2])
    same_ratings(load(card(tmp_path, "\n".join([*stars[1:], lines[0]]), {"rating": "stars"})),
                 [np.nan, np.nan, 2])  # fmt: skip
    message = refused(card(tmp_path, "\n".join(lines), {"rating": "stars"}))
    assert "x.dat has no 'stars' in any line" in message
    assert "line 1: 'stars' is neither a text nor a number" in refused(
        card(tmp_path, stars[0].replace("5", "[5]"), {"rating": "stars"})
    )


def test_the_audit_counts_what_was_read_and_removed(tmp_path):
    filters = {"filters": {"min_user_interactions": 2}}
    found = notes(load(card(tmp_path, SIMPLE, card=filters)))
    assert "3 interactions of 2 users with 2 items read; 1 removed by the filters" in found


# --- bytes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_compressed_files_are_known_by_their_bytes(tmp_path, pack, name):
    packed = pack(SIMPLE.encode())
    assert histories(load(card(tmp_path, packed, name=name))) == {"u": ["b", "a"], "v": ["b"]}
    assert "fetch or copy it again" in refused(card(tmp_path, packed[:-9], name=name))
    assert histories(load(card(tmp_path, SIMPLE, name=name))) == {"u": ["b", "a"], "v": ["b"]}


def test_a_gzip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.data.archive._SMALL", 1000)
    assert "far more than a table would" in refused(card(tmp_path, gzip.compress(b"x" * 2_000_000)))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_and_can_be_stated(tmp_path, encoding):
    content = SIMPLE.encode(encoding)
    assert "UTF-16" in refused(card(tmp_path, content))
    dataset = load(card(tmp_path, content, {"encoding": encoding}))
    assert histories(dataset) == {"u": ["b", "a"], "v": ["b"]}


def test_a_byte_order_mark_is_no_part_of_the_first_id(tmp_path):
    (tmp_path / "u.data").write_bytes("\ufeffu\ta\t4\t2\nu\té\t4\t1\n".encode())
    path = write_card(tmp_path, format="movielens", files={"interactions": "u.data"})  # Latin-1
    assert histories(load(path)) == {"u": ["é", "a"]}


@pytest.mark.parametrize("encoding", ["no-such", "undefined"])
def test_an_encoding_that_is_none_is_refused(tmp_path, encoding):
    message = refused(card(tmp_path, SIMPLE, {"encoding": encoding}))
    assert f"unknown encoding '{encoding}'; correct the card" in message


def test_a_nul_character_names_its_line(tmp_path):
    assert "x.dat, line 3: a NUL" in refused(card(tmp_path, SIMPLE.replace("u,b", "u\0,b")))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system(tmp_path, end):
    lines = [f"u{n} a b c" for n in range(15)]
    (tmp_path / "seq.txt").write_bytes(end.join(lines).encode())
    path = write_card(tmp_path, format="sequences", files={"sequences": "seq.txt"})
    assert load(path).n_users == 15
    content = SIMPLE.replace("\n", end).encode()
    dataset = load(card(tmp_path / "csv", content))
    assert histories(dataset) == {"u": ["b", "a"], "v": ["b"]}


def test_a_carriage_return_inside_a_line_is_refused(tmp_path):
    (tmp_path / "seq.txt").write_bytes(b"u a b\nv a\rw b\n")
    path = write_card(tmp_path, format="sequences", files={"sequences": "seq.txt"})
    assert "seq.txt, line 2: a carriage return inside a line" in refused(path)


def test_only_spaces_and_tabs_separate_the_items_of_a_sequence(tmp_path):
    (tmp_path / "seq.txt").write_text("u  a\tb New\u00a0York \n", encoding="utf-8")
    path = write_card(tmp_path, format="sequences", files={"sequences": "seq.txt"})
    assert histories(load(path)) == {"u": ["a", "b", "New\u00a0York"]}


def test_ids_in_braces_are_no_json(tmp_path):
    options = {"columns": ["user_id", "item_id", "timestamp"]}
    assert histories(load(card(tmp_path, "{3F25-04E0},a,1\n", options))) == {"{3F25-04E0}": ["a"]}


def test_a_zip_archive_is_named(tmp_path):
    assert "is a zip archive" in refused(card(tmp_path, b"PK\x03\x04xxxxx"))


# --- files as they are published --------------------------------------------------------------


def test_pairs_without_header_and_time(tmp_path):
    options = {"separator": " ", "columns": ["user_id", "item_id"], "time": None}
    assert histories(load(card(tmp_path, "1 5\n1 4\n0 5\n", options))) == {
        "1": ["5", "4"],
        "0": ["5"],
    }
    message = refused(card(tmp_path, "user_id item_id\n1 5\n", options))
    assert "line 1: a header; remove 'columns'" in message


@pytest.mark.parametrize("first", ["1 1\n", "1 5\n"])
def test_a_file_without_header_asks_for_columns(tmp_path, first):
    assert "name its 'columns'" in refused(card(tmp_path, first + "1 4\n", {"separator": " "}))


def test_yoochoose(tmp_path):
    rows = (
        "1,2014-04-07T10:57:00.306Z,214536506,0\n1,2014-04-07T10:54:09.868Z,214536500,0\n"
        "2,2014-04-07T13:56:37.614Z,214662742,S\n"
    )
    options = {"columns": ["user_id", "timestamp", "item_id", "category"]}
    dataset = load(card(tmp_path, rows, options))
    assert histories(dataset) == {"1": ["214536500", "214536506"], "2": ["214662742"]}


def test_ids_with_quotes_and_escapes_find_their_titles(tmp_path):
    rows = [{"user_id": "u", "item_id": item, "timestamp": 1} for item in ("O'Brien", "a/b", "é")]
    titles = r"""{"item_id": "O'Brien", "title": "1"}
{"item_id": "a\/b", "title": "2"}
{"item_id": "\u00e9", "title": "3"}
{"note": "item_id", "item_id": "other", "title": "4"}
"""
    path = card(tmp_path, "\n".join(map(json.dumps, rows)), {}, titles)
    assert texts(load(path)) == {"O'Brien": "1", "a/b": "2", "é": "3"}


def test_an_array_of_objects_is_to_be_written_as_lines(tmp_path):
    rows = [{"user_id": "u", "item_id": "a", "timestamp": 1}] * 2
    for indent in (None, 1):
        message = refused(card(tmp_path, json.dumps(rows, indent=indent)))
        assert "x.dat, line 1: no JSON object or Python literal of one, as every" in message


def test_a_line_without_the_key_names_the_keys(tmp_path):
    message = refused(card(tmp_path, '{"user": "u", "item_id": "a", "timestamp": 1}\n'))
    assert "line 1: no 'user_id' in the object, whose keys are user, item_id, timestamp" in message


@pytest.mark.parametrize("value", ["true", "[1]", '{"a": 1}', "1e400", str(10**30)])
def test_a_value_of_the_wrong_kind_is_refused(tmp_path, value):
    row = f'{{"user_id": {value}, "item_id": "a", "timestamp": 1}}\n'
    assert "line 1" in refused(card(tmp_path, row))


def test_an_item_with_two_texts_is_refused_or_counted(tmp_path):
    items = "item_id,title\na,one\nb,\na,\nb,two\na,other\n"
    assert "items.dat, line 6: item 'a' is listed a second time" in refused(
        card(tmp_path, SIMPLE, {}, items)
    )
    dataset = load(card(tmp_path, SIMPLE, {"max_bad_lines": 1}, items))
    assert texts(dataset) == {"a": "one", "b": "two"}
    assert "lines that list an item again: 3, 1 of them with another text" in notes(dataset)


# --- RecBole ----------------------------------------------------------------------------------


def atomic(folder, text, **options):
    folder.mkdir(exist_ok=True)
    (folder / "x.inter").write_text(text)
    form = {"format": "recbole", "files": {"interactions": "x.inter"}, "options": options}
    return write_card(folder, **form)


def test_fields_of_one_name_are_refused(tmp_path):
    text = "user_id:token\titem_id:token\titem_id:float\ttimestamp:float\nu\ta\t1\t1\n"
    assert "line 1: two columns have the same name, 'item_id'" in refused(atomic(tmp_path, text))


def test_augmented_files_are_refused_with_the_reason(tmp_path):
    text = "session_id:token\titem_id_list:token_seq\titem_id:token\n1\ta b\tc\n"
    message = refused(atomic(tmp_path, text, user="session_id"))
    assert "holds 'item_id_list': sequences that RecBole has cut from histories" in message


def test_an_inter_file_without_times_is_taken_in_its_order(tmp_path):
    text = "user_id:token\titem_id:token\trating:float\nu\tb\t1\nv\ta\t2\nu\ta\t3\n"
    dataset = load(atomic(tmp_path, text))
    assert histories(dataset) == {"u": ["b", "a"], "v": ["a"]}
    assert "has no times; the order of its lines is taken as the order of time" in notes(dataset)
    assert "no column 'timestamp'" in refused(atomic(tmp_path, text, time="timestamp"))
    text = text.replace("rating", "when")
    assert "no column 'timestamp'" in refused(atomic(tmp_path, text))


def test_recbole_times_keep_their_order_as_floats(tmp_path):
    text = "user_id:token\titem_id:token\ttimestamp:float\nu\tb\t978300761.0\nu\ta\t978300760.5\n"
    assert histories(load(atomic(tmp_path, text))) == {"u": ["a", "b"]}


@pytest.mark.parametrize(
    "line",
    [
        '{"user_id": "u", "item_id": "a", "timestamp": 1, "user_id": "v"}',
        "{'user_id': 'u', 'item_id': 'a', 'timestamp': 1, 'user_id': 'v'}",
        '{"user_id": "u", "item_id": "a", "timestamp": 1, "user_id": nan}',
    ],
)
def test_an_object_with_a_key_twice_is_unreadable(tmp_path, line):
    """JSON and Python readers let the last of them win."""
    message = refused(card(tmp_path, f"{LINES}{line}\n"))
    assert "x.dat, line 10: the key 'user_id' is there twice" in message
    dataset = load(card(tmp_path, f"{LINES}{line}\n", {"max_bad_lines": 1}))
    assert (dataset.n_users, dataset.n_interactions) == (1, 9)
    inside = '{"user_id": "v", "item_id": "a", "timestamp": 1, "more": {"k": 1, "k": 2}}'
    assert load(card(tmp_path, f"{LINES}{inside}\n")).n_users == 2


LINES = "".join(f'{{"user_id": "u", "item_id": "i{n}", "timestamp": {n}}}\n' for n in range(9))
WHOLE = {
    "csv": SIMPLE.encode(),
    "objects": LINES.encode(),
    "gzip": gzip.compress(LINES.encode()),
    "bzip2": bz2.compress(LINES.encode()),
    "xz": lzma.compress(SIMPLE.encode()),
}


@given(
    st.sampled_from(sorted(WHOLE)), st.integers(0, 10**6), st.integers(0, 9), st.binary(max_size=4)
)
def test_damage_is_read_or_refused_but_never_a_traceback(
    tmp_path_factory, kind, place, removed, inserted
):
    content = WHOLE[kind]
    place %= len(content) + 1
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[:place] + inserted + content[place + removed :])
    found = None
    with contextlib.suppress(DataError):
        found = read({"interactions": path}, TableOptions())
    assert found is None or len(found.users) == len(found.items)


@pytest.mark.parametrize(
    ("ids", "listed"),
    [
        (["1.0", "2.0"], ['"1"', '"2"']),
        (["1", "2"], ['"1.0"', '"2.0"']),
        (["1", "2"], ["1", "2"]),
        (["1", "2"], ['1, "also": {"item_id": "9"}', "2"]),
    ],
)
def test_objects_are_found_however_their_ids_are_written(tmp_path, ids, listed):
    rows = "".join(f"u,{value},{n}\n" for n, value in enumerate(ids))
    items = "".join(f'{{"title": "t{n}", "item_id": {value}}}\n' for n, value in enumerate(listed))
    dataset = load(card(tmp_path, "user_id,item_id,timestamp\n" + rows, items=items))
    assert texts(dataset) == {"1": "t0", "2": "t1"}
