"""The published form: what comes back equals what went in, and a damaged file says so."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import refused
from made_up_store import make_experiment, save
from packs import COMMIT, USERS, decisions, finish, ranks

from bench.api import load
from bench.errors import BenchError, ConfigError, StoreError
from bench.packs.publish import publish, restore, unpack
from bench.packs.published import read_published, users_that_differ, write_published
from bench.plan.experiment import IMPORTED
from bench.plan.grid import PlannedExperiment
from bench.plan.protocol import PHASES, Protocol, TemporalSplit
from bench.plan.spec import Spec
from bench.reports.report import render
from bench.reports.request import Request
from bench.runs.record import Search, begin_record, read_records
from bench.runs.store import Store


@pytest.fixture
def store(tmp_path):
    root = tmp_path / "runs"
    finish(root)
    finish(root, seed=2)
    finish(root, "hsd")
    return Store(root)


@pytest.fixture
def pack(store, tmp_path):
    written = publish(store, tmp_path / "published", store.experiments(), COMMIT)
    assert list(written.values()) == [3]
    return tmp_path / "published" / "ml-100k.parquet"


def test_ranks_metadata_and_curves_come_back(store, pack):
    found = {entry.key: entry for entry in read_published(pack)}
    for stored in store.experiments():
        entry = found[stored.key]
        assert entry.experiment == stored.experiment
        assert entry.parts.curve == stored.curve
        assert entry.commit == COMMIT
        assert entry.parts.metadata.seconds == stored.metadata.seconds
        for phase in PHASES:
            for name, values in stored.ranks(phase).columns().items():
                assert np.array_equal(values, entry.ranks[phase].columns()[name])


def test_decisions_are_counted_by_fifths_of_the_targets(pack):
    [entry] = [one for one in read_published(pack) if one.experiment.method == "hsd"]
    own, counts = decisions(), entry.parts.drops["test"]
    # Every made-up target has one training interaction, so there is one bucket.
    assert counts.item_count.tolist() == [1]
    assert counts.interactions.tolist() == [500]
    assert counts.dropped.tolist() == [int((~own.keep).sum())]


def test_a_report_of_the_unpacked_store_is_that_of_the_store(store, pack, tmp_path):
    merged = unpack(pack, Store(tmp_path / "again"))
    assert len(merged.added) == 3
    names = ("overall", "improvement", "significance", "denoising", "cost")
    ours, theirs = (
        render(root, Request(tables=names)) for root in (store.root, tmp_path / "again")
    )
    assert ours == theirs
    assert "Denoise ratio" in ours
    assert len(load(tmp_path / "again")) == 3


def test_the_file_holds_the_smallest_integers_and_no_interaction(pack):
    schema = pq.read_schema(pack)
    assert str(schema.field("test_better_all").type.value_type) == "uint16"
    assert str(schema.field("test_ties_all").type.value_type) == "uint8"
    assert not [name for name in schema.names if "user" in name or "keep" in name]
    table = pq.read_table(pack)
    # What experiments on the same data share is in the first row alone.
    assert table["test_target"].null_count == 2


def test_packs_are_united_and_equal_whatever_the_order(store, pack, tmp_path):
    both = sorted(store.experiments(), key=lambda stored: stored.key)
    for number, part in enumerate((both[:1], both[1:], both)):
        assert publish(store, tmp_path / "b", part, COMMIT) == {
            tmp_path / "b" / "ml-100k.parquet": (1, 3, 3)[number]
        }
    assert (tmp_path / "b" / "ml-100k.parquet").read_bytes() == pack.read_bytes()


def test_another_result_of_the_same_key_is_refused(store, pack, tmp_path):
    entries = read_published(pack)
    other = dataclasses.replace(entries[0], ranks={phase: ranks(7) for phase in PHASES})
    write_published(tmp_path / "p" / "ml-100k.parquet", [other])
    with pytest.raises(
        StoreError, match=r"has other ranks in .*runs than in .*ml-100k.parquet; nothing"
    ):
        publish(store, tmp_path / "p", store.experiments(), COMMIT)


def test_the_specification_travels_and_tuned_rows_stay_tuned(store, pack, tmp_path):
    datasets = ["ml-100k", "/home/me/card.yaml"]
    spec = Spec.parse({"name": "mine", "datasets": datasets, "methods": ["none"]}, "mine")
    plan = [PlannedExperiment(one.experiment, "ml-100k") for one in store.experiments()]
    searches = [
        Search(trials=8, pruned=n, seconds=60.0, default=None, best=0.1) for n in range(len(plan))
    ]
    begin_record(store.root, spec, plan, ["bench", "run", "--store", "/home/me"], searches)
    publish(store, tmp_path / "p", store.experiments(), COMMIT)
    assert b"/home/me" not in (tmp_path / "p" / "ml-100k.parquet").read_bytes()
    restored = restore(read_published(tmp_path / "p" / "ml-100k.parquet"), tmp_path / "again")
    [record] = read_records(restored.root)
    assert (record.name, record.tuned, len(record.experiments)) == ("mine", True, 3)
    pruned = {one.experiment.key: n for n, one in enumerate(plan)}
    assert {key: found.pruned for key, found in record.searches.items()} == pruned


def test_an_unknown_commit_is_asked_for(store, tmp_path):
    with pytest.raises(ConfigError, match="--commit"):
        publish(store, tmp_path / "p", store.experiments())
    with pytest.raises(ConfigError, match="all 40 digits"):
        publish(store, tmp_path / "p", store.experiments(), "266c7ce")


def test_a_users_own_data_set_is_not_published(tmp_path):
    stored = finish(tmp_path / "runs")
    about = stored.metadata.model_copy(update={"card": "/home/me/card.yaml"})
    save(tmp_path / "own", stored.experiment, ranks(), about)
    with pytest.raises(ConfigError, match="data set of your own"):
        publish(
            Store(tmp_path / "own"), tmp_path / "p", Store(tmp_path / "own").experiments(), COMMIT
        )


def rewritten(path, change):
    """Write a pack again after a change to its table."""
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def with_cell(table, name, value):
    values = [value, *table[name].to_pylist()[1:]]
    return table.set_column(
        table.schema.get_field_index(name), name, pa.array(values, table[name].type)
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.slice(0, 2), "an experiment is missing"),
        (lambda t: t.drop_columns("curve"), "its columns are not those of a pack"),
        (lambda t: t.replace_schema_metadata({}), "b'bench'"),
        (lambda t: t.replace_schema_metadata({b"bench": b"[" * 10**5}), "recursion depth"),
        (lambda t: with_cell(t, "test_better_all", [0] * 40), "does not match its checksum"),
        (lambda t: with_cell(t, "curve", "[]"), "does not match its checksum"),
        (lambda t: with_cell(t, "test_ties_all", [0] * 39), "not of equal length"),
        (lambda t: with_cell(t, "test_target", None), "does not match|test_target"),
        (lambda t: with_cell(t, "metadata", "{"), "Invalid JSON"),
        (lambda t: with_cell(t, "experiment", None), "."),
    ],
)
def test_a_damaged_pack_is_refused(pack, change, reason):
    rewritten(pack, change)
    with pytest.raises(StoreError, match=reason) as caught:
        read_published(pack)
    assert str(pack) in str(caught.value)


def test_any_flipped_byte_is_noticed_or_does_not_matter(pack):
    """Of a pack's bytes, some are padding; none may change what is read."""
    whole = pack.read_bytes()
    before = [entry.checksum for entry in read_published(pack)]
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(whole), 40):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        pack.write_bytes(damaged)
        try:
            after = [entry.checksum for entry in read_published(pack)]
        except BenchError:
            continue
        assert after == before


