"""Ranks of models trained elsewhere: out and in again, against counts by brute force."""

import io
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import CARD, printed, refused
from made_up_store import make_experiment

import bench
from bench.data.load import load_dataset
from bench.data.split import Split
from bench.errors import ConfigError, DataError, StoreError
from bench.plan.grid import PlannedExperiment
from bench.plan.protocol import PHASES, Protocol
from bench.plan.result import Epoch, ExperimentResult, Metadata, Ranks
from bench.plan.spec import Spec
from bench.runs.ranks_file import COUNTS
from bench.runs.record import begin_record
from bench.runs.store import Store

FIGURES = ["HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a card and a store, of which tests copy nothing and add to."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "card.yaml").write_text(CARD)
    return folder


@pytest.fixture(scope="module")
def settings(home):
    return bench.Settings.from_environment(
        store=home / "runs", cache=home / "bench_cache_dir", data=home, track=False
    )


@pytest.fixture(scope="module")
def dataset(home, settings):
    return load_dataset(str(home / "card.yaml"), settings)


def counted(dataset, scores, phase):
    """Ranks of a matrix of scores, one comparison after another."""
    split = Split.of(dataset)
    history, targets, popularity = split.history(phase), split.targets(phase), split.item_counts()
    columns = {name: [] for name in Ranks.__annotations__ if name != "user"}
    for user, target in enumerate(targets.tolist()):
        seen = set(history[user].tolist()) - {target}
        row = {"target": target, "target_count": popularity[target]}
        row |= {"history_length": len(history[user])}
        for name, allowed in (("all", set()), ("unseen", seen)):
            items = [item for item in range(1, dataset.n_items + 1) if item not in allowed]
            own = scores[user, target - 1]
            row[f"better_{name}"] = sum(bool(scores[user, item - 1] > own) for item in items)
            row[f"ties_{name}"] = sum(bool(scores[user, item - 1] == own) for item in items) - 1
            row[f"candidates_{name}"] = len(items)
        for name, value in row.items():
            columns[name].append(value)
    return Ranks(**{name: np.array(values, dtype=np.int32) for name, values in columns.items()})


@pytest.fixture(scope="module")
def scores(dataset):
    """Whole numbers below 50, so that many are equal, with targets lifted a little."""
    drawn = np.random.default_rng(0).integers(0, 50, (dataset.n_users, dataset.n_items))
    split = Split.of(dataset)
    drawn[np.arange(len(drawn)), split.targets("test") - 1] += 20
    return drawn.astype(np.float32)


def save(settings, dataset, scores, method="none", seed=1):
    data = {"dataset": dataset.name, "fingerprint": dataset.fingerprint}
    protocol = Protocol(max_length=dataset.max_length)
    experiment = make_experiment(method, seed=seed, protocol=protocol, **data)
    ranks = {phase: counted(dataset, scores, phase) for phase in PHASES}
    metadata = Metadata(card=str(settings.data / "card.yaml"), sampling="positions")
    Store(settings.store).prepare()
    curve = [Epoch(epoch=0, loss=1.0, metric=0.1, seconds=1.0)]
    Store(settings.store).save(experiment, ExperimentResult(ranks, curve, metadata))
    return experiment


@pytest.fixture(scope="module")
def trained(settings, dataset, scores):
    """Two made-up experiments; a report and tests need another row."""
    save(settings, dataset, np.random.default_rng(1).random(scores.shape), method="random-drop")
    return save(settings, dataset, scores)


def imported(home, settings, file, name, **options):
    given = {"name": name, "settings": settings, **options}
    return bench.import_ranks(file, str(home / "card.yaml"), **given)


