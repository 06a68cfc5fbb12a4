"""Cleaned data: what stays, and that it is read again as it was meant."""

import csv
import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
import yaml
from command import printed, refused
from made_up_store import make_decisions, make_experiment

import bench
from bench.data.load import load_dataset
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.errors import ConfigError, DataError, StoreError
from bench.plan.protocol import Protocol
from bench.plan.result import ExperimentResult, Metadata
from bench.runs.cleaned import choose
from bench.runs.ranks_file import complete_ranks
from bench.runs.store import Store

LENGTH = 4
"""Interactions that the made-up experiments decide about: shorter than many histories."""


def write_shop(folder, user="u {}", item='i"{},', title='thing {}, "new"'):
    """Files whose ids and titles have commas, quotes and spaces; the first users are short."""
    generator = np.random.default_rng(0)
    rows = [["user_id", "item_id", "timestamp"]]
    for number in range(12):
        length = 3 if number < 2 else int(generator.integers(5, 12))
        drawn = generator.permutation(20)[:length]
        rows += [[user.format(number), item.format(n), time] for time, n in enumerate(drawn)]
    titles = [["item_id", "title"], *([item.format(n), title.format(n)] for n in range(20))]
    for name, content in (("clicks.csv", rows), ("items.csv", titles)):
        with (folder / name).open("w", newline="") as stream:
            csv.writer(stream).writerows(content)
    card = {
        "name": "shop",
        "title": "Shop",
        "forms": [
            {"format": "table", "files": {"interactions": "clicks.csv", "items": "items.csv"}}
        ],
        "max_length": 6,
        "citation": "A shop.",
    }
    (folder / "card.yaml").write_text(yaml.safe_dump(card))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


def settings_of(folder):
    return bench.Settings.from_environment(
        store=folder / "runs", cache=folder / "bench_cache_dir", data=folder, track=False
    )


@pytest.fixture(scope="module")
def settings(home):
    return settings_of(home)


@pytest.fixture(scope="module")
def dataset(home, settings):
    return load_dataset(str(home / "card.yaml"), settings)


def decisions_about(dataset, keep_all=False, drop_all=False):
    """Random scores of the last interactions of each user; the highest third is dropped."""
    train = Split.of(dataset).train
    place = np.concatenate([np.arange(max(0, n - LENGTH), n) for n in train.lengths])
    user = np.repeat(np.arange(len(train)), np.minimum(train.lengths, LENGTH))
    score = np.random.default_rng(1).random(len(user)).astype(np.float32)
    keep = score <= np.quantile(score, 2 / 3)
    keep = np.full(len(user), not drop_all) if keep_all or drop_all else keep
    item = train.items[train.offsets[user] + place]
    return make_decisions(keep, score, user=user, position=place, item=item)


def save(settings, dataset, method="hsd", decisions=None, seed=1):
    data = {"dataset": dataset.name, "fingerprint": dataset.fingerprint}
    experiment = make_experiment(method, seed=seed, protocol=Protocol(max_length=LENGTH), **data)
    split = Split.of(dataset)
    ranks = {phase: complete_ranks(split, phase, None) for phase in ("validation", "test")}
    found = {} if decisions is None else {"train": decisions}
    variant = dataset.name.removeprefix("shop")
    metadata = Metadata(card=f"{settings.data / 'card.yaml'}{variant}", versions={"bench": "1"})
    Store(settings.store).prepare()
    Store(settings.store).save(experiment, ExperimentResult(ranks, [], metadata, found))
    return experiment


@pytest.fixture(scope="module")
def experiment(settings, dataset):
    return save(settings, dataset, decisions=decisions_about(dataset))


