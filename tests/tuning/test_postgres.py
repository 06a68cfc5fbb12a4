"""A real PostgreSQL serves two workers at once."""

import itertools
import threading
from collections import Counter

import pytest
from fake_trials import tuning
from postgres import AbsentError, server

from bench.errors import StoreError
from bench.tuning.records import read_studies
from bench.tuning.storage import masked, open_storage
from bench.tuning.tune import tune

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def database():
    context = server()
    try:
        url = context.__enter__()
    except AbsentError as reason:
        pytest.skip(str(reason))
    yield url
    context.__exit__(None, None, None)


def test_two_workers_share_one_study(database, tmp_path):
    given = tuning(tmp_path, trials=8, experiment="rather_slow", url=database, pruning="median")
    said = []
    tune(given, said.append, workers=2)
    [study] = read_studies(tmp_path)
    counted = [trial for trial in study.trials if trial.counts]
    assert len(counted) == 8
    assert counted[0].default
    spans = sorted((trial.begun, trial.ended) for trial in counted)
    assert any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))
    assert Counter(line.rpartition(": ")[2] for line in said)["begins"] == 8
    assert not (tmp_path / "tuning" / "optuna.db").exists()


def test_two_machines_with_stores_of_their_own_share_one_study(database, tmp_path):
    """Each has its own store and so none of the other's locks; the database alone joins them."""
    stores = [tmp_path / "one", tmp_path / "two"]
    runs = [
        tuning(store, trials=9, experiment="rather_slow", url=database, seeds=[5])
        for store in stores
    ]
    threads = [threading.Thread(target=tune, args=(given, lambda line: None)) for given in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    records = [next(iter(read_studies(store))) for store in stores]
    for record in records:
        counted = [trial for trial in record.trials if trial.counts]
        assert len(counted) == 9
        assert sum(trial.default for trial in counted) == 1
        assert not [trial for trial in record.trials if trial.state == "killed"]
    assert [t.values for t in records[0].trials] == [t.values for t in records[1].trials]
    experiments = [{path.name for path in (s / "tuning/experiments").glob("[!.]*")} for s in stores]
    assert all(experiments)
    assert not experiments[0] & experiments[1]


def test_a_database_that_is_away_is_one_sentence(database):
    away = database.replace("/postgres", "/absent")
    with pytest.raises(StoreError) as caught:
        open_storage(away)
    assert masked(away) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert 'database "absent" does not exist' in str(caught.value)
