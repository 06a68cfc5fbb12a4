"""A user's experiments together with published ones: tested as if all were in one store."""

import shutil
from dataclasses import replace
from functools import partial

import pytest
from command import called, printed, refused
from made_up_store import make_experiment, make_metadata, save
from packs import COMMIT, finish, ranks

from bench.api import load
from bench.errors import ConfigError, StoreError
from bench.packs import reference
from bench.packs.publish import publish
from bench.packs.published import read_published, write_published
from bench.packs.reference import join, published_store
from bench.plan.experiment import Computation
from bench.plan.protocol import PHASES, Protocol
from bench.plan.training import TrainingConfig
from bench.reports.report import read_report, render
from bench.reports.request import Request
from bench.reports.results import read_results
from bench.runs.store import Store
from bench.settings import Settings


@pytest.fixture
def packs(tmp_path):
    """A folder with a published bare backbone (two seeds) and HSD."""
    store = Store(tmp_path / "theirs")
    finish(store.root)
    finish(store.root, seed=2)
    finish(store.root, "hsd")
    publish(store, tmp_path / "packs", store.experiments(), COMMIT)
    shutil.rmtree(store.root)
    return tmp_path / "packs"


@pytest.fixture
def settings(tmp_path):
    return Settings.from_environment(store=tmp_path / "runs", cache=tmp_path / "cache")


def test_the_rows_are_those_of_one_store(packs, settings, tmp_path):
    finish(settings.store, "steam")
    whole = Store(tmp_path / "whole")
    for method, seed in (("none", 1), ("none", 2), ("hsd", 1), ("steam", 1)):
        finish(whole.root, method, seed)
    found = join(settings, None, str(packs))
    assert len(found.keys) == 4
    names = ("overall", "improvement", "significance", "denoising", "cost")
    assert render(found.settings.store, Request(keys=tuple(found.keys), tables=names)) == render(
        whole.root, Request(tables=names)
    )
    [note] = found.notes
    assert note.startswith("Published (3 experiments): ml-100k/sasrec/")


def test_a_published_experiment_gives_way_to_the_users_own(packs, settings):
    own = finish(settings.store, code="d" * 64)
    found = join(settings, None, str(packs))
    seeds = [
        (stored.experiment.seed, stored.experiment.code[0])
        for stored in Store(found.settings.store).experiments()
        if stored.experiment.method == "none" and stored.key in found.keys
    ]
    assert sorted(seeds) == [(1, "d"), (2, "c")]
    assert own.key in found.keys


def test_other_data_and_other_protocols_are_refused_in_one_sentence(packs, settings):
    finish(settings.store, "steam", fingerprint="e" * 64)
    with pytest.raises(
        ConfigError, match=r"different data .fingerprint ffffffff, yours is eeeeeeee"
    ):
        join(settings, None, str(packs))
    shutil.rmtree(settings.store)
    finish(settings.store, "steam", protocol=Protocol(max_length=20))
    with pytest.raises(ConfigError, match="max_length is 50 there and 20 here"):
        join(settings, None, str(packs))
    shutil.rmtree(settings.store)
    finish(settings.store, "steam", dataset="toys")
    with pytest.raises(ConfigError, match="no result on toys is published"):
        join(settings, None, str(packs))


def test_another_budget_is_said_and_not_tested(packs, settings, caplog):
    save(
        settings.store,
        make_experiment("steam", training=TrainingConfig(epochs=3)),
        ranks(5),
    )
    found = join(settings, None, str(packs))
    assert "training.epochs=200, not 3" in found.notes[1]
    load(settings.store, against=str(packs), settings=settings)
    assert caplog.messages == found.notes


def test_the_api_and_the_command(packs, settings, tmp_path, monkeypatch):
    finish(settings.store, "steam")
    results = load(settings.store, against=str(packs), settings=settings)
    assert len(results) == 4
    assert set(results.table()["method"]) == {"none", "hsd", "steam"}
    called("report", "--against", str(packs), "--out", "r.md", cwd=tmp_path)
    text = (tmp_path / "r.md").read_text()
    assert "STEAM" in text
    assert "Published (3 experiments): ml-100k/sasrec/" in text
    printed("verify", "r.md", "--against", str(packs), cwd=tmp_path)
    assert called("verify", "r.md", cwd=tmp_path).returncode == 1
    monkeypatch.setattr(reference, "published_folder", lambda: packs)
    assert len(load("reference", settings=settings)) == 3
    assert "is not a pack of published results" in refused(
        "report", "--against", "absent", cwd=tmp_path
    )


def test_a_paper_and_a_figure_say_what_is_published_too(packs, settings, tmp_path, caplog):
    finish(settings.store, "steam")
    for words in (["--paper", "paper"], ["--figure", "accuracy", "--out", "accuracy.png"]):
        caplog.clear()
        printed("report", "--against", str(packs), *words, cwd=tmp_path)
        assert "Published (3 experiments): ml-100k/sasrec/" in caplog.text


