"""Noise in real data: amounts, places, shares and what is never touched, against brute force."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from own_cards import EXPECTED, csv_card, histories, load
from toys import data_of

from bench.data.noise import KINDS, with_variants
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.errors import ConfigError, DataError
from bench.plan.spec import Spec
from bench.plan.variants import Noise, NoiseAxis, Shuffled, source_of, split_source

INSERTING = ["random", "popular", "repeat", "burst", "similar"]
RATE = 0.3


def dataset_of(rows, texts=None):
    data = data_of(Sequences.from_lists(rows), max(map(max, rows)))
    return replace(data, name="own", item_texts=texts or data.item_ids)


@pytest.fixture(scope="module")
def clean():
    """300 users with 3 to 40 interactions of 50 items in a long tail."""
    generator = np.random.default_rng(0)
    shares = 1 / np.arange(1, 51)
    rows = [
        (generator.choice(50, size=length, p=shares / shares.sum()) + 1).tolist()
        for length in generator.integers(3, 41, size=300)
    ]
    texts = [f"word{item % 7} other{item % 5}" for item in range(50)]
    return dataset_of(rows, texts)


def noisy(dataset, kind, rate=RATE, **options):
    return with_variants(dataset, [Noise(kind=kind, rate=rate, **options)])


def rows_with_noise(dataset, part="test"):
    sequences, noise = dataset.histories(part), dataset.noise_in(part)
    return list(zip(sequences, np.split(noise, sequences.offsets[1:-1]), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_items_stay_and_change_nothing_before_them(clean, kind):
    changed = noisy(clean, kind)
    assert [row[-2:].tolist() for row in changed.sequences] == [
        row[-2:].tolist() for row in clean.sequences
    ]
    assert not any(noise[-2:].any() for _, noise in rows_with_noise(changed))
    other = clean.sequences.items.copy()
    other[~clean.sequences.before_last(2)] = 1
    twisted = noisy(replace(clean, sequences=Sequences(clean.sequences.offsets, other)), kind)
    assert [row[:-2].tolist() for row in twisted.sequences] == [
        row[:-2].tolist() for row in changed.sequences
    ]


@pytest.mark.parametrize("kind", INSERTING)
def test_what_is_inserted_leaves_the_rest_in_its_order(clean, kind):
    for before, (row, noise) in zip(
        clean.sequences, rows_with_noise(noisy(clean, kind)), strict=True
    ):
        assert row[~noise].tolist() == before.tolist()


@pytest.mark.parametrize("kind", [*INSERTING, "replace"])
def test_the_amount_is_the_rate_of_each_users_training_interactions(clean, kind):
    lengths = clean.sequences.lengths - 2
    amounts = np.array([noise.sum() for _, noise in rows_with_noise(noisy(clean, kind))])
    assert (np.abs(amounts - RATE * lengths) < 1).all()
    # Rounded at random: the sum of n variables with variance at most 1/4 each.
    assert abs(amounts.sum() - RATE * lengths.sum()) < 4 * np.sqrt(len(lengths) / 4)


def test_swapped_pairs_are_neighbours_and_only_they_are_noise(clean):
    marked = 0
    for before, (row, noise) in zip(
        clean.sequences, rows_with_noise(noisy(clean, "swap")), strict=True
    ):
        place = 0
        while place < len(row):
            if noise[place]:
                assert noise[place + 1]
                assert row[place : place + 2].tolist() == before[place : place + 2][::-1].tolist()
                marked, place = marked + 2, place + 2
            else:
                assert row[place] == before[place]
                place += 1
    assert marked == pytest.approx(RATE * (clean.sequences.lengths - 2).sum(), rel=0.1)


@pytest.mark.parametrize("kind", ["random", "popular", "replace", "similar"])
def test_foreign_items_are_not_the_users_own(clean, kind):
    training = clean.histories("train")
    for own, (row, noise) in zip(training, rows_with_noise(noisy(clean, kind)), strict=True):
        if len(set(own.tolist())) < 30:  # else a draw may run out of tries
            assert not {*row[noise].tolist()} & {*own.tolist()}


def test_replaced_interactions_keep_length_and_place(clean):
    for before, (row, noise) in zip(
        clean.sequences, rows_with_noise(noisy(clean, "replace")), strict=True
    ):
        assert len(row) == len(before)
        assert (row[~noise] == before[~noise]).all()


def test_popular_items_are_inserted_in_proportion_to_training_counts():
    # Users own items 11 to 13 alone, so that nothing of 1 to 10 is drawn twice.
    donors = [[item] * item + [11, 11] for item in range(1, 11)]
    takers = [[11 + user % 3] * 400 + [11, 11] for user in range(60)]
    dataset = dataset_of(donors + takers)
    drawn = Counter()
    for row, noise in rows_with_noise(noisy(dataset, "popular"))[len(donors) :]:
        drawn.update(row[noise].tolist())
    total = sum(drawn[item] for item in range(1, 11))
    own = Split.of(dataset).item_counts()[1:11]
    for item in range(1, 11):
        share = own[item - 1] / own.sum()
        assert abs(drawn[item] / total - share) < 4 * np.sqrt(share * (1 - share) / total)


def test_repeats_are_of_earlier_items(clean):
    for row, noise in rows_with_noise(noisy(clean, "repeat")):
        for place in np.flatnonzero(noise):
            assert row[place] in row[:place][~noise[:place]]


def test_a_burst_is_one_run_of_another_users_items(clean):
    training = [row.tolist() for row in clean.histories("train")]
    for user, (row, noise) in enumerate(rows_with_noise(noisy(clean, "burst", rate=0.1))):
        places = np.flatnonzero(noise)
        if len(places):
            assert places[-1] - places[0] == len(places) - 1
            run = row[places].tolist()
            assert any(
                run == other[start : start + len(run)]
                for number, other in enumerate(training)
                if number != user
                for start in range(len(other))
            )


def test_similar_items_share_words_with_the_item_before(clean):
    changed = noisy(clean, "similar", rate=0.2)
    hits = total = 0
    for row, noise in rows_with_noise(changed):
        for place in np.flatnonzero(noise):
            real = row[:place][~noise[:place]][-1]
            words = [set(clean.item_texts[item - 1].split()) for item in (real, row[place])]
            hits, total = hits + bool(words[0] & words[1]), total + 1
    # Of 49 other items 7 + 9 share a word (less what the user has); 20 are near.
    assert hits / total > 0.7


def test_similar_needs_texts(clean):
    with pytest.raises(DataError, match="needs item texts"):
        noisy(replace(clean, item_texts=[""] * clean.n_items), "similar")


def test_places_are_uniform_over_gaps():
    dataset = dataset_of([[1, 2, 3, 4, 5, 6]] * 4000 + [[7, 8, 9]])
    gaps = Counter()
    for _, noise in rows_with_noise(noisy(dataset, "random", rate=0.25))[:-1]:
        (place,) = np.flatnonzero(noise)
        gaps[int(place)] += 1
    assert set(gaps) == set(range(5))
    assert all(abs(count - 800) < 4 * np.sqrt(4000 * 0.2 * 0.8) for count in gaps.values())


@pytest.mark.parametrize("kind", KINDS)
def test_one_side_is_changed_as_both_are(clean, kind):
    both, train, test = (noisy(clean, kind, histories=side) for side in ("both", "train", "test"))
    assert both.training is None
    same = [
        (both.histories("train"), train.histories("train")),
        (both.histories("test"), test.histories("test")),
        (clean.histories("train"), test.histories("train")),
        (clean.histories("test"), train.histories("test")),
    ]
    for one, other in same:
        assert one.items.tolist() == other.items.tolist()
        assert one.offsets.tolist() == other.offsets.tolist()
    assert (both.noise_in("train") == train.noise_in("train")).all()
    assert (both.noise_in("test") == test.noise_in("test")).all()
    assert not train.noise_in("test").any()
    assert not test.noise_in("train").any()
    assert len({d.fingerprint for d in (clean, both, train, test)}) == 4
    assert Split.of(train).history("test").items.tolist() == (
        clean.sequences.without_last(1).items.tolist()
    )


def test_the_same_name_is_the_same_noise(clean):
    one, again, other = (
        noisy(clean, "random"),
        noisy(clean, "random"),
        noisy(clean, "random", seed=2),
    )
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert one.name == "own+random:0.3"
    assert other.name == "own+random:0.3:seed=2"


def test_noise_of_two_kinds_adds_up(clean):
    first = noisy(clean, "random", rate=0.2)
    second = noisy(first, "swap", rate=0.2)
    inserted = {user: [*row[noise]] for user, (row, noise) in enumerate(rows_with_noise(first))}
    for user, (row, noise) in enumerate(rows_with_noise(second)):
        assert not Counter(inserted[user]) - Counter([*row[noise]])
    one_sided = noisy(clean, "random", histories="train")
    with pytest.raises(DataError, match="write it first"):
        noisy(one_sided, "swap")
    assert noisy(one_sided, "swap", histories="train").noise_in("train").sum() > 0


def test_shuffled_order_keeps_what_is_there(clean):
    mixed = with_variants(clean, [Shuffled()])
    moved = 0
    for before, row in zip(clean.sequences, mixed.sequences, strict=True):
        assert sorted(before[:-2]) == sorted(row[:-2])
        assert before[-2:].tolist() == row[-2:].tolist()
        moved += int((before != row).sum())
    assert moved > 1000
    assert mixed.noise is None
    assert mixed.name == "own+shuffled"


@pytest.mark.parametrize("kind", [*KINDS, "shuffled"])
@pytest.mark.parametrize("histories", ["both", "train", "test"])
def test_ratings_stay_with_their_interactions(clean, kind, histories):
    # The rating of an interaction is its place: a look-up tells what it belonged to.
    places = np.arange(clean.n_interactions)
    rated = replace(clean, ratings=places.astype(np.float32), times=places)
    variant = (
        Shuffled(histories=histories)
        if kind == "shuffled"
        else Noise(kind=kind, rate=RATE, histories=histories)
    )
    changed = with_variants(rated, [variant])
    known = ~np.isnan(changed.ratings)
    origin = changed.ratings[known].astype(np.int64)
    assert changed.sequences.items[known].tolist() == clean.sequences.items[origin].tolist()
    assert len(set(origin)) == len(origin)
    held_out = [Split.of(one).target_ratings("test").tolist() for one in (changed, rated)]
    assert held_out[0] == held_out[1]
    if histories == "train":
        assert (known.all(), changed.times is places) == (True, True)
        return
    assert changed.times is None
    inserted = changed.noise if kind not in {"swap", "shuffled"} else np.zeros_like(known)
    assert (known == ~inserted).all()
    if kind != "replace":
        assert len(origin) == clean.n_interactions


def test_variants_that_read_the_card_otherwise(tmp_path):
    # Times of u1's b and c tie: the file has b first; a random draw may have either.
    source = csv_card(tmp_path)
    rule = load(f"{source}+ties:item")
    assert rule.name == "mine+ties:item"
    assert histories(rule) == histories(load(source)) == EXPECTED
    drawn = [load(f"{source}+ties:random:seed={seed}") for seed in range(8)]
    assert {tuple(histories(data)["u1"]) for data in drawn} == {("a", "b", "c"), ("a", "c", "b")}
    assert all(histories(data)["u2"] == EXPECTED["u2"] for data in drawn)
    assert drawn[0].name == "mine+ties:random"
    assert drawn[1].name == "mine+ties:random:seed=1"
    text = (tmp_path / "x.csv").read_text()
    (tmp_path / "x.csv").write_text(
        text.replace("20,", "1405209601,").replace("30,", "1405209600,")
    )
    both = load(f"{source}+swap:0.5+times:float32+ties:file")
    assert both.name == "mine+times:float32+ties:file+swap:0.5"
    assert load(f"{source}+times:float32").times.max() == 1405209600
    assert load(source).times.max() == 1405209601


def test_a_variant_may_change_counts_that_order_decides(tmp_path):
    # By time a, a, b, of which the second a goes; with times rounded alike a, b, a as in the file.
    expected = {"users": 1, "items": 2, "interactions": 2}
    filters = {"duplicates": "drop-consecutive"}
    source = csv_card(tmp_path, card={"filters": filters, "expected": expected})
    rows = "when,who,what\n1405209600,u,a\n1405209601,u,b\n1405209600,u,a\n"
    (tmp_path / "x.csv").write_text(rows)
    assert load(source).n_interactions == 2
    assert load(f"{source}+times:float32").n_interactions == 3


def test_names_of_variants_and_back():
    base, variants = split_source("beauty+burst:0.10:seed=2:histories=train+shuffled")
    assert base == "beauty"
    assert source_of(base, variants) == "beauty+burst:0.1:histories=train:seed=2+shuffled"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("beauty+randm:0.1", "did you mean 'random'"),
        ("beauty+random", "the rate is missing"),
        ("beauty+random:seed=2", "the rate is missing"),
        ("beauty+random:1.5", "less than or equal to 1"),
        ("beauty+random:0", "greater than 0"),
        ("beauty+random:0.1:train", "is not key=value"),
        ("beauty+random:0.1:history=train", "did you mean 'histories'"),
        ("beauty+shuffled:0.1", "is not key=value"),
        ("beauty+ties", "the rule is missing; write for example ties:random"),
        ("beauty+ties:old", "'file', 'item' or 'random'"),
        ("beauty+times:float16", "'exact' or 'float32'"),
        ("beauty+tie:file", "did you mean 'ties'"),
        ("beauty+random:0.1:seed=1:seed=2", "'seed' is given twice"),
        ("beauty+random:0.1:rate=0.2", "'rate' is given twice"),
        ("beauty+random:010", "begins with a zero"),
    ],
)
def test_a_wrong_variant_gets_one_sentence(source, message):
    with pytest.raises(ConfigError, match=message):
        split_source(source)


def test_a_specification_is_crossed_with_noise():
    spec = Spec(
        datasets=("beauty", "toys"),
        noise=(NoiseAxis(kind="random", rate=(0, 0.1)), NoiseAxis(kind="swap", rate=(0, 0.2))),
    )
    assert spec.sources == (
        "beauty",
        "beauty+random:0.1",
        "beauty+swap:0.2",
        "toys",
        "toys+random:0.1",
        "toys+swap:0.2",
    )
    assert Spec(datasets=("beauty",)).sources == ("beauty",)


@pytest.mark.parametrize(("kind", "rows"), [("burst", [[1, 2, 3, 4]]), ("similar", [[1, 1, 1, 1]])])
def test_data_that_hold_nothing_to_insert_are_refused(kind, rows):
    with pytest.raises(DataError, match=f"noise '{kind}' needs a second"):
        noisy(dataset_of(rows, ["word"] * max(map(max, rows))), kind, 0.5)
