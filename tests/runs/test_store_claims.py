"""Claims on a file system whose locks are not trusted: one holder, signs of life, takeover."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_experiments import planned

from bench.errors import WriteError
from bench.files import locked
from bench.runs import claims
from bench.runs.claims import claim, forgive, is_claimed, not_given_back
from bench.runs.store import Store


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "claims" / "key"


def leave(folder, number=0, age=0.0):
    """Write the claim of a holder that showed its last sign of life so many seconds ago."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(number)
    path.touch()
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def test_of_many_that_try_at_once_one_has_it(folder):
    together, done = threading.Barrier(8), threading.Barrier(8)

    def attempt(_):
        together.wait(30)
        with claim(folder) as mine:
            done.wait(30)
            return mine

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(8))) == [False] * 7 + [True]
    assert [path.name for path in folder.iterdir()] == ["0"]


def test_what_is_given_back_can_be_claimed_at_once_and_counts_as_no_death(folder):
    for _ in range(3):
        assert not is_claimed(folder)
        with claim(folder) as mine:
            assert mine
            assert is_claimed(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2"]
    assert not_given_back(folder) == 0


def test_an_exception_gives_back(folder):
    with pytest.raises(SystemExit), claim(folder):
        raise SystemExit
    assert not is_claimed(folder)


@pytest.mark.parametrize(("age", "taken"), [(claims.LEASE - 5, False), (claims.LEASE + 1, True)])
def test_a_holder_without_a_sign_of_life_is_followed(folder, age, taken):
    leave(folder, age=age)
    with claim(folder) as mine:
        assert mine == taken
    assert (folder / "1").exists() == taken
    assert not_given_back(folder) == 1
    with claim(folder) as again:
        forgive(folder)
        assert again == taken
    assert not_given_back(folder) == (not taken)


def test_only_the_latest_claim_counts(folder):
    leave(folder, 9, age=claims.LEASE + 1)
    leave(folder, 10)
    assert is_claimed(folder)
    with claim(folder) as mine:
        assert not mine


def test_a_holder_shows_signs_of_life(folder, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    with claim(folder):
        path = folder / "0"
        old = path.stat().st_mtime - claims.LEASE - 1
        os.utime(path, (old, old))
        while path.stat().st_mtime == old:  # as long as the test's time limit
            threading.Event().wait(0.01)
        assert is_claimed(folder)


def test_a_holder_that_was_overtaken_is_interrupted_and_leaves_the_other_alone(folder, monkeypatch):
    interrupted = threading.Event()
    monkeypatch.setattr(claims, "BEAT", 0.01)
    monkeypatch.setattr(claims._thread, "interrupt_main", interrupted.set)
    with claim(folder):
        leave(folder, 1)
        assert interrupted.wait(30)
    assert is_claimed(folder)


def test_an_old_listing_of_the_folder_makes_no_second_holder(folder, monkeypatch):
    with claim(folder), monkeypatch.context() as patch:
        patch.setattr(claims, "_claims", lambda _: [])  # as a network disk may have cached it
        with claim(folder) as mine:
            assert not mine
    assert [path.name for path in folder.iterdir()] == ["0"]


def test_a_file_system_that_refuses_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(WriteError, match=r"cannot write .*: Not a directory"),
        claim(tmp_path / "file" / "key"),
    ):
        pass


def test_a_shared_store_claims_and_any_other_locks(tmp_path):
    store, key = Store(tmp_path), planned().experiment.key
    store.prepare()
    lock = tmp_path / "locks" / f"{key}.lock"
    with store.locked(key) as mine, locked(lock, timeout=0) as free:
        assert (mine, free) == (True, False)
    store.share()
    with store.locked(key) as mine, store.locked(key) as other, locked(lock, timeout=0) as free:
        assert (mine, other, free) == (True, False, True)
        assert store.is_in_use(key)
        assert store.is_in_use(f"toy-{key[:12]}")
    assert not store.is_in_use(key)
