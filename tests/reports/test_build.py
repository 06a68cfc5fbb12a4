"""Which tables a report has: data sets, cases and tuning against worked examples; the choice."""

import numpy as np
import pandas as pd
import pytest
from command import printed, refused
from made_up_store import make_decisions, make_experiment, save
from studies import write_study

from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.errors import ConfigError, DataError
from bench.reports import available
from bench.reports.names import TABLES, USUAL, default_tables
from bench.reports.report import read_report, render
from bench.reports.request import Request
from bench.reports.tables.build import build_grids
from bench.reports.tables.cases import MethodDecisions, choose_users, short_title
from bench.reports.titles import RegisteredTitles
from bench.tuning.records import Trial

NASTY = "<script>alert('x')</script> $5 100% a_b & \"q\"\n|"
HISTORIES = [[1, 2, 3, 4, 5, 6], [2, 1, 3, 1], [1, 4, 1, 2, 3]]
TITLES = [NASTY, "two", "x" * 60, "four", "", "six"]
POSITIONS = [range(5), range(3), range(4)]


@pytest.fixture
def data(monkeypatch):
    """Six items and three users, as if they were ml-100k."""
    dataset = Dataset(
        "ml-100k",
        "f" * 64,
        Sequences.from_lists(HISTORIES),
        list("abc"),
        list("uvwxyz"),
        TITLES,
        50,
    )
    monkeypatch.setattr(available, "load_dataset", lambda name, settings: dataset)


def decided(*kept):
    """Decisions on the test-time histories of all users, one after another."""
    user, position = np.repeat([0, 1, 2], [5, 3, 4]), np.concatenate(POSITIONS)
    item = np.concatenate([history[:-1] for history in HISTORIES])
    return {"test": make_decisions(kept, user=user, position=position, item=item)}


@pytest.fixture
def root(tmp_path, data):
    save(tmp_path, make_experiment(), [4, 5, 6])
    save(tmp_path, make_experiment("hsd"), [1, 2, 3], decisions=decided(*[1] * 12))
    # One decision more on the first user, two on the second.
    decisions = decided(1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1)
    save(tmp_path, make_experiment("steam"), [7, 8, 9], decisions=decisions)
    return tmp_path


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_counts_of_the_data_sets(root):
    text = render(root, Request(tables=["data"]))
    # 15 interactions of 3 users and 6 items: 5 a user, 15 of 18 pairs.
    assert rows_of(text) == [["ml-100k", "3", "6", "15", "5.0", "16.67 %"]]


def test_two_budgets_on_one_data_set_are_one_row_of_counts(root):
    save(root, make_experiment(training={"epochs": 3}), [7, 8, 9])
    text = render(root, Request(tables=["data"]))
    assert [row[0] for row in rows_of(text)] == ["ml-100k"]


def test_users_on_whom_methods_disagree_come_first_with_what_was_dropped(root):
    rows = rows_of(render(root, Request(tables=["cases"]), {"hsd": "HSD", "none": "Base"}))
    assert [row[1] for row in rows] == ["b"] * 4 + ["a"] * 6 + ["c"] * 5
    # Training histories are [1 2 3 4], [2 1], [1 4 1]: item 1 four times, item 2 twice.
    assert rows[0][2:] == ["1", "two", "cold", "2", "", "kept", "dropped"]
    assert rows[1][5:] == ["4", "", "kept", "kept"]
    assert rows[3][2] == "test item"
    assert rows[3][6:] == ["rank 5", "rank 2", "rank 8"]
    assert rows[8][3] == "y", "an item without a name is shown by its id"
    assert rows[2][3] == "x" * 37 + "..."


@pytest.mark.parametrize("fmt", ["markdown", "latex", "html"])
def test_item_names_stand_for_themselves(root, fmt):
    text = render(root, Request(format=fmt, tables=["cases"]))
    wanted = {
        "markdown": "\\<script\\>alert('x')\\</script\\> \\$5 100% a...",
        "latex": r"\textless{}script\textgreater{}alert('x')\textless{}/script\textgreater{} \$5",
        "html": "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; $5",
    }[fmt]
    assert wanted in text
    assert "<script>alert" not in text


def judge(label, places, drop):
    index = pd.MultiIndex.from_tuples(places)
    return MethodDecisions(label, pd.Series(drop, index, dtype=bool), np.ones(3))


def test_the_choice_counts_pairs_that_disagree_on_the_latest_interactions():
    places = [(0, 0), (0, 20), (1, 0), (1, 1), (2, 0)]
    judges = [
        judge("p", places, [1, 0, 1, 0, 0]),
        judge("q", places, [0, 0, 0, 0, 1]),
        judge("r", [*places, (2, 1)], [0, 1, 0, 0, 1, 1]),
    ]
    # (0, 0) lies too far back; one method against two makes two pairs, on one interaction a user.
    assert choose_users(judges, np.array([21, 2, 2])) == [0, 1, 2]
    judges[1] = judge("q", places, [0, 0, 0, 1, 1])
    assert choose_users(judges, np.array([21, 2, 2])) == [1, 0, 2]