def test_a_later_format_is_named(pack):
    about = json.loads(pq.read_schema(pack).metadata[b"bench"])
    text = json.dumps({**about, "format": 99})
    rewritten(pack, lambda table: table.replace_schema_metadata({b"bench": text}))
    with pytest.raises(StoreError, match="format 99"):
        read_published(pack)


def test_other_files_are_no_packs(tmp_path):
    for content in (b"", b"PAR1", b"PK\x03\x04"):
        (tmp_path / "x.parquet").write_bytes(content)
        with pytest.raises(StoreError, match="is not a pack of published results"):
            read_published(tmp_path / "x.parquet")
    with pytest.raises(StoreError, match="absent"):
        read_published(tmp_path / "absent.parquet")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("key", "/../../../precious", "key: String should match pattern"),
        ("finished", "nan", "finished: Input should be less"),
        ("finished", "1e300", "finished: Input should be less"),
    ],
)
def test_a_key_that_is_a_path_and_times_that_are_none_are_refused(
    pack, tmp_path, column, value, reason
):
    """The checksum fits: whoever writes a pack computes it."""
    victim = tmp_path / "precious"
    victim.mkdir()
    entry = read_published(pack)[0]
    entry.parts  # noqa: B018 - kept, so that the writer does not read the texts again
    entry.texts[column] = value
    write_published(tmp_path / "evil.parquet", [entry])
    with pytest.raises(StoreError, match=reason):
        unpack(tmp_path / "evil.parquet", Store(tmp_path / "a" / "b" / "again"))
    assert victim.is_dir()


