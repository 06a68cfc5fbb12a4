"""Storages that are no such thing are named in one sentence, without their password."""

import sys

import pytest
from fake_trials import tuning

from bench.errors import ConfigError, StoreError
from bench.tuning.storage import open_storage
from bench.tuning.tune import evaluators, prepare


@pytest.mark.parametrize("url", ["nonsense", "sqlit:///x", "http://example.org/studies"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ConfigError, match=f"--storage '{url}' is neither 'journal:FILE' nor"):
        open_storage(url)


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigError) as caught:
        open_storage("mysql+pymysql://me:secret@host/studies")
    assert "mysql+pymysql://me:***@host/studies: its driver is not installed" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database at all, but long enough to be read " * 9)
    with pytest.raises(StoreError, match="file is not a database"):
        open_storage(f"sqlite:///{tmp_path / 'notes.txt'}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="tuning storage journal:"):
        open_storage(f"journal:{tmp_path / 'file' / 'studies.log'}")


@pytest.mark.parametrize("kind", ["sqlite:///{}/new/studies.db", "journal:{}/new/studies.log"])
def test_files_and_their_folders_are_made(tmp_path, kind):
    given = tuning(tmp_path, url=kind.format(tmp_path))
    prepare(given)
    prepare(given)
    [evaluator] = evaluators(given)
    [waiting] = evaluator.trials()
    assert waiting.user_attrs["default"] is True
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_file_that_is_no_journal_is_named(tmp_path):
    (tmp_path / "j.log").write_text("not json\n")
    with pytest.raises(ConfigError, match=r"j.log' is no journal of tuning"):
        open_storage(f"journal:{tmp_path / 'j.log'}")
    assert (tmp_path / "j.log").read_text() == "not json\n"


def test_a_journal_that_is_damaged_further_on_is_named(tmp_path):
    given = tuning(tmp_path, url=f"journal:{tmp_path / 'j.log'}")
    prepare(given)
    with (tmp_path / "j.log").open("a") as stream:
        stream.write("not json\n{}\n")
    with pytest.raises(ConfigError, match=r"j.log' is damaged"):
        open_storage(given.url)


def test_a_port_that_is_no_number_is_refused():
    with pytest.raises(
        ConfigError, match=r"postgresql://u:\*+@h:xx/db' is damaged, or a part of its address"
    ):
        open_storage("postgresql://u:p@h:xx/db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(ConfigError, match=r"names no file.*write sqlite:///FILE"):
        open_storage(url)
