"""``bench submit``: a good pack becomes a pull request, bad ones are refused with the reason."""

import dataclasses
import json

import numpy as np
import pytest
from command import called, printed, refused
from packs import COMMIT, finish

from bench.data.load import load_dataset
from bench.hashing import canonical_json, content_hash
from bench.packs import submit
from bench.packs.check import check_pack
from bench.packs.publish import publish
from bench.packs.published import PublishedExperiment, read_published, write_published
from bench.packs.reference import published_experiments, published_folder
from bench.plan.protocol import Protocol
from bench.plan.variants import MARK
from bench.runs.store import Store
from bench.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings.from_environment(data=tmp_path / "no data", cache=tmp_path / "cache")


@pytest.fixture
def published(tmp_path):
    store = Store(tmp_path / "theirs")
    finish(store.root)
    publish(store, tmp_path / "published", store.experiments(), COMMIT)
    return tmp_path / "published"


@pytest.fixture
def pack(tmp_path):
    store = Store(tmp_path / "runs")
    finish(store.root, "hsd")
    publish(store, tmp_path / "mine", store.experiments(), COMMIT)
    return tmp_path / "mine" / "ml-100k.parquet"


def test_a_good_pack_becomes_a_pull_request(pack, published, tmp_path):
    again = ("submit", str(pack), "--against", str(published))
    assert printed(*again, cwd=tmp_path).splitlines()[0].endswith("1 experiment, no problem")
    [file] = (tmp_path / "submission" / "reports" / "published").iterdir()
    assert file.read_bytes() == pack.read_bytes()
    text = (tmp_path / "submission" / "PULL_REQUEST.md").read_text()
    assert f"reports/published/{file.name}" in text
    assert "| ml-100k/sasrec/hsd/seed 1 |" in text
    assert "bench run --dataset ml-100k --backbone sasrec --method hsd" in text
    assert "exists already" in refused(*again, cwd=tmp_path)
    # What was submitted is then published: the same check passes again.
    file.rename(published / file.name)
    printed(*again, "--check", cwd=tmp_path)


def test_the_text_gives_the_figures_of_the_ranks(pack, published, tmp_path):
    called("submit", str(pack), "--against", str(published), cwd=tmp_path)
    ranks = read_published(pack)[0].ranks["test"]
    places = ranks.better_all + ranks.ties_all + 1
    text = (tmp_path / "submission" / "PULL_REQUEST.md").read_text()
    gains = [1 / np.log2(place + 1) for place in places if place <= 10]
    assert f"| {np.mean(places <= 10):.4f} | {sum(gains) / len(places):.4f} |" in text


def tampered(pack, *, ranks=None, phases=("validation", "test"), experiment=None, **texts):
    """Write a pack again with other content, and checksums that fit it."""
    [entry] = read_published(pack)
    made = dict(entry.ranks)
    for phase in phases:
        if ranks is not None:
            made[phase] = dataclasses.replace(made[phase], **ranks(made[phase]))
    plain = {
        name: change(entry) if name in {"key", "finished"} else canonical_json(change(entry))
        for name, change in texts.items()
    }
    if experiment is not None:
        content = {**entry.content, **experiment}
        protocol = {k: v for k, v in content["protocol"].items() if k != "cutoffs"}
        plain["experiment"] = canonical_json(content)
        plain["key"] = content_hash({**content, "protocol": protocol})
    write_published(pack, [dataclasses.replace(entry, texts={**entry.texts, **plain}, ranks=made)])


def curve(entry):
    return json.loads(entry.texts["curve"])


def better_at(entry, epoch):
    return [{**row, "metric": 0.9} if row["epoch"] == epoch else row for row in curve(entry)]


def metadata(entry, **changes):
    return {**json.loads(entry.texts["metadata"]), **changes}