def refusal(home, file, *flags):
    """Import a file of ranks by the command, and return the reason why it is refused."""
    words = ["import", "ranks", file, "--dataset", "card.yaml", "--name", "Wrong"]
    return refused(*words, *flags, "--store", "wrong", cwd=home)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_ranks_written_out_and_imported_give_the_same_table(
    home, settings, trained, dataset, ending
):
    file = home / f"ranks.{ending}"
    bench.export_ranks("tiny/sasrec/none", file, settings=settings)
    results = imported(home, settings, file, f"Again {ending}", origin="an export")
    [stored] = results._stored
    assert stored.metadata.origin.text == "an export"
    for phase in PHASES:
        before = Store(settings.store).load(trained.key).ranks(phase).columns()
        for name, column in stored.ranks(phase).columns().items():
            assert column.dtype == before[name].dtype
            assert np.array_equal(column, before[name]), name
    whole = bench.load(settings=settings)
    for phase in PHASES:
        table = whole.filter(method=["none", f"imported:Again {ending}"]).table(phase=phase)
        assert table["method"].tolist() == ["none", f"imported:Again {ending}"]
        first, second = table[FIGURES].to_numpy()
        assert (first == second).all()
    frames = bench.compare(f"imported:Again {ending}", "tiny/sasrec/none", settings=settings)
    values = frames[0].set_index("Quantity")
    assert set(values.loc["Difference"]) == {"+0.0000"}
    assert values.loc["A"].tolist() == values.loc["B"].tolist()


def test_an_imported_row_is_in_the_report_with_its_origin_and_its_tests(
    home, settings, trained, scores
):
    bench.export_ranks("tiny/sasrec/none", home / "theirs.parquet", settings=settings)
    words = ["import", "ranks", "theirs.parquet", "--dataset", "card.yaml", "--name", "Theirs"]
    printed(*words, "--origin", "their code", "--store", "runs", cwd=home)
    report = ["report", "--run", "all", "--store", "runs"]
    shown = printed(*report, cwd=home)
    assert "Theirs (imported)" in shown
    assert "trained elsewhere: their code" in shown
    assert "best: SASRec" in shown  # what it is compared with
    sides = ["Theirs (imported)", "SASRec, Random drop"]
    assert "p, sign flips" in printed("diff", *sides, "--store", "runs", cwd=home)
    for format_ in ("html", "latex", "csv", "json"):
        assert "Theirs" in printed(*report, "--format", format_, cwd=home)
    printed("ls", "runs", "--store", "runs", cwd=home)
    printed("verify", "--store", "runs", cwd=home)


def test_the_default_report_shows_what_was_imported_for_its_data_set(
    home, settings, trained, dataset, scores, tmp_path
):
    shutil.copytree(home / "runs", tmp_path / "runs")
    shutil.copy(home / "card.yaml", tmp_path)
    plan = [PlannedExperiment(trained, "card.yaml")]
    begin_record(tmp_path / "runs", Spec(datasets=("planted",)), plan, ["bench", "run"])
    npz(tmp_path / "scores.npz", dataset, scores)
    imported(home, replace(settings, store=tmp_path / "runs"), tmp_path / "scores.npz", "Mine")
    shown = printed("report", "--store", "runs", cwd=tmp_path)
    assert "Mine (imported)" in shown
    assert "Random drop" not in shown  # it is in no run
    printed("diff", "Mine (imported)", "SASRec, Base", "--store", "runs", cwd=tmp_path)


def npz(path, dataset, scores, **changes):
    arrays = {"users": dataset.user_ids, "items": dataset.item_ids, "scores": scores, **changes}
    np.savez(path, **{name: np.asarray(values) for name, values in arrays.items()})


def wide(path, dataset, scores):
    frame = pd.DataFrame(scores, columns=list(dataset.item_ids))
    frame.insert(0, "user", list(dataset.user_ids))
    frame.to_parquet(path, index=False)


