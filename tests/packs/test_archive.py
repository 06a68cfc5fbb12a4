"""Packs of whole stores: they come back, and what was tampered with is refused."""

import hashlib
import json
import zipfile

import pytest
from packs import finish, ranks

from bench.errors import StoreError
from bench.hashing import content_hash
from bench.packs.archive import pack
from bench.packs.inventory import read_tags, write_tag
from bench.packs.publish import unpack
from bench.plan.grid import PlannedExperiment
from bench.plan.protocol import PHASES
from bench.plan.spec import Spec
from bench.reports.report import render
from bench.runs.record import begin_record, read_records
from bench.runs.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    finished = [finish(store.root), finish(store.root, "hsd")]
    write_tag(store.root, "paper", [finished[0].key])
    work = store.work("b" * 64)
    work.mkdir(parents=True)
    (work / "checkpoint.safetensors").write_bytes(b"1234")
    return store


@pytest.fixture
def file(store, tmp_path):
    assert pack(store, tmp_path / "p.zip", [s.key for s in store.experiments()]) == 2
    return tmp_path / "p.zip"


def test_a_store_comes_back(store, file, tmp_path):
    again = Store(tmp_path / "again")
    assert len(unpack(file, again).added) == 2
    assert len(unpack(file, again).equal) == 2
    assert render(again.root) == render(store.root)
    assert read_tags(again.root) == read_tags(store.root)
    assert not again.work("b" * 64).exists()


def test_checkpoints_come_along_where_asked(store, tmp_path):
    pack(store, tmp_path / "p.zip", [], checkpoints=True)
    again = Store(tmp_path / "again")
    assert not unpack(tmp_path / "p.zip", again).added
    assert (again.work("b" * 64) / "checkpoint.safetensors").read_bytes() == b"1234"


def test_weights_stay_unless_asked_for(tmp_path):
    from safetensors.numpy import save_file

    store = Store(tmp_path / "runs")
    stored = finish(store.root)
    save_file({"a": ranks().target}, tmp_path / "w")
    from bench.plan.result import ExperimentResult

    result = ExperimentResult(
        {phase: stored.ranks(phase) for phase in PHASES},
        stored.curve,
        stored.metadata,
        weights=tmp_path / "w",
    )
    store.save(stored.experiment, result)
    for checkpoints in (False, True):
        target = Store(tmp_path / str(checkpoints))
        pack(store, tmp_path / "p.zip", [stored.key], checkpoints=checkpoints)
        unpack(tmp_path / "p.zip", target)
        assert (target.load(stored.key).weights is not None) == checkpoints
        assert not target.load(stored.key).problems()


def test_a_damaged_experiment_is_not_packed(store, tmp_path):
    stored = next(store.experiments())
    (stored.folder / "ranks-test.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match="nothing was packed"):
        pack(store, tmp_path / "p.zip", [stored.key])
    assert not (tmp_path / "p.zip").exists()


def forge(path, members, *, listed=None, sizes=None):
    """Write a pack whose manifest fits its members, or as it is told."""
    files = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members
    }
    files = {**files, **(sizes or {})} if listed is None else listed
    head = {"format": 1, "files": files}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", json.dumps({**head, "sha256": content_hash(head)}))
        for name, data in members:
            file.writestr(name, data)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "/etc/evil.json",
        "experiments/../../evil.json",
        "experiments/a/../../../evil.json",
        "experiments\\..\\evil",
        "runs/a/b.json",
        "tracking/mlflow.db",
        "locks/x.lock",
        "experiments/.hidden/x",
        "C:/evil",
    ],
)
def test_no_member_leaves_the_store(tmp_path, name):
    forge(tmp_path / "x.zip", [(name, b"{}")])
    with pytest.raises(StoreError, match=r"does not belong to a store|is not a regular file"):
        unpack(tmp_path / "x.zip", Store(tmp_path / "inside" / "target"))
    assert not list(tmp_path.rglob("*evil*"))


def test_links_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("manifest.json", "{}")
        link = zipfile.ZipInfo("runs/a.json")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(StoreError, match="is not a regular file"):
        unpack(tmp_path / "x.zip", Store(tmp_path / "target"))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    forge(tmp_path / "x.zip", [("work/a/checkpoint", bytes(50_000_000))])
    with pytest.raises(StoreError, match="would unpack to"):
        unpack(tmp_path / "x.zip", Store(tmp_path / "target"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"listed": {}}, "does not list its members"),
        ({"listed": {"runs/a.json": {"size": 2, "sha256": "0" * 64}}}, "does not match its check"),
        ({"listed": {"runs/a.json": {"size": 9, "sha256": "0" * 64}}}, "has another size"),
        ({"listed": {"runs/a.json": {"size": -1, "sha256": ""}}}, "cannot be read"),
        ({"listed": 3}, "cannot be read"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path, options, reason):
    forge(tmp_path / "x.zip", [("runs/a.json", b"{}")], **options)
    with pytest.raises(StoreError, match=reason):
        unpack(tmp_path / "x.zip", Store(tmp_path / "target"))