def test_ones_own_is_compared_with_one_that_is_published(packs, settings, tmp_path):
    finish(settings.store, "steam")
    for method, seed in (("steam", 1), ("hsd", 1)):
        finish(tmp_path / "whole", method, seed)
    sides = "diff", "ml-100k/sasrec/steam", "ml-100k/sasrec/hsd"
    found = called(*sides, "--against", str(packs), cwd=tmp_path)
    assert "| Difference" in found.stdout
    assert found.stdout == called(*sides, "--store", "whole", cwd=tmp_path).stdout
    assert "has no experiment 'ml-100k/sasrec/hsd'" in refused(*sides, cwd=tmp_path)
    unknown = refused(*sides[:2], "nothing", "--against", str(packs), cwd=tmp_path)
    assert "the store has no experiment 'nothing'" in unknown


def test_without_experiments_of_ones_own_everything_published_is_shown(packs, tmp_path):
    done = called("report", "--against", str(packs), cwd=tmp_path)
    assert "holds no experiment to compare" in done.stdout
    assert "HSD" in done.stdout


def test_packs_are_unpacked_once(packs, settings, monkeypatch):
    first = published_store(str(packs), settings.cache)
    monkeypatch.setattr(reference, "read_published", None)
    assert published_store(str(packs), settings.cache).root == first.root


def test_a_damaged_pack_leaves_nothing_behind(packs, settings):
    path = packs / "ml-100k.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    for _ in range(2):
        with pytest.raises(StoreError, match="or is damaged"):
            published_store(str(packs), settings.cache)


@pytest.mark.parametrize("bare", [False, True])
def test_a_number_of_prefixes_that_nobody_reads_keeps_no_rows_apart(packs, settings, bare):
    """Published rows on positions have the default K, the user's another one."""
    own = TrainingConfig(prefixes_per_user=9)
    for method, seed in [("steam", 1), *([("none", 1), ("none", 2)] if bare else [])]:
        finish(settings.store, method, seed, training=own)
    found = join(settings, None, str(packs))
    assert len(found.notes) == 1  # none says that budgets differ
    request = Request(keys=tuple(found.keys), metrics=("HR@10",))
    [table] = read_report(found.settings, request).tables
    [block] = table.blocks
    rows = {row.identity[1]: len(row.results) for row in block.rows}
    assert rows == {"none": 2, "hsd": 1, "steam": 1}
    assert [base.kind for base in table.contrasts.bases[0]].count("matched") == 2


@pytest.mark.parametrize("count", [4, 9])
def test_rows_of_one_block_are_not_said_to_form_two(packs, settings, count):
    """The user's denoiser on prefixes, published rows on positions: one budget, other samples."""
    training = TrainingConfig(prefixes_per_user=count)
    metadata = make_metadata(sampling="prefixes", prefixes_per_user=count)
    save(settings.store, make_experiment("iadsr", training=training), ranks(5), metadata)
    found = join(settings, None, str(packs))
    assert len(found.notes) == 1
    [table] = read_report(found.settings, Request(keys=tuple(found.keys))).tables
    assert len(table.blocks) == 1


def test_two_packs_with_other_ranks_of_one_experiment_are_refused(packs, settings):
    [first, *_] = read_published(packs / "ml-100k.parquet")
    altered = replace(first, ranks={phase: ranks(7) for phase in PHASES})
    write_published(packs / "z.parquet", [altered])
    for read in (partial(published_store, cache=settings.cache), reference.published_experiments):
        with pytest.raises(StoreError, match=r"other ranks in .*z.parquet than in .*ml-100k.par"):
            read(str(packs))


def test_an_unpacked_experiment_that_was_deleted_comes_back(packs, settings):
    store = published_store(str(packs), settings.cache)
    shutil.rmtree(next(store.experiments()).folder)
    assert len([*published_store(str(packs), settings.cache).experiments()]) == 3


def test_nothing_is_said_of_published_experiments_where_all_give_way(packs, settings):
    for method, seed in (("none", 1), ("none", 2), ("hsd", 1)):
        finish(settings.store, method, seed)
    assert join(settings, None, str(packs)).notes == []


def test_what_a_run_lacks_is_still_said(packs, settings):
    stored = finish(settings.store, "steam")
    found = join(settings, [stored.key, "a" * 64], str(packs))
    problems = read_results(Store(found.settings.store), Request(keys=found.keys))[1]
    assert problems == [f"Missing: 1 of {len(found.keys)} selected experiments."]


def test_a_pack_of_somebodys_plug_in_is_named_before_anything_is_trained(tmp_path):
    store = Store(tmp_path / "theirs")
    finish(store.root, backbone="running-mean", computation=Computation())
    publish(store, tmp_path / "packs", store.experiments(), COMMIT)
    message = refused("verify", str(tmp_path / "packs" / "ml-100k.parquet"), cwd=tmp_path)
    assert "cannot be planned here: unknown backbone 'running-mean'" in message
    assert message.endswith("name its plug-in with --plugin")