def test_dense_scores_in_any_order_have_the_ranks_of_brute_force(home, settings, dataset, scores):
    order = np.random.default_rng(2)
    users, items = order.permutation(dataset.n_users), order.permutation(dataset.n_items)
    turned = {
        "scores": scores[users][:, items],
        "users": [dataset.user_ids[row] for row in users],
        "items": [dataset.item_ids[row] for row in items],
    }
    npz(home / "scores.npz", dataset, **turned)
    wide(home / "scores.parquet", dataset, scores)
    expected = counted(dataset, scores, "test").columns()
    for file in ("scores.npz", "scores.parquet"):
        [stored] = imported(home, settings, home / file, file)._stored
        found = stored.ranks("test").columns()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        assert (stored.ranks("validation").better_all == -1).all()


def test_scores_that_mask_the_history_tell_ranks_among_unseen_items_alone(
    home, settings, dataset, scores
):
    masked = scores.copy()
    for user, seen in enumerate(Split.of(dataset).history("test")):
        masked[user, seen - 1] = -np.inf
    targets = Split.of(dataset).targets("test")
    rows = np.arange(len(masked))
    masked[rows, targets - 1] = scores[rows, targets - 1]
    npz(home / "masked.npz", dataset, masked)
    with pytest.raises(DataError, match="not finite; write numbers, or give --candidates unseen"):
        imported(home, settings, home / "masked.npz", "Masked")
    results = imported(home, settings, home / "masked.npz", "Masked", candidates="unseen")
    found = results._stored[0].ranks("test")
    expected = counted(dataset, scores, "test")
    assert np.array_equal(found.better_unseen, expected.better_unseen)
    assert np.array_equal(found.ties_unseen, expected.ties_unseen)
    assert results.metrics()[FIGURES].isna().all(axis=None)
    known = results.metrics(candidates="unseen")
    assert known[FIGURES].notna().all(axis=None)
    assert results.ranks()["rank_all"].isna().all()