def forged(pack, folder, ranks=None, **texts):
    """Write a pack with another row; its checksums fit, as whoever writes a pack computes them."""
    entry = next(one for one in read_published(pack) if one.experiment.method == "hsd")
    made = {p: dataclasses.replace(r, **ranks(r)) if ranks else r for p, r in entry.ranks.items()}
    entry = dataclasses.replace(entry, ranks=made)
    entry.parts  # noqa: B018 - kept, so that the writer does not read the texts again
    entry.texts.update({name: change(entry.texts[name]) for name, change in texts.items()})
    write_published(folder / "forged.parquet", [entry])
    return folder / "forged.parquet"


def dropping(**counts):
    """A change of what is dropped of one fifth; the true counts are 500 and some."""
    return lambda text: json.dumps(
        {part: {**own, **counts} for part, own in json.loads(text).items()},
        sort_keys=True,
        separators=(",", ":"),
    )


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ({"drops": dropping(dropped=[501])}, "more interactions are dropped than there are"),
        ({"drops": dropping(dropped=[-1])}, "or fewer than none"),
        ({"drops": dropping(dropped=[1.5])}, "dropped is not one whole number for each"),
        ({"drops": dropping(dropped=[1, 2])}, "dropped is not one whole number for each"),
        ({"drops": dropping(dropped=[[1]])}, "dropped is not one whole number for each"),
        ({"drops": dropping(dropped=1)}, "dropped is not one whole number for each"),
        ({"drops": dropping(dropped=[0], interactions=[0])}, "there are no interactions"),
        ({"metadata": lambda text: '{"epochs":99,' + text[1:]}, "is not as bench writes it"),
        (
            {"metadata": lambda text: text.replace('"seconds":{', '"seconds":{"x":NaN,')},
            "Out of range",
        ),
        ({"key": lambda _: "0" * 64}, "its key does not match its settings"),
    ],
)
def test_texts_that_cannot_be_are_refused(pack, tmp_path, texts, reason):
    path = forged(pack, tmp_path, **texts)
    with pytest.raises(StoreError, match=f"forged.parquet is not a pack .*{reason}.*; get it"):
        unpack(path, Store(tmp_path / "again"))
    assert not [*(tmp_path / "again").rglob("*.json")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: {"better_all": r.better_all + 2000}, "beyond the number of candidates"),
        (lambda r: {"target": 0 * r.target}, "a target is not an item"),
        (lambda r: {"user": 0 * r.target}, "the targets name users"),
    ],
)
def test_impossible_ranks_are_refused_wherever_a_pack_is_read(pack, tmp_path, change, reason):
    """A report, a site and a submission as much as a store that takes them in."""
    path = str(forged(pack, tmp_path, change))
    for words in (
        ("store", "unpack", path),
        ("submit", path, "--against", path),
        ("site", "--out", "site", "--packs", path),
        ("report", "--against", path),
    ):
        assert reason in refused(*words, cwd=tmp_path)
    assert not (tmp_path / "site").exists()
    assert not (tmp_path / "submission").exists()