BAD = {
    "a damaged file": (
        lambda pack: pack.write_bytes(pack.read_bytes()[:-20]),
        "is not a pack of published results, or is damaged",
    ),
    "other data": (
        lambda pack: tampered(pack, experiment={"fingerprint": "e" * 64}),
        "its data have fingerprint eeeeeeee, not ffffffff",
    ),
    "a data set of one's own": (
        lambda pack: tampered(pack, experiment={"dataset": "mine"}),
        "data set 'mine' does not come with bench",
    ),
    "another protocol": (
        lambda pack: tampered(
            pack,
            experiment={
                "protocol": {**read_published(pack)[0].content["protocol"], "max_length": 20}
            },
        ),
        "its protocol differs: max_length is 20, not 50",
    ),
    "a rank below all items": (
        lambda pack: tampered(
            pack, ranks=lambda r: {"better_all": r.better_all + 2000}, phases=("test",)
        ),
        "test: 40 users have a rank beyond the number of candidates (all)",
    ),
    "more seen items above than were seen": (
        lambda pack: tampered(pack, ranks=lambda r: {"better_all": r.better_unseen + 151}),
        "better: all items and unseen ones differ by more than the history holds",
    ),
    "better validation ranks than its learning curve": (
        lambda pack: tampered(
            pack,
            ranks=lambda r: {"better_all": r.better_all // 2, "better_unseen": r.better_all // 2},
            phases=("validation",),
        ),
        "its validation ranks give NDCG@10",
    ),
    "other users": (
        lambda pack: tampered(pack, ranks=lambda r: {"target": r.target + 1}),
        "target are not those of published experiments on the same data",
    ),
    "a smaller budget": (
        lambda pack: tampered(
            pack,
            experiment={"training": {**read_published(pack)[0].content["training"], "epochs": 30}},
        ),
        "its training differs from the leaderboard's: epochs is 30, not 200",
    ),
    "no users": (
        lambda pack: tampered(
            pack, ranks=lambda r: {n: v[:0] for n, v in vars(r).items() if v is not None}
        ),
        "there are no validation ranks",
    ),
    "no commit": (
        lambda pack: tampered(
            pack, metadata=lambda e: metadata(e, versions={"torch": "2", "numpy": "2"})
        ),
        "commit 'None' is not 40 digits",
    ),
    "epochs that are not in the curve": (
        lambda pack: tampered(pack, metadata=lambda e: metadata(e, epochs=99)),
        "does not have as many epochs",
    ),
    "an epoch that is not the best": (
        lambda pack: tampered(pack, curve=lambda e: better_at(e, 5)),
        "epoch 1 is not the best of its learning curve",
    ),
    "training that ended before its patience": (
        lambda pack: tampered(
            pack, curve=lambda e: curve(e)[:-3], metadata=lambda e: metadata(e, epochs=9)
        ),
        "it trained 9 epochs; with epoch 1 the best, its patience and most epochs give 12",
    ),
    "an epoch before the first": (
        lambda pack: tampered(pack, metadata=lambda e: metadata(e, best_epoch=-11)),
        "does not have as many epochs",
    ),
    "another best metric": (
        lambda pack: tampered(pack, metadata=lambda e: metadata(e, best_metric=0.9)),
        "its best metric 0.9 is not that of epoch 1",
    ),
    "seconds below zero": (
        lambda pack: tampered(pack, metadata=lambda e: metadata(e, seconds={"training": -1.0})),
        "a cost is negative",
    ),
    "users beside one target of each": (
        lambda pack: tampered(pack, ranks=lambda r: {"user": 0 * r.target}),
        "one target of every user is held out, but the targets name users",
    ),
    "a key of other settings": (
        lambda pack: tampered(pack, experiment=None, key=lambda e: "0" * 64),
        "its key does not match its settings",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_pack_is_refused(pack, published, settings, kind):
    spoil, reason = BAD[kind]
    spoil(pack)
    found = check_pack(pack, published_experiments(str(published)), settings)
    assert any(reason in problem for problem in found.problems), found.problems


def test_the_command_names_the_problem_and_writes_nothing(pack, published, tmp_path):
    BAD["other users"][0](pack)
    done = called("submit", str(pack), "--against", str(published), cwd=tmp_path)
    assert done.returncode == 1
    assert "are not those of published experiments" in done.stdout
    assert not (tmp_path / "submission").exists()


def test_packs_that_are_not_there_are_refused(pack, tmp_path):
    assert "pakc.parquet is not a file" in refused("submit", "pakc.parquet", cwd=tmp_path)
    typo = refused("submit", str(pack), "--against", "publisehd", cwd=tmp_path)
    assert "publisehd is not a pack of published results" in typo
    assert not (tmp_path / "submission").exists()


def test_a_submission_is_there_as_a_whole_or_not_at_all(pack, published, tmp_path, monkeypatch):
    monkeypatch.setattr(submit, "_text", lambda *_: "\udcff")
    with pytest.raises(UnicodeEncodeError):
        called("submit", str(pack), "--against", str(published), cwd=tmp_path)
    assert not (tmp_path / "submission").exists()
    monkeypatch.undo()
    named = pack.rename(pack.with_name("my results.parquet"))
    done = called("submit", str(named), "--against", str(published), cwd=tmp_path)
    place, text = map(tmp_path.joinpath, done.stdout.splitlines()[-2:])
    assert place.read_bytes() == named.read_bytes()
    quoted = place.relative_to(tmp_path / "submission").as_posix()
    assert f"`bench verify '{quoted}' --sample 1`" in text.read_text()


def test_other_ranks_of_a_published_key_are_a_problem(published, settings, tmp_path):
    store = Store(tmp_path / "runs")
    finish(store.root)
    publish(store, tmp_path / "mine", store.experiments(), COMMIT)
    pack = tmp_path / "mine" / "ml-100k.parquet"
    tampered(pack, ranks=lambda r: {"better_all": r.better_all + 1}, phases=("test",))
    found = check_pack(pack, published_experiments(str(published)), settings)
    assert any("published with other ranks" in problem for problem in found.problems)


def test_targets_of_a_split_by_time_are_no_measure_of_others(pack, settings, published, tmp_path):
    store = Store(tmp_path / "by time")
    rules = Protocol.parse({"split": "temporal"}, "test")
    (first,) = published_experiments(str(published))
    own = finish(store.root, protocol=rules)
    timed = PublishedExperiment.of(own, None, COMMIT, {})
    moved = {phase: dataclasses.replace(r, target=r.target + 1) for phase, r in timed.ranks.items()}
    timed = dataclasses.replace(timed, ranks=moved)
    for known in ([timed, first], [first, timed]):
        assert check_pack(pack, known, settings).problems == []


def test_collapsed_scores_and_missing_baselines_are_alarms(pack, settings, published):
    tampered(
        pack,
        ranks=lambda r: {
            "better_all": np.zeros_like(r.better_all),
            "ties_all": np.full_like(r.ties_all, 999),
            "better_unseen": np.zeros_like(r.better_all),
            "ties_unseen": np.full_like(r.ties_all, 899),
        },
        phases=("test",),
    )
    found = check_pack(pack, published_experiments(str(published)), settings)
    assert not found.problems
    assert any("100.0% of the targets share their score" in alarm for alarm in found.alarms)
    assert any("no better than chance" in alarm for alarm in found.alarms)
    tampered(pack, experiment={"backbone": "caser", "backbone_settings": {}})
    found = check_pack(pack, published_experiments(str(published)), settings)
    assert any("have a bare backbone to compare with" in alarm for alarm in found.alarms)


def test_a_row_copied_under_another_seed_is_an_alarm(pack, settings, published):
    known = [*published_experiments(str(published)), *read_published(pack)]
    assert not check_pack(pack, known, settings).alarms
    tampered(pack, experiment={"seed": 2})
    found = check_pack(pack, known, settings)
    assert ["its ranks are those of seed 1" in alarm for alarm in found.alarms] == [True]


def test_tuned_rows_have_searched_equally(pack, settings, published):
    def problems(trials):
        spent = {"pruned": 1, "seconds": 9.0, "default": None, "best": 0.1}
        search = {} if trials is None else {"search": {"trials": trials, **spent}}
        run = {"name": "mine", "spec": {}, "tuned": True, **search}
        tampered(pack, run=lambda _: run)
        found = check_pack(pack, known, settings).problems
        return [problem for problem in found if "search" in problem]

    known = published_experiments(str(published))
    assert not problems(8)
    known += [
        dataclasses.replace(one, texts={**one.texts, "key": "0" * 64})
        for one in read_published(pack)
    ]
    assert not problems(8)
    assert problems(20)[0].endswith("its search had 20 trials, those of other tuned rows 8")
    assert problems(None)[0].endswith("run it again with --tuned")


def test_without_anything_published_the_data_on_this_machine_decide(pack, settings):
    found = check_pack(pack, [], settings)
    assert any("not on this machine" in problem for problem in found.problems)


def test_every_published_pack_passes(settings):
    """CI refuses an added pack that 'bench submit' refuses."""
    everything = published_experiments("reference")
    for path in sorted(published_folder().glob("*.parquet")):
        assert not check_pack(path, everything, settings).problems


@pytest.mark.data
def test_every_published_pack_is_about_the_real_data(real_data_dir):
    here = Settings.from_environment(data=real_data_dir)
    found = [entry.experiment for entry in published_experiments("reference")]
    for name in {one.dataset for one in found if MARK not in one.dataset}:
        expected = load_dataset(name, here).fingerprint
        assert {one.fingerprint for one in found if one.dataset == name} == {expected}
