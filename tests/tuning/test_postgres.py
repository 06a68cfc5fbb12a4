"""A real PostgreSQL serves two workers at once."""

import itertools
import threading
from collections import Counter

import pytest
from fake_trials import plans, run
from optuna.trial import TrialState
from postgres import AbsentError, server
from sqlalchemy import text

from bench.errors import StoreError
from bench.settings import masked
from bench.tuning import owner
from bench.tuning.owner import Owner
from bench.tuning.records import read_studies
from bench.tuning.storage import open_storage, open_study

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
    _, said = run(tmp_path, 8, None, "rather_slow", workers=2, url=database, pruning="median")
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
    rest = {"url": database, "seeds": [5]}
    threads = [
        threading.Thread(target=run, args=(store, 9, None, "rather_slow"), kwargs=rest)
        for store in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    records = [next(iter(read_studies(store))) for store in stores]
    for record in records:
        counted = [trial for trial in record.trials if trial.counts]
        assert len(counted) == 9
        assert sum(trial.default for trial in counted) == 1
        assert not any(trial.deaths for trial in record.trials)
    assert [t.values for t in records[0].trials] == [t.values for t in records[1].trials]
    experiments = [{path.name for path in (s / "tuning/experiments").glob("[!.]*")} for s in stores]
    assert all(experiments)
    assert not experiments[0] & experiments[1]


def test_two_machines_make_the_tables_of_a_fresh_database_at_once(database):
    import psycopg2

    plain = database.replace("+psycopg2", "")
    connection = psycopg2.connect(plain)
    connection.autocommit = True
    connection.cursor().execute("CREATE DATABASE fresh")
    opened = []
    url = database.replace("/postgres", "/fresh")
    threads = [threading.Thread(target=lambda: opened.append(open_storage(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(opened) == 4


def test_a_trial_of_another_machine_lives_as_long_as_its_heart_beats(database, tmp_path):
    """Nobody holds a lock here for the owner: only the heartbeat tells."""
    storage = open_storage(database)
    [plan] = plans(seeds=[6])
    study = open_study(plan, storage)
    Owner(study, storage, tmp_path / "there").ask(plan.space)
    here = Owner(study, storage, tmp_path / "here")
    here.sweep()
    assert study.trials[0].state == TrialState.RUNNING
    with storage.engine.begin() as connection:
        connection.execute(
            text("UPDATE trial_heartbeats SET heartbeat = now() - interval '301 seconds'")
        )
    here.sweep()
    [trial] = study.trials
    assert (trial.state, trial.user_attrs["deaths"]) == (TrialState.WAITING, 1)
    here.sweep()
    assert here.ask(plan.space).number == 0
    here.sweep()
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING]


def test_a_trial_that_no_machine_claims_is_given_up_after_a_while(database, tmp_path, monkeypatch):
    storage = open_storage(database)
    [plan] = plans(seeds=[7])
    study = open_study(plan, storage)
    study.ask()
    here = Owner(study, storage, tmp_path)
    here.sweep()
    assert study.trials[0].state == TrialState.RUNNING
    monkeypatch.setattr(owner, "UNCLAIMED_SECONDS", -1.0)
    here.sweep()
    assert study.trials[0].state == TrialState.WAITING


def test_a_database_that_is_away_is_one_sentence(database):
    away = database.replace("/postgres", "/absent")
    with pytest.raises(StoreError) as caught:
        open_storage(away)
    assert masked(away) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert 'database "absent" does not exist' in str(caught.value)
