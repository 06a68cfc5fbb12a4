"""The generated data: reproducible, noisy where it says so, learnable."""

import subprocess
import sys

import numpy as np
import pytest
from own_cards import load

from bench.data.planted import read
from bench.data.split import Split
from bench.data.words import VOCABULARIES
from bench.errors import ConfigError
from bench.plan.data_card import Card, Form
from bench.plan.formats import PlantedOptions


@pytest.fixture(scope="module")
def planted():
    return load("planted")


def taste_of(text):
    words = set(text.split())
    (taste,) = (t for t, v in enumerate(VOCABULARIES) if words <= {*v[0], *v[1]})
    return taste


def by_user(dataset, values):
    return np.split(values, dataset.sequences.offsets[1:-1])


def test_another_process_generates_the_same(planted):
    code = (
        "from bench.data.planted import read\nfrom bench.plan.formats import PlantedOptions\n"
        "from bench.data.arrange import arrange\nfrom bench.plan.data_card import load_card\n"
        "card = load_card('planted'); form = card.forms[0]\n"
        "print(arrange(read({}, PlantedOptions(**form.options)), card, form).fingerprint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "123", "PATH": ""},
    )
    assert done.stdout.strip() == planted.fingerprint


def test_another_seed_generates_other_data(planted):
    first, second = (read({}, PlantedOptions(seed=seed)) for seed in (1, 2))
    assert first.items.tolist() != second.items.tolist()


def test_no_vocabulary_shares_a_word():
    words = [word for v in VOCABULARIES for word in (*v[0], *v[1])]
    assert len(set(words)) == len(words)
    assert all(word.isalpha() for word in words)


def test_every_item_is_named_from_the_words_of_one_taste(planted):
    assert len(set(planted.item_texts)) == planted.n_items
    assert {taste_of(text) for text in planted.item_texts} == set(range(8))


def test_the_first_and_the_last_two_interactions_are_real(planted):
    for flags in by_user(planted, planted.noise):
        assert not flags[[0, -2, -1]].any()


def test_the_share_of_accidents_is_as_set(planted):
    inner = np.concatenate([flags[1:-2] for flags in by_user(planted, planted.noise)])
    deviation = np.sqrt(0.15 * 0.85 / len(inner))
    assert abs(inner.mean() - 0.15) < 4 * deviation


def test_without_noise_nothing_is_planted():
    assert not read({}, PlantedOptions(noise=0)).planted.any()


def test_accidents_are_off_the_users_tastes(planted):
    tastes = np.array([-1, *(taste_of(text) for text in planted.item_texts)])
    real_switches, accident_stays = [], []
    for row, flags in zip(planted.sequences, by_user(planted, planted.noise), strict=True):
        own = tastes[row]
        real_switches += list(own[1:][~flags[1:]] != own[:-1][~flags[1:]])
        accident_stays += [
            own[place] == own[:place][~flags[:place]][-1] for place in np.flatnonzero(flags)
        ]
    assert not any(accident_stays)  # never the taste of the latest real interaction
    assert np.mean(real_switches) < 0.5


def test_nobody_meets_an_item_twice(planted):
    assert all(len(set(row.tolist())) == len(row) for row in planted.sequences)


def test_popularity_has_a_long_tail_with_cold_items(planted):
    counts = np.sort(Split.of(planted).item_counts()[1:])[::-1]
    tenth = len(counts) // 10
    assert counts[:tenth].sum() > 0.3 * counts.sum()
    assert (counts <= 3).sum() >= tenth


def test_the_next_item_is_learnt_better_from_the_last_than_from_popularity(planted):
    split = Split.of(planted)
    follows = np.zeros((planted.n_items + 1, planted.n_items + 1))
    for row in split.train:
        np.add.at(follows, (row[:-1], row[1:]), 1)
    popularity = split.item_counts() / 1e6
    targets, history = split.targets("test"), split.history("test")
    popular = np.argsort(-popularity)[:10]
    markov = [np.argsort(-(follows[row[-1]] + popularity))[:10] for row in history]
    hit_markov = np.mean([target in top for target, top in zip(targets, markov, strict=True)])
    assert hit_markov > 2 * np.isin(targets, popular).mean()


def test_lengths_lie_within_their_bounds(planted):
    lengths = planted.sequences.lengths
    assert lengths.min() >= 5
    assert lengths.max() <= 50
    assert abs(lengths.mean() - 12) < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": 1.0}, "less than or equal to 0.9"),
        ({"items": 100}, "at least 4 times max_length"),
        ({"mean_length": 60}, "must ascend"),
        ({"nosie": 0.1}, "did you mean 'noise'"),
    ],
)
def test_wrong_options_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        PlantedOptions.parse(change, "card")


def test_the_largest_and_smallest_worlds_can_be_named():
    for items, tastes, length in ((12_000, 4, 50), (20, 4, 5)):
        options = PlantedOptions(
            users=3, items=items, tastes=tastes, max_length=length, mean_length=5, noise=0.5
        )
        raw = read({}, options)
        assert len(set(raw.texts.values())) == items


def test_a_card_of_its_own_sets_the_noise():
    form = Form(format="planted", options={"noise": 0.4})
    assert Card(name="noisier", forms=(form,)).forms[0].options == {"noise": 0.4}