def expected(dataset, decisions, part, threshold=None):
    """Ids of each user's remaining history, by the words of the page, one user after another."""
    least = {"train": 3, "all": 1}[part]
    limit = None
    if threshold is not None:  # at least this share of the scores is at or below the limit
        ordered = sorted(decisions.score.tolist())
        limit = next(s for n, s in enumerate(ordered, 1) if n >= threshold * len(ordered))
    found = {}
    for user, history in enumerate(dataset.sequences):
        train = list(range(len(history) - 2))
        own = {
            int(p): (bool(k), float(s))
            for u, p, k, s in zip(
                decisions.user, decisions.position, decisions.keep, decisions.score, strict=True
            )
            if u == user
        }
        fine = {p: keep if limit is None else score <= limit for p, (keep, score) in own.items()}
        kept = [p for p in train if fine.get(p, True)]
        dropped = sorted((p for p in train if p not in kept), key=lambda p: (own[p][1], -p))
        while len(kept) < min(least, len(train)):
            kept.append(dropped.pop(0))
        held_out = [len(history) - 2, len(history) - 1] if part == "all" else []
        places = sorted(kept) + held_out
        found[dataset.user_ids[user]] = [dataset.item_ids[history[p] - 1] for p in places]
    return found


def histories_of(dataset):
    return {
        user: [dataset.item_ids[item - 1] for item in row]
        for user, row in zip(dataset.user_ids, dataset.sequences, strict=True)
    }


@pytest.mark.parametrize("threshold", [None, 0.5])
@pytest.mark.parametrize("part", ["train", "all"])
@pytest.mark.parametrize("fmt", ["csv", "parquet", "recbole"])
def test_what_is_written_is_read_again(
    tmp_path, settings, dataset, experiment, fmt, part, threshold
):
    cleaned = bench.denoise(
        experiment.key,
        tmp_path / "out",
        format=fmt,
        part=part,
        threshold=threshold,
        settings=settings,
    )
    again = load_dataset(str(cleaned.card), settings)
    meant = expected(dataset, decisions_about(dataset), part, threshold)
    whole = {user: items for user, items in meant.items() if len(items) >= 3}
    assert histories_of(again) == whole
    assert list(cleaned.short) == [user for user in meant if user not in whole]
    assert bool(cleaned.short) == (part == "train")  # two users have three interactions in all
    assert again.fingerprint == cleaned.dataset.fingerprint
    texts = dict(zip(dataset.item_ids, dataset.item_texts, strict=True))
    assert list(again.item_texts) == [texts[item] for item in again.item_ids]
    assert again.max_length == dataset.max_length
    Split.of(again)  # three interactions or more
    told = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert told["experiment"]["key"] == experiment.key
    assert told["source"]["fingerprint"] == dataset.fingerprint
    assert told["cleaned"]["interactions"] == sum(map(len, whole.values()))
    counts = told["training_interactions"]
    train = {user: items[:-2] if part == "all" else items for user, items in meant.items()}
    assert counts["kept"] == sum(map(len, train.values()))
    assert counts["kept"] + counts["dropped"] == counts["all"]
    lengths = dataset.sequences.lengths - 2
    assert counts["undecided"] == np.maximum(lengths - LENGTH, 0).sum()
    card = yaml.safe_load(cleaned.card.read_text())
    assert card["citation"] == "A shop."
    assert card["expected"]["interactions"] == again.n_interactions


def test_targets_stay_where_all_is_written(tmp_path, settings, dataset, experiment):
    cleaned = bench.denoise(experiment.key, tmp_path / "out", part="all", settings=settings)
    before, after = Split.of(dataset), Split.of(cleaned.dataset)
    for phase in ("validation", "test"):
        assert [cleaned.dataset.item_ids[i - 1] for i in after.targets(phase)] == [
            dataset.item_ids[i - 1] for i in before.targets(phase)
        ]
    assert list(cleaned.dataset.user_ids) == list(dataset.user_ids)


def test_inserted_interactions_are_dropped_from_training_histories(tmp_path, settings):
    """Where models train on other histories than they are tested on, those are cleaned."""
    noisy = load_dataset(f"{settings.data / 'card.yaml'}+random:0.5:histories=train", settings)
    split = Split.of(noisy)
    user = np.repeat(np.arange(len(split.train)), split.train.lengths)
    place = np.arange(len(user)) - split.train.offsets[user]
    noise = noisy.noise_in("train")
    given = make_decisions(~noise, noise, user=user, position=place, item=split.train.items)
    own = save(settings, noisy, decisions=given)
    cleaned = bench.denoise(own.key, tmp_path / "out", part="all", settings=settings)
    assert cleaned.kept.dropped == noise.sum() > 0
    assert histories_of(cleaned.dataset) == histories_of(noisy)