def test_a_folder_that_holds_another_experiment_is_refused(store, tmp_path):
    """Or it would take the place of the one that it is named after."""
    folders = sorted((store.root / "experiments").iterdir())
    members = [
        (f"experiments/{folders[0].name}/{path.name}", path.read_bytes())
        for path in folders[1].iterdir()
    ]
    forge(tmp_path / "x.zip", members)
    with pytest.raises(StoreError, match=r"nothing of .*p?.zip was merged"):
        unpack(tmp_path / "x.zip", Store(tmp_path / "target"))


@pytest.mark.parametrize("cut", [0.3, 0.99])
def test_a_cut_file_is_refused(file, tmp_path, cut):
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(StoreError, match="is not a pack of a results store"):
        unpack(file, Store(tmp_path / "target"))
    assert not (tmp_path / "target" / "experiments").exists()


def test_flipped_bytes_never_pass(store, file, tmp_path):
    """Every byte of a member counts; of the ZIP's own fields, some mean nothing."""
    import random

    whole, keys = file.read_bytes(), {stored.key for stored in store.experiments()}
    draw = random.Random(3)
    for number in range(30):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 0xFF
        file.write_bytes(damaged)
        target = Store(tmp_path / f"target{number}")
        try:
            unpack(file, target)
        except StoreError:
            continue
        assert render(target.root) == render(store.root)
        assert {stored.key for stored in target.experiments()} == keys


def test_what_a_killed_run_leaves_and_a_name_without_letters_come_back(store, tmp_path):
    (store.work("b" * 64) / ".checkpoint.safetensors.1.0123abcd.tmp").write_bytes(b"12")
    stored = next(store.experiments())
    spec = Spec.parse({"name": "\u5b9e\u9a8c", "datasets": ["ml-100k"], "methods": ["none"]}, "s")
    begin_record(store.root, spec, [PlannedExperiment(stored.experiment, "ml-100k")], ["bench"])
    pack(store, tmp_path / "p.zip", [stored.key], checkpoints=True)
    again = Store(tmp_path / "again")
    unpack(tmp_path / "p.zip", again)
    assert [path.name for path in again.work("b" * 64).iterdir()] == ["checkpoint.safetensors"]
    assert "\u5b9e\u9a8c" in [record.name for record in read_records(again.root)]


def test_what_others_put_into_an_experiment_is_not_packed(store, tmp_path):
    stored = next(store.experiments())
    for name in (".DS_Store", "my notes.txt"):
        (stored.folder / name).write_text("x")
    pack(store, tmp_path / "p.zip", [stored.key])
    again = Store(tmp_path / "again")
    assert unpack(tmp_path / "p.zip", again).added == [stored.key]
    assert {path.name for path in again.load(stored.key).folder.iterdir()} == {
        path.name for path in stored.folder.iterdir()
    } - {".DS_Store", "my notes.txt"}


def test_a_pack_that_nobody_could_unpack_is_not_written(store, tmp_path):
    key = next(store.experiments()).key
    write_tag(store.root, "Paper", [key])
    write_tag(store.root, "paper", [key])
    with pytest.raises(StoreError, match=r"nothing was packed: member 'tags/paper.json' is there"):
        pack(store, tmp_path / "p.zip", [key])
    assert not (tmp_path / "p.zip").exists()


@pytest.mark.parametrize("kind", ["text", "another archive"])
def test_only_a_pack_is_replaced_by_a_pack(store, file, tmp_path, kind):
    thesis = tmp_path / "thesis.docx"
    if kind == "text":
        thesis.write_text("years of work")
    else:
        with zipfile.ZipFile(thesis, "w") as archive:
            archive.writestr("word/document.xml", "years of work")
    before = thesis.read_bytes()
    keys = [stored.key for stored in store.experiments()]
    with pytest.raises(StoreError, match=r"thesis.docx exists and is not a pack"):
        pack(store, thesis, keys)
    assert thesis.read_bytes() == before
    assert pack(store, file, keys) == 2


def test_a_pack_is_known_by_its_content_whatever_its_name(store, tmp_path):
    pack(store, tmp_path / "p.parquet", [stored.key for stored in store.experiments()])
    assert len(unpack(tmp_path / "p.parquet", Store(tmp_path / "again")).added) == 2


def test_a_run_record_whose_key_is_a_path_is_refused(file, tmp_path):
    key = "/../../../zz"
    run = {"key": key, "name": "s", "spec": {}, "experiments": [], "labels": []}
    about = {**run, "command": [], "begun": 1.0}
    forge(tmp_path / "evil.zip", [("runs/s-1.json", json.dumps(about).encode())])
    with pytest.raises(StoreError, match="key: String should match pattern"):
        unpack(tmp_path / "evil.zip", Store(tmp_path / "sub" / "again"))
    assert not [*tmp_path.rglob("zz*")]