def test_a_small_file_that_fills_the_memory_is_refused(pack):
    """Where a column is a dictionary, each row repeats its text for next to nothing."""
    first = pq.read_table(pack).slice(0, 1)
    rows, text = 300, " " * 2**23
    columns = {
        field.name: pa.array(first[field.name].to_pylist() * rows, field.type)
        for field in first.schema
    }
    columns["curve"] = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
    table = pa.table(columns)
    with pq.ParquetWriter(
        pack, table.schema, store_schema=False, dictionary_pagesize_limit=2**30
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(first.schema.metadata)
    assert pack.stat().st_size < 2**22
    with pytest.raises(StoreError, match="it unpacks to more than 2,147,483,648 bytes"):
        read_published(pack)


def test_nothing_is_written_where_one_of_two_packs_conflicts(store, tmp_path):
    finish(store.root, dataset="beauty")
    folder = tmp_path / "p"
    publish(store, folder, store.experiments(), COMMIT)
    (folder / "beauty.parquet").unlink()
    [first, *rest] = read_published(folder / "ml-100k.parquet")
    other = dataclasses.replace(first, ranks={phase: ranks(7) for phase in PHASES})
    write_published(folder / "ml-100k.parquet", [other, *rest])
    with pytest.raises(StoreError, match="nothing was written"):
        publish(store, folder, store.experiments(), COMMIT)
    assert not (folder / "beauty.parquet").exists()


def test_results_after_a_split_by_time_keep_whose_each_target_is(store, pack, tmp_path):
    """Beside others in one file, which is unchanged where there are none."""
    timed = Protocol(split=TemporalSplit(targets="all"))
    owners = np.repeat(np.arange(USERS // 4, dtype=np.int32), 4)
    for method in ("none", "hsd"):
        made = dataclasses.replace(ranks(len(method)), user=owners)
        save(store.root, make_experiment(method, protocol=timed), made)
    publish(store, tmp_path / "both", store.experiments(), COMMIT)
    file = tmp_path / "both" / "ml-100k.parquet"
    again = Store(tmp_path / "again")
    assert len(unpack(file, again).added) == 5
    for stored in store.experiments():
        assert users_that_differ(stored.ranks("test"), again.load(stored.key).ranks("test")) == 0
        found = again.load(stored.key).ranks("validation").user
        if stored.experiment.protocol.split == "leave-one-out":
            assert found is None
        else:
            assert found.tolist() == owners.tolist()
    shown = [
        render(root, Request(tables=("overall", "protocols"))) for root in (store.root, again.root)
    ]
    assert shown[0] == shown[1]
    assert "Kendall" in shown[0]
    assert not [name for name in pq.read_schema(pack).names if name.endswith("_user")]
    rest = [one for one in read_published(file) if one.experiment.protocol != timed]
    write_published(tmp_path / "rest.parquet", rest)
    assert (tmp_path / "rest.parquet").read_bytes() == pack.read_bytes()


def test_imported_ranks_that_are_not_all_known_are_not_published(tmp_path):
    root = tmp_path / "runs"
    unknown = dataclasses.replace(ranks(), better_unseen=np.full(USERS, -1, np.int32))
    save(root, make_experiment("imported:llm", code=IMPORTED), unknown)
    with pytest.raises(ConfigError, match="imported:llm/seed 1 was imported from a file that does"):
        publish(Store(root), tmp_path / "p", Store(root).experiments(), COMMIT)
    assert not (tmp_path / "p").exists()