def test_what_is_dropped_is_listed_with_its_score(tmp_path, settings, dataset, experiment):
    cleaned = bench.denoise(experiment.key, tmp_path / "out", part="all", settings=settings)
    with (tmp_path / "out" / "dropped.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == cleaned.kept.dropped
    given = decisions_about(dataset)
    scores = {
        (dataset.user_ids[u], int(p)): (dataset.item_ids[i - 1], s)
        for u, p, i, s in zip(given.user, given.position, given.item, given.score, strict=True)
    }
    for row in rows:
        item, score = scores[row["user"], int(row["position"])]
        assert (row["item"], row["keep"]) == (item, "false")
        assert np.float32(row["score"]) == score


@pytest.mark.parametrize("fmt", ["csv", "parquet", "recbole", "sequences"])
def test_ids_that_a_card_has_to_keep_are_kept(tmp_path, fmt):
    write_shop(tmp_path, user="-{:02d}", item="{}.0e+08")
    path = tmp_path / "card.yaml"
    path.write_text(path.read_text().replace("format: table", "format: table\n  missing_ids: keep"))
    own = settings_of(tmp_path)
    data = load_dataset(str(path), own)
    save(own, data, decisions=decisions_about(data))
    cleaned = bench.denoise("shop/sasrec/hsd", tmp_path / "o", format=fmt, settings=own)
    meant = expected(data, decisions_about(data), "train")
    assert histories_of(load_dataset(str(cleaned.card), own)) == {
        user: items for user, items in meant.items() if len(items) >= 3
    }


def test_ids_that_no_format_holds_are_to_be_renamed(tmp_path):
    """Where only a test target is no number, ids of the training histories turn into others."""
    write_shop(tmp_path, item="{}.0", title="thing {}")
    clicks = tmp_path / "clicks.csv"
    user, _, time = clicks.read_text().splitlines()[-1].split(",")
    clicks.write_text(f"{clicks.read_text()}{user},last,{int(time) + 1}\n")
    (tmp_path / "items.csv").write_text((tmp_path / "items.csv").read_text() + "last,thing\n")
    own = settings_of(tmp_path)
    data = load_dataset(str(tmp_path / "card.yaml"), own)
    save(own, data, decisions=decisions_about(data))
    message = r"'parquet' cannot hold .* \(other histories are read .*\); rename them in the files"
    with pytest.raises(DataError, match=message):
        bench.denoise("shop/sasrec/hsd", tmp_path / "o", format="parquet", settings=own)


def test_sequences_hold_ids_without_spaces(tmp_path, settings, experiment):
    message = (
        r"'sequences' cannot hold the ids of these data \(user_sequence.txt, line 2: user 'u' is "
        r"already on line 1; merge the two lines\); choose another --format, such as parquet"
    )
    with pytest.raises(DataError, match=message):
        bench.denoise(experiment.key, tmp_path / "out", format="sequences", settings=settings)
    assert not list(tmp_path.iterdir())
    write_shop(tmp_path, user="u{}", item="i{}")
    own = settings_of(tmp_path)
    data = load_dataset(str(tmp_path / "card.yaml"), own)
    save(own, data, decisions=decisions_about(data))
    cleaned = bench.denoise("shop/sasrec/hsd", tmp_path / "o", format="sequences", settings=own)
    meant = expected(data, decisions_about(data), "train")
    assert histories_of(cleaned.dataset) == {u: i for u, i in meant.items() if len(i) >= 3}


def test_a_user_who_would_lose_all_keeps_the_least_noisy():
    train = Sequences.from_lists([[1, 2, 3, 4], [5], [6, 7]])
    user, position = np.array([0, 0, 0, 1, 2, 2]), np.array([1, 2, 3, 0, 0, 1])
    score = np.array([0.5, 0.2, 0.2, 0.9, 0.7, 0.7], dtype=np.float32)
    item = train.items[train.offsets[user] + position]
    given = make_decisions([False] * 6, score, user=user, position=position, item=item)
    kept = choose(train, given, least=1)
    # The first interaction was not decided about; of equal scores the last one stays.
    assert kept.keep.tolist() == [True, False, False, False, True, False, True]
    assert (kept.dropped, kept.restored, kept.undecided) == (4, 2, 1)
    kept = choose(train, given, least=3)
    assert kept.keep.tolist() == [True, False, True, True, True, True, True]
    # A quantile of 0.5 keeps half of the six scores: 0.2, 0.2 and 0.5.
    kept = choose(train, given, 0.5)
    assert kept.keep.tolist() == [True] * 4 + [True, False, True]
    other = replace(given, item=item + 1)
    with pytest.raises(StoreError, match="are not about the training interactions"):
        choose(train, other)


def test_what_cannot_be_written_is_one_sentence(tmp_path, home, settings, dataset, experiment):
    save(settings, dataset, method="none")
    save(settings, dataset, method="dcrec", decisions=decisions_about(dataset, keep_all=True))
    words = ("--store", "runs", "--out", str(tmp_path / "out"))
    cases = {
        ("shop/sasrec/none",): "decides about no interaction",
        ("shop/sasrec/dcrec",): "keeps every interaction; give --threshold",
        ("shop/sasrec/hsd", "--threshold", "1.5"): "threshold 1.5 is not a quantile",
        ("shop/sasrec/hsd", "--format", "cvs"): "--format 'cvs' is unknown; did you mean 'csv'",
        ("shop/sasrec/hdr",): "has no experiment 'shop/sasrec/hdr'",
    }
    for given, message in cases.items():
        assert message in refused("denoise", *given, *words, cwd=home)
    assert not (tmp_path / "out").exists()
    assert "exists; name another folder" in refused(
        "denoise", "shop/sasrec/hsd", "--out", str(tmp_path), "--store", "runs", cwd=home
    )
    save(settings, dataset, decisions=decisions_about(dataset), seed=2)
    with pytest.raises(ConfigError, match="names several experiments; name one of 'shop/sasrec/h"):
        bench.denoise("shop/sasrec/hsd", tmp_path / "out", settings=settings)


def test_the_command_says_what_it_did(tmp_path, home, dataset, experiment):
    out = tmp_path / "a b" / "cleaned"
    words = ["denoise", experiment.key, "--out", str(out), "--format", "recbole"]
    shown = printed(*words, "--threshold", "0.6", "--store", "runs", cwd=home)
    meant = expected(dataset, decisions_about(dataset), "train", 0.6)
    left = sum(map(len, meant.values()))
    total = dataset.n_interactions - 2 * dataset.n_users
    assert shown.startswith(f"{total - left} of {total} training interactions dropped")
    assert "2 users with fewer than 3 interactions (first: 'u 0')" in shown
    command = shown.splitlines()[-1].removeprefix("Train on it: ")
    assert shlex.split(command) == ["bench", "run", "--dataset", str(out / "card.yaml")]
    lines = (out / "cleaned.inter").read_text().splitlines()
    assert lines[0] == "user_id:token\titem_id:token\ttimestamp:float"
    assert len(lines) == 1 + left


def test_a_method_that_reweights_is_cleaned_by_its_scores(tmp_path, settings, dataset):
    given = decisions_about(dataset, keep_all=True)
    own = save(settings, dataset, method="dcrec", decisions=given, seed=3)
    cleaned = bench.denoise(own.key, tmp_path / "out", threshold=0.7, part="all", settings=settings)
    assert histories_of(cleaned.dataset) == expected(dataset, given, "all", 0.7)
    results = bench.load(settings=settings).filter(key=own.key)
    bench.denoise(results, tmp_path / "again", threshold=0.7, part="all", settings=settings)
    for name in ("interactions.csv", "items.csv", "dropped.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
