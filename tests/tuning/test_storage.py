"""Storages that are no such thing are named in one sentence, without their password."""

import shutil
import sqlite3
import sys
from contextlib import closing

import pytest
from fake_trials import plans, run

from bench.errors import BenchError, ConfigError, StoreError
from bench.tuning import storage
from bench.tuning.records import default_url, own_file, read_studies
from bench.tuning.storage import file_of, open_storage, open_study


@pytest.mark.parametrize("url", ["nonsense", "sqlit:///x", "http://example.org/studies"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ConfigError, match=f"storage {url}: the address is neither 'journal:FILE'"):
        open_storage(url)


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigError) as caught:
        open_storage("mysql+pymysql://me:secret@host/studies")
    assert "mysql+pymysql://me:***@host/studies: the driver 'pymysql' is not" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_store_that_can_only_be_read_is_read(tmp_path, monkeypatch):
    storage.open_storage(default_url(tmp_path))
    lock = own_file(tmp_path).with_name("optuna.db.lock")
    lock.unlink()
    monkeypatch.setattr(storage.os, "access", lambda path, _: path != lock.parent)
    assert list(read_studies(tmp_path)) == []
    assert not lock.exists()


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


def test_a_store_may_have_any_name(tmp_path):
    name = "what?now 100%25 a#b {c} æ"
    [trials], _ = run(tmp_path / name, trials=1)
    [study] = read_studies(tmp_path / name)
    assert study.trials == trials
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert file_of(default_url(tmp_path / name)) == tmp_path / name / "tuning" / "optuna.db"


def test_a_database_of_another_optuna_is_one_sentence(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    open_storage(url)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(ConfigError, match="no longer compatible with the table schema") as caught:
        open_storage(url)
    assert "\n" not in str(caught.value)


def test_a_database_that_stays_locked_is_one_sentence(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    open_storage(url)
    monkeypatch.setattr(storage, "BUSY_SECONDS", 0)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="database is locked; make sure that it runs"):
            open_storage(url)


def test_a_database_in_a_folder_that_takes_no_file_is_one_sentence():
    with pytest.raises(StoreError, match=r"tuning storage sqlite:////proc/x\.db: "):
        open_storage("sqlite:////proc/x.db")


@pytest.mark.parametrize("content", ["not json\n", '{"a": 1}\n', "x"])
def test_a_file_that_is_no_journal_is_named(tmp_path, content):
    (tmp_path / "j.log").write_text(content)
    with pytest.raises(ConfigError, match=r"j.log is damaged or of another program"):
        open_storage(f"journal:{tmp_path / 'j.log'}")
    assert (tmp_path / "j.log").read_text() == content


def test_a_journal_that_is_damaged_further_on_is_named(tmp_path):
    url = f"journal:{tmp_path / 'j.log'}"
    open_study(plans()[0], open_storage(url))
    with (tmp_path / "j.log").open("a") as stream:
        stream.write("not json\n{}\n")
    with pytest.raises(ConfigError, match=r"j.log is damaged"):
        open_storage(url)


@pytest.mark.parametrize("cut", [1, 20])
def test_a_journal_whose_last_line_is_cut_loses_that_line_only(tmp_path, cut):
    path = tmp_path / "j.log"
    study = open_study(plans()[0], open_storage(f"journal:{path}"))
    study.set_user_attr("last", "x" * 30)
    path.write_bytes(path.read_bytes()[:-cut])
    for name in ("one", "two"):
        again = open_study(plans()[0], open_storage(f"journal:{path}"))
        again.set_user_attr(name, 1)
    assert {"about", "one", "two"} == again.user_attrs.keys()
    assert len(again.get_trials()) == 1


def test_a_journal_whose_first_line_is_cut_begins_anew(tmp_path):
    (tmp_path / "j.log").write_text('{"op_code":0,"wor')
    study = open_study(plans()[0], open_storage(f"journal:{tmp_path / 'j.log'}"))
    assert len(study.get_trials()) == 1


def with_tables(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return f"sqlite:///{path}"


def tables(path):
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def test_the_database_of_mlflow_is_refused_and_left_as_it_is(tmp_path):
    made = ("CREATE TABLE alembic_version (version_num TEXT)", "CREATE TABLE runs (a TEXT)")
    url = with_tables(tmp_path / "mlflow.db", *made)
    with pytest.raises(ConfigError, match=r"of another program.*tables of another program"):
        open_storage(url)
    assert tables(tmp_path / "mlflow.db") == {"alembic_version", "runs"}


@pytest.mark.parametrize("table", ["trial_values", "version_info", "study_user_attributes"])
def test_a_database_that_lacks_a_table_is_named(tmp_path, table):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    open_study(plans()[0], open_storage(url))
    with_tables(tmp_path / "studies.db", f"DROP TABLE {table}")
    with pytest.raises(ConfigError, match="damaged or of another program"):
        open_storage(url)


def test_a_database_whose_tables_were_being_made_is_completed(tmp_path):
    """A process was killed when it had made two of them, which are empty."""
    made = ("CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR(512))",)
    url = with_tables(tmp_path / "studies.db", *made)
    assert len(open_study(plans()[0], open_storage(url)).get_trials()) == 1


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("study_user_attributes", "value_json = '{\"objective\": 3}'"),
        ("study_user_attributes", "value_json = 'no json'"),
        ("trial_user_attributes", "value_json = '\"many\"' WHERE key = 'seconds'"),
        ("trial_user_attributes", "value_json = '[1]' WHERE key = 'default'"),
        ("trial_params", "distribution_json = '{}'"),
    ],
)
def test_values_of_the_wrong_kind_are_one_sentence(studies, tmp_path, table, change):
    root = tmp_path / "store"
    shutil.copytree(studies, root)
    with_tables(root / "tuning" / "optuna.db", f"UPDATE {table} SET {change}")
    with pytest.raises(BenchError, match=r"optuna\.db is damaged") as caught:
        list(read_studies(root))
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("studies")
    run(root, trials=1)
    return root


def test_offline_a_storage_on_another_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"me:\*\*\*@db.example.org/x.*BENCH_OFFLINE forbids"):
        run(tmp_path, url="postgresql+psycopg2://me:secret@db.example.org/x")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(ConfigError, match=r"names no file.*write sqlite:///FILE"):
        open_storage(url)


def test_a_home_folder_in_a_url_makes_no_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"'sqlite:///~/t.db': .*write the path out"):
        open_storage("sqlite:///~/t.db")
    assert not list(tmp_path.iterdir())
