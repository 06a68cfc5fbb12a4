"""Storages that are no such thing are named in one sentence, without their password."""

import sys

import pytest
from fake_trials import plans, run

from bench.errors import ConfigError, StoreError
from bench.settings import masked
from bench.tuning.records import default_url, read_studies
from bench.tuning.storage import file_of, open_storage, open_study


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
    url = kind.format(tmp_path)
    for _ in range(2):
        study = open_study(plans()[0], open_storage(url))
    [waiting] = study.get_trials()
    assert waiting.user_attrs["default"] is True
    assert file_of(url) in (tmp_path / "new").iterdir()


@pytest.mark.parametrize("name", ["what?now", "100%25", "a#b {c}", "æ ø"])
def test_a_store_may_have_any_name(tmp_path, name):
    [trials], _ = run(tmp_path / name, trials=1)
    [study] = read_studies(tmp_path / name)
    assert study.trials == trials
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert file_of(default_url(tmp_path / name)) == tmp_path / name / "tuning" / "optuna.db"


def test_a_database_of_another_optuna_is_one_sentence(tmp_path):
    import sqlite3

    url = f"sqlite:///{tmp_path / 'studies.db'}"
    open_storage(url)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(ConfigError, match="no longer compatible with the table schema") as caught:
        open_storage(url)
    assert "\n" not in str(caught.value)


def test_a_database_that_stays_locked_is_one_sentence(tmp_path, monkeypatch):
    import sqlite3

    from bench.tuning import storage

    url = f"sqlite:///{tmp_path / 'studies.db'}"
    open_storage(url)
    monkeypatch.setattr(storage, "BUSY_SECONDS", 0)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="database is locked; make sure that it runs"):
            open_storage(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://me:s3cret@host/studies",
        "postgresql+psycopg2://me:s3cret@host:5432/studies?sslmode=require",
        "mysql+pymysql://me:s3c%40ret@host/studies",
        "postgresql://host/studies?user=me&password=s3cret",
    ],
)
def test_passwords_are_never_shown(url):
    assert "s3c" not in masked(url)
    assert "***" in masked(url)
    assert masked(url).startswith(url.partition("://")[0])


@pytest.mark.parametrize("url", ["sqlite:////a/b@c:d/e.db", "journal:/a/b:c@d.log"])
def test_names_without_passwords_stay(url):
    assert masked(url) == url


def test_a_database_in_a_folder_that_takes_no_file_is_one_sentence():
    with pytest.raises(StoreError, match=r"tuning storage sqlite:////proc/x\.db: "):
        open_storage("sqlite:////proc/x.db")


def test_a_file_that_is_no_journal_is_named(tmp_path):
    (tmp_path / "j.log").write_text("not json\n")
    with pytest.raises(ConfigError, match=r"j.log' is no journal of tuning"):
        open_storage(f"journal:{tmp_path / 'j.log'}")
    assert (tmp_path / "j.log").read_text() == "not json\n"


def test_a_journal_that_is_damaged_further_on_is_named(tmp_path):
    url = f"journal:{tmp_path / 'j.log'}"
    open_study(plans()[0], open_storage(url))
    with (tmp_path / "j.log").open("a") as stream:
        stream.write("not json\n{}\n")
    with pytest.raises(ConfigError, match=r"j.log' is damaged"):
        open_storage(url)


def test_a_port_that_is_no_number_is_refused():
    with pytest.raises(
        ConfigError, match=r"postgresql://u:\*+@h:xx/db' is damaged, or a part of its address"
    ):
        open_storage("postgresql://u:p@h:xx/db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(ConfigError, match=r"names no file.*write sqlite:///FILE"):
        open_storage(url)