def test_one_method_alone_shows_users_of_both_kinds():
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    alone = judge("p", places, [1, 1, 0, 0, 0, 1])
    assert choose_users([alone], np.array([2, 2, 2])) == [2, 0, 1]
    assert alone.outcome(0, 1) == "dropped"
    assert alone.outcome(2, 5) == "—"


def test_short_names_stay():
    assert short_title("a\n b") == "a b"


def test_missing_data_are_one_sentence(tmp_path, monkeypatch):
    save(tmp_path, make_experiment("hsd"), [1, 2, 3], decisions=decided(*[1] * 12))

    def missing(name, settings):
        raise DataError(f"data set '{name}' is not here; fetch it")

    monkeypatch.setattr(available, "load_dataset", missing)
    with pytest.raises(ConfigError, match=r"no table of data, cases: Not shown: .* fetch it$"):
        render(tmp_path, Request(tables=["data", "cases"]))
    text = render(tmp_path, Request(tables=["data", "cases", "cost"]))
    assert text.count("fetch it") == 1
    assert "### Training cost" in text


def test_other_content_under_the_same_name_is_not_shown(tmp_path, data):
    save(tmp_path, make_experiment(fingerprint="e" * 64), [1, 2, 3])
    with pytest.raises(ConfigError, match=r"\(fingerprint ffffffff\) is not .* \(eeeeeeee\)"):
        render(tmp_path, Request(tables=["data"]))


def add_study(root, dataset):
    about = {"dataset": dataset, "backbone": "sasrec", "method": "hsd", "encoder": None, "key": "k"}
    about |= {"objective": "validation NDCG@10", "pruning": "median"}
    endings = [("complete", 0.25), ("complete", 0.5), ("pruned", None)]
    trials = [
        Trial(number, state, value, {}, seconds=500.0, default=number == 0)
        for number, (state, value) in enumerate(endings)
    ]
    write_study(root, dataset, about, trials)


def test_the_ledger_tells_what_tuning_spent(root):
    for dataset in ("toys", "beauty"):
        add_study(root, dataset)
    rows = rows_of(render(root, Request(tables=["ledger"]), {"toys": "Toys"}))
    assert [row[0] for row in rows] == ["beauty", "Toys"]
    assert rows[0][1:] == [
        *("sasrec", "hsd", "—", "3", "2", "1"),
        *("1,500.0", "0.2500", "0.5000", "1"),
    ]


def test_the_verb_shows_the_tables_asked_for(root):
    output = printed("report", "--table", "cost", "data", "--store", ".", cwd=root)
    heads = [line for line in output.splitlines() if line.startswith("###")]
    assert heads == ["### Data sets", "### Training cost"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--table", "case"], "did you mean 'cases'"),
        (["--table", "cost", "data", "--format", "csv"], "a CSV holds one table; name one of cost"),
        (["--part", "test"], "add --table noise-detection"),
        (["--table", "cost", "--figure", "accuracy", "--out", "x.png"], "no tables; drop --table"),
        (["--figure", "accuracy", "--out", "x.png", "--json"], "its own format"),
        (["--setting", "theta"], "--setting needs --figure setting-curve; add it"),
        (["--table", "ablation"], "no table of ablation: the store has none"),
    ],
)
def test_a_wrong_choice_is_explained(root, words, message):
    assert message in refused("report", *words, "--store", ".", cwd=root)


def test_a_page_has_room_for_everything():
    assert default_tables("html") == TABLES
    assert default_tables("latex") == default_tables("markdown") == USUAL
    assert set(USUAL) < set(TABLES)


def test_captions_have_at_most_forty_words(root):
    add_study(root, "toys")
    save(root, make_experiment("hsd:compat"), [1, 2, 3], decisions=decided(*[1] * 12))
    data = read_report(root)
    grids = build_grids(data, TABLES)
    assert len(grids) == len(TABLES) - 4, "there is no noise, and one protocol"
    assert [grid.title for grid in grids if len(grid.caption.split()) > 40] == []


def test_variants_have_their_own_titles():
    titles = RegisteredTitles()
    assert titles["iadsr:without-info"] == "IADSR w/o info"
    assert titles["iadsr:theta=-0.5"] == "IADSR (theta=-0.5)"
    assert titles.get("nonesuch:theta=1", "as it is") == "as it is"
    assert len(titles) == len(set(titles))


def test_ranks_of_tied_test_items_are_not_rounded():
    method = MethodDecisions("any", pd.Series(dtype=bool), {0: 2.5, 1: 3.5, 2: 1200.0})
    assert [method.place(user) for user in range(3)] == ["rank 2.5", "rank 3.5", "rank 1,200"]