def lists_of(dataset, scores, length):
    """The best items of every user, the lower number first among equals."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :length]
    return pd.DataFrame(
        [
            (dataset.user_ids[user], rank, dataset.item_ids[item])
            for user, row in enumerate(best)
            for rank, item in enumerate(row, 1)
        ],
        columns=["user", "rank", "item"],
    )


def test_lists_decide_metrics_up_to_their_end(home, settings, dataset, trained):
    scores = np.random.default_rng(3).random((dataset.n_users, dataset.n_items))
    lists_of(dataset, scores, 10).to_csv(home / "top10.csv", index=False)
    results = imported(home, settings, home / "top10.csv", "Lists")
    whole = counted(dataset, scores, "test")  # without ties
    rank = 1 + whole.better_all
    given = results.metrics(metrics=["HR@5", "HR@10", "NDCG@10"])
    assert given["HR@5"][0] == (rank <= 5).mean()
    assert given["HR@10"][0] == (rank <= 10).mean()
    assert given["NDCG@10"][0] == pytest.approx(
        np.mean([1 / np.log2(r + 1) if r <= 10 else 0 for r in rank]), abs=1e-15
    )
    for metric in ("MRR", "HR@11", "MRR@20"):
        assert results.metrics(metrics=[metric])[metric].isna().all()
    sides = ["diff", "Lists (imported)", "SASRec, Base", "--store", "runs"]
    told = refused(*sides, cwd=home)
    assert "lists of 10 items, which do not decide HR@20, NDCG@20" in told
    printed(*sides, "--metric", "HR@10", cwd=home)
    report = ["report", "--run", "all", "--store", "runs"]
    assert "Not shown: tiny/imported:Lists/seed 1" in printed(*report, cwd=home)
    shown = printed(*report, "--metric", "HR@10", cwd=home)
    assert "Lists (imported)" in shown
    assert "of lists, ties are not known" in shown
    with pytest.raises(ConfigError, match="import that file instead"):
        bench.export_ranks(results, home / "lists.csv", settings=settings)


def test_lists_of_unseen_items_are_ranks_among_them(home, settings, dataset):
    scores = np.random.default_rng(4).random((dataset.n_users, dataset.n_items))
    split = Split.of(dataset)
    masked, targets = scores.copy(), split.targets("test")
    for user, seen in enumerate(split.history("test")):
        masked[user, seen[seen != targets[user]] - 1] = -1
    lists_of(dataset, masked, 20).to_parquet(home / "unseen.parquet")
    results = imported(home, settings, home / "unseen.parquet", "U", candidates="unseen")
    rank = 1 + counted(dataset, scores, "test").better_unseen
    assert results.metrics(candidates="unseen")["HR@20"][0] == (rank <= 20).mean()
    ranks = results._stored[0].ranks("test")  # a target that no list has may be the last
    last = ranks.better_unseen + ranks.ties_unseen + 1
    assert np.array_equal(last[rank > 20], ranks.candidates_unseen[rank > 20])
    lists_of(dataset, scores, 20).to_parquet(home / "seen.parquet")
    with pytest.raises(DataError, match="the item is in the user's history"):
        imported(home, settings, home / "seen.parquet", "S", candidates="unseen")


def test_seeds_of_one_model_are_one_row(home, settings, dataset, trained):
    for seed in (1, 2):
        drawn = np.random.default_rng(seed).random((dataset.n_users, dataset.n_items))
        npz(home / f"seed{seed}.npz", dataset, drawn)
        imported(home, settings, home / f"seed{seed}.npz", "Seeds", seed=seed)
    table = bench.load(settings=settings).filter(method=["none", "imported:Seeds"]).table()
    assert table.set_index("method").loc["imported:Seeds", "seeds"] == "1 2"
    with pytest.raises(StoreError, match="holds the ranks of another file; choose another --name"):
        imported(home, settings, home / "seed2.npz", "Seeds", seed=1)
    imported(home, settings, home / "seed2.npz", "Seeds", seed=2, origin="said later")


def frame_of(dataset, **changes):
    targets = Split.of(dataset).targets("test")
    columns = {
        "user": list(dataset.user_ids),
        "target": [dataset.item_ids[item - 1] for item in targets],
        "rank": [1 + user % 60 for user in range(dataset.n_users)],
    }
    return pd.DataFrame({**columns, **changes}).astype(str)


def counts_of(dataset, *values):
    """Rows of :data:`COUNTS` that are the same for every user."""
    columns = dict(zip(COUNTS, values, strict=True))
    return frame_of(dataset, **columns).drop(columns="rank")


def set_at(frame, row, **values):
    for name, value in values.items():
        frame.loc[row, name] = value
    return frame


WRONG_RANKS = {
    "holds a user the data lack": (
        lambda d: set_at(frame_of(d), 3, user="nobody"),
        "line 5: the data set has no user 'nobody'",
    ),
    "holds an item the data lack": (
        lambda d: set_at(frame_of(d), 3, target="nothing"),
        "line 5: the data set has no item 'nothing'",
    ),
    "lacks users": (lambda d: frame_of(d).iloc[2:], "lacks 2 of 30 users of 'tiny' (first: "),
    "names a user twice": (
        lambda d: pd.concat([frame_of(d), frame_of(d).iloc[[4]]]),
        "line 32: the same user and phase as ",
    ),
    "has another split": (
        lambda d: set_at(frame_of(d), 0, target=d.item_ids[d.sequences[0][-2] - 1]),
        "1 users differ, so the model was tested on another split",
    ),
    "has a rank of 0": (
        lambda d: set_at(frame_of(d), 7, rank="0"),
        "line 9: 'rank' is '0', not a whole number from 1 up",
    ),
    "has half a rank": (
        lambda d: set_at(frame_of(d), 7, rank="2.5"),
        "line 9: 'rank' is '2.5', not a whole number from 1 up",
    ),
    "has a word for a rank": (
        lambda d: set_at(frame_of(d), 7, rank="first"),
        "line 9: 'rank' is 'first', not a finite number",
    ),
    "has a rank beyond the items": (
        lambda d: set_at(frame_of(d), 7, rank="61"),
        "line 9: more items are ranked above the target than compete with it",
    ),
    "has no ranks": (lambda d: frame_of(d).drop(columns="rank"), "has no column 'rank'"),
    "has better without ties": (
        lambda d: frame_of(d).rename(columns={"rank": "better_all"}),
        "has no column 'ties_all'",
    ),
    "has a rank and counts": (
        lambda d: frame_of(d, better_unseen=0, ties_unseen=0),
        "has the columns 'rank' and 'better_unseen', of which only one can count",
    ),
    "has a target and an item": (
        lambda d: frame_of(d, item=d.item_ids[0]),
        "has the columns 'item' and 'target', of which only one can count",
    ),
    "has more unseen items above than items": (
        lambda d: set_at(counts_of(d, 5, 0, 5, 0), 7, better_unseen="6"),
        "line 9: 'better_unseen' is more than 'better_all'",
    ),
    "has more items of the history above than it has": (
        lambda d: counts_of(d, 50, 0, 0, 0),
        "line 2: more items of the history are ranked above the target than it has",
    ),
    "has more unseen items in a tie than items": (
        lambda d: set_at(counts_of(d, 5, 2, 5, 2), 7, ties_unseen="3"),
        "line 9: 'ties_unseen' is more than 'ties_all'",
    ),
    "has another phase": (
        lambda d: frame_of(d, phase="tests"),
        "line 2: 'phase' is 'tests', neither validation nor test",
    ),
    "has validation alone": (
        lambda d: frame_of(
            d,
            phase="validation",
            target=[d.item_ids[i - 1] for i in Split.of(d).targets("validation")],
        ),
        "has no row of the test phase",
    ),
    "is about something else": (
        lambda d: pd.DataFrame({"user": ["a"], "colour": ["red"]}),
        "which are neither ranks (user, target, rank) nor lists",
    ),
    "has lists of two lengths": (
        lambda d: lists_of(d, np.ones((d.n_users, d.n_items)), 3).iloc[:-1],
        "lists have 2 to 3 items with ranks up to 3",
    ),
    "lists an item twice": (
        lambda d: set_at(lists_of(d, np.ones((d.n_users, d.n_items)), 3), 1, item=d.item_ids[0]),
        "line 3: the same user, phase and item as",
    ),
    "has one rank twice": (
        lambda d: set_at(lists_of(d, np.ones((d.n_users, d.n_items)), 3), 1, rank=1),
        "line 3: the same user, phase and rank as",
    ),
}


@pytest.mark.parametrize("what", WRONG_RANKS)
def test_a_wrong_table_is_one_sentence(home, dataset, what):
    make, message = WRONG_RANKS[what]
    make(dataset).to_csv(home / "wrong.csv", index=False)
    told = refusal(home, "wrong.csv")
    assert message in told, told
    assert not (home / "wrong").exists()


def test_candidates_beside_counts_have_no_meaning(home, dataset):
    counts_of(dataset, 5, 2, 4, 1).to_csv(home / "counts.csv", index=False)
    told = refusal(home, "counts.csv", "--candidates", "unseen")
    assert "holds counts, whose columns name the candidates; leave --candidates away" in told
    words = ["import", "ranks", "counts.csv", "--dataset", "card.yaml", "--name", "Counts"]
    printed(*words, "--store", "runs", cwd=home)


def test_what_ranks_cannot_be_written_in_is_not_blamed_on_a_card(home, dataset):
    frame = frame_of(dataset)
    (home / "ranks.jsonl").write_text(frame.to_json(orient="records", lines=True))
    (home / "utf16.csv").write_bytes(frame.to_csv(index=False).encode("utf-16"))
    (home / "quote.csv").write_text(frame.to_csv(index=False) + '"u')
    (home / "short.csv").write_text(frame.to_csv(index=False) + "u\n")
    (home / "twin.csv").write_text(frame.to_csv(index=False).replace("rank", "user"))
    twins = pa.table(frame).rename_columns(["user", "target", "target"])
    pq.write_table(twins, home / "twin.parquet")
    told = {
        "ranks.jsonl": "ranks.jsonl holds JSON lines; write them as CSV or Parquet",
        "utf16.csv": "utf16.csv, line 1: not UTF-8, but UTF-16; save the file as UTF-8",
        "quote.csv": "quote.csv, line 32: unexpected end of data; correct the quotes",
        "short.csv": "1 values where 3 are expected (user, target, rank); correct the line",
        "twin.csv": "twin.csv, line 1: two columns have the same name, 'user'; rename one",
        "twin.parquet": "twin.parquet: two columns have the same name, 'target'; rename one",
    }
    for name, message in told.items():
        assert refusal(home, name).endswith(message)


def test_whole_scores_in_columns_keep_their_digits_or_are_refused(home, settings, dataset, scores):
    large = 2**53 - 1 - scores.astype(np.int64)
    wide(home / "large.parquet", dataset, large)
    [stored] = imported(home, settings, home / "large.parquet", "Large")._stored
    better = counted(dataset, large, "test").better_all
    assert np.array_equal(stored.ranks("test").better_all, better)
    assert len({*better.tolist()}) > 10
    wide(home / "lossy.parquet", dataset, 2**60 + scores.astype(np.int64))
    digits = 2**60 + int(scores[0, 0])
    assert int(float(digits)) != digits
    with pytest.raises(DataError, match=f"row 1: '{dataset.item_ids[0]}' is '{digits}', not a num"):
        imported(home, settings, home / "lossy.parquet", "Lossy")
    floats = (2.0**60 * (1 + scores / 64)).astype(np.float64)
    wide(home / "floats.parquet", dataset, floats)
    [stored] = imported(home, settings, home / "floats.parquet", "Floats")._stored
    assert np.array_equal(
        stored.ranks("test").better_all, counted(dataset, scores, "test").better_all
    )


def changed(scores, value):
    scores = scores.copy()
    scores[2, 5] = value
    return scores


WRONG_SCORES = {
    "NaN": (lambda d, s: {"scores": changed(s, np.nan)}, "for user '{user}' is not finite"),
    "a user too few": (
        lambda d, s: {"scores": s[1:], "users": d.user_ids[1:]},
        "lacks 1 of 30 users of the data set (first: '{first}')",
    ),
    "an item too many": (
        lambda d, s: {"scores": np.c_[s, s[:, :1]], "items": [*d.item_ids, "zzz"]},
        "the data set has no item 'zzz'",
    ),
    "a user twice": (
        lambda d, s: {"users": [*d.user_ids[:-1], d.user_ids[0]]},
        "has the user '{first}' twice",
    ),
    "another shape": (lambda d, s: {"scores": s.T}, "where (30, "),
    "ids as objects": (
        lambda d, s: {"users": np.array(d.user_ids, dtype=object)},
        "Object arrays cannot be loaded when allow_pickle=False",
    ),
    "ids as fractions": (
        lambda d, s: {"users": np.arange(len(s)) + 0.5},
        "'users' is not a list of text or whole numbers",
    ),
    "words for scores": (lambda d, s: {"scores": s.astype(str)}, "numbers are expected"),
}


@pytest.mark.parametrize("what", WRONG_SCORES)
def test_wrong_scores_are_one_sentence(home, settings, dataset, scores, what):
    make, message = WRONG_SCORES[what]
    npz(home / "wrong.npz", dataset, **{"scores": scores, **make(dataset, scores)})
    told = refusal(home, "wrong.npz")
    expected = message.format(user=dataset.user_ids[2], first=dataset.user_ids[0])
    assert expected in told, told


def test_a_damaged_file_of_each_kind_is_one_sentence(home, settings, dataset, scores):
    npz(home / "cut.npz", dataset, scores)
    wide(home / "cut.parquet", dataset, scores)
    frame_of(dataset).to_csv(home / "cut.csv", index=False)
    (home / "pickle.npz").write_bytes(b"\x80\x04\x95pickle")
    (home / "empty.csv").write_text("")
    cuts = {
        "cut.npz": "is not an npz file with the arrays users, items and scores",
        "pickle.npz": "is not an npz file with the arrays users, items and scores",
        "cut.parquet": "is an incomplete Parquet file",
        "cut.csv": "values where 3 are expected",
        "empty.csv": "is empty",
        "none.csv": "No such file or directory",
    }
    for name, message in cuts.items():
        if name.startswith("cut"):
            content = (home / name).read_bytes()
            (home / name).write_bytes(content[: len(content) // 2].rstrip(b"\n0123456789,"))
        assert message in refusal(home, name)
    assert not (home / "wrong").exists()


def written(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


HEADS = {
    "endless": "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000)}",
    "beyond 64 bits": f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**70},)}}",
    "of truth values": "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
    "cut": "{'descr",
}


@pytest.mark.parametrize("head", HEADS)
def test_a_wrong_head_of_an_array_is_one_sentence(home, dataset, head):
    """Thousands of random changes found these; sizes are not believed before they are read."""
    text = HEADS[head].ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    with zipfile.ZipFile(home / "head.npz", "w") as file:
        file.writestr("users.npy", written(dataset.user_ids))
        file.writestr("items.npy", written(dataset.item_ids))
        file.writestr("scores.npy", array)
    told = refusal(home, "head.npz")
    assert "is not an npz file with the arrays users, items and scores (" in told


def test_what_is_no_npz_file_is_one_sentence(home, scores):
    (home / "array.npz").write_bytes(written(scores))
    with zipfile.ZipFile(home / "names.npz", "w") as file:
        for name in ("users", "items", "scores"):
            file.writestr(name, "x")
    for name, reason in {"array.npz": "not a zip file", "names.npz": "named 'users.npy'"}.items():
        told = refusal(home, name)
        assert "is not an npz file with the arrays users, items and scores (" in told
        assert reason in told


def test_a_flipped_bit_in_an_npz_file_is_noticed(home, dataset, scores):
    npz(home / "bit.npz", dataset, scores)
    content = bytearray((home / "bit.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (home / "bit.npz").write_bytes(content)
    assert "CRC" in refusal(home, "bit.npz")


def test_an_export_of_other_data_is_refused_by_its_fingerprint(home, settings, dataset, trained):
    bench.export_ranks("tiny/sasrec/none", home / "own.parquet", settings=settings)
    table = pq.read_table(home / "own.parquet")
    other = table.replace_schema_metadata({b"bench.fingerprint": b"0" * 64})
    pq.write_table(other, home / "other.parquet")
    with pytest.raises(DataError, match="is about data of fingerprint 00000000, and 'tiny' here"):
        imported(home, settings, home / "other.parquet", "Other")
    assert isinstance(table, pa.Table)
    assert set(COUNTS) <= set(table.column_names)


@pytest.mark.parametrize("name", ["", "a/b", "a,b", "-a", "a*", "a ", " a", "x" * 61])
def test_names_that_labels_could_not_hold_are_refused(home, settings, name):
    with pytest.raises(ConfigError, match="must be at most 60 letters"):
        imported(home, settings, home / "none.csv", name)


def test_the_protocol_may_be_that_of_another_experiment(home, settings, dataset, scores):
    experiment = save(settings, dataset, scores, method="popularity-drop")
    npz(home / "like.npz", dataset, scores)
    results = imported(home, settings, home / "like.npz", "Like", like=experiment.key)
    assert results._stored[0].experiment.protocol == experiment.protocol
    assert results._stored[0].content["method"] == "imported:Like"
