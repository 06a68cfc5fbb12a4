"""Published experiments trained again: equal, elsewhere, or refuted."""

import dataclasses
import tempfile
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from command import called, printed
from made_up_store import save
from packs import COMMIT, finish, ranks

from bench.packs.compare import compare
from bench.packs.publish import publish
from bench.packs.published import read_published, write_published
from bench.runs.store import Store


def moved(made, users, by=40):
    """Ranks of which the first users' are lower."""
    places = made.better_all.copy()
    places[:users] += by
    return dataclasses.replace(made, better_all=places)


@pytest.fixture
def published(tmp_path):
    return finish(tmp_path / "theirs")


def again(tmp_path, published, made, **changes):
    about = published.metadata.model_copy(update=changes)
    experiment = published.experiment
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    save(root, experiment, made, about, validation=published.ranks("validation"))
    return Store(root).load(experiment.key)


def test_equal_ranks_are_confirmed(tmp_path, published):
    found = compare(published, again(tmp_path, published, published.ranks("test")), [published])
    assert found.equal
    assert found.confirmed
    assert found.describe().endswith("equal to the bit")


def test_other_ranks_on_the_same_kind_of_machine_are_not(tmp_path, published):
    found = compare(published, again(tmp_path, published, moved(published.ranks("test"), 1)), [])
    assert found.differing == {"validation": 0.0, "test": 1 / 40}
    assert not found.confirmed


def test_elsewhere_one_seed_is_compared_over_users(tmp_path, published):
    test = published.ranks("test")
    other = again(tmp_path, published, moved(test, 1), processor="Intel")
    found = compare(published, other, [published])
    assert found.elsewhere == ["processor"]
    assert found.confirmed == found.within
    # Every user's target falls out of the first ten: no chance explains that.
    worse = dataclasses.replace(test, better_all=np.full_like(test.better_all, 500))
    better = dataclasses.replace(test, better_all=np.zeros_like(test.better_all))
    other = again(tmp_path, published, better, processor="Intel")
    assert not compare(published, other, [published]).within
    assert not compare(other, again(tmp_path, published, worse), [other]).confirmed


def test_elsewhere_several_seeds_give_the_spread(tmp_path, published):
    """Against the textbook's prediction interval, computed here with its own formula."""
    seeds = [published, *(finish(tmp_path / "theirs", seed=seed) for seed in (2, 3))]
    places = [stored.ranks("test").better_all + 1 for stored in seeds]
    figures = [float(np.where(p <= 10, 1 / np.log2(p + 1), 0).mean()) for p in places]
    half = 4.302652729911275 * stdev(figures) * (4 / 3) ** 0.5  # t of 2 degrees, 97.5 %
    other = again(tmp_path, published, ranks(99), processor="Intel")
    own = other.ranks("test").better_all + 1
    value = float(np.where(own <= 10, 1 / np.log2(own + 1), 0).mean())
    found = compare(published, other, seeds)
    assert found.again == pytest.approx(value)
    assert found.within == (abs(value - fmean(figures)) <= half)
    assert f"3 seeds (±{half:.4f})" in found.describe()


def test_the_command_trains_again_and_notices_other_ranks(tmp_path):
    words = ("--dataset", "planted", "--backbone", "gru4rec", "--method", "none", "--seeds", "1")
    less = ("--set", "epochs=1", "batch_size=4096", "gru4rec.hidden_size=8", "embedding_size=8")
    printed("run", *words, *less, cwd=tmp_path)
    store = Store(tmp_path / "runs")
    publish(store, tmp_path / "p", store.experiments(), COMMIT)
    pack = tmp_path / "p" / "planted.parquet"
    verify = ("verify", "p/planted.parquet")  # of one experiment
    assert printed(*verify, cwd=tmp_path).endswith("equal to the bit\n")
    [entry] = read_published(pack)
    test = entry.ranks["test"]
    # Ranks that could be: of one unseen item less above the target.
    fewer = np.minimum(test.better_unseen, 1)
    better = {name: getattr(test, name) - fewer for name in ("better_all", "better_unseen")}
    forged = {**entry.ranks, "test": dataclasses.replace(test, **better)}
    write_published(pack, [dataclasses.replace(entry, ranks=forged)])
    done = called(*verify, cwd=tmp_path)
    assert done.returncode == 1
    assert "of test ranks differ" in done.stdout
