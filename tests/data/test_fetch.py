"""Downloads against a server on the loopback address: whole, verified, resumed, or nothing."""

import contextlib
import hashlib
import io
import json
import random
import subprocess
import zipfile
from pathlib import Path

import pytest
from own_cards import EXPECTED, histories, load, sequences_card, write_card
from serving import Site, serve

from bench.data import archive, download
from bench.data.archive import extract
from bench.data.fetch import fetch_card, provenance
from bench.data.load import verify
from bench.errors import DataError, StoreError
from bench.plan.data_card import Member, Wheel, load_card
from bench.settings import Settings

BIG = random.Random(0).randbytes(600_000)


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("BENCH_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def site(tmp_path):
    sequences_card(tmp_path / "origin")
    files = {name: (tmp_path / "origin" / name).read_bytes() for name in ("seq.txt", "items.tsv")}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name, content in files.items():
            opened.writestr(f"inner/{name}", content)
    with serve(Site({**files, "all.zip": packed.getvalue(), "big": BIG})) as running:
        yield running


@pytest.fixture
def get(site, tmp_path):
    """Download ``big`` and return (its SHA-256, the target)."""

    def run(sha256=None, report=lambda *_: None):
        target = tmp_path / "big"
        return download.download(f"{site.url}/big", target, sha256, report), target

    return run


def files_card(folder, site, **shas):
    sources = [
        {"url": f"{site.url}/{name}", "role": role, **({"sha256": shas[role]} if shas else {})}
        for role, name in (("sequences", "seq.txt"), ("items", "items.tsv"))
    ]
    files = {"sequences": "seq.txt", "items": "items.tsv"}
    return write_card(folder, format="sequences", files=files, sources=sources)


def zip_card(folder, site, path="inner/seq.txt", **member):
    source = {
        "url": f"{site.url}/all.zip",
        "members": {"sequences": {"path": path, **member}, "items": {"path": "inner/items.tsv"}},
    }
    files = {"sequences": "seq.txt", "items": "items.tsv"}
    return write_card(folder, format="sequences", files=files, sources=[source])


def left_over(tmp_path):
    return sorted(path.name for path in (tmp_path / "data").rglob("*") if path.is_file())


def test_a_download_arrives_whole_and_reports_its_progress(get):
    reported = []
    digest, target = get(sha(BIG), lambda done, total: reported.append((done, total)))
    assert target.read_bytes() == BIG
    assert digest == sha(BIG)
    assert reported[-1] == (len(BIG), len(BIG))
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)


def test_a_download_replaces_what_is_there(get, tmp_path):
    (tmp_path / "big").write_bytes(b"older")
    _, target = get()
    assert target.read_bytes() == BIG


def test_an_interrupted_transfer_goes_on_where_it_stopped(site, get, tmp_path):
    site.break_after = [100_000, 200_000]
    digest, target = get()
    assert (digest, target.read_bytes()) == (sha(BIG), BIG)
    assert [wanted for _, wanted in site.requests] == [None, "bytes=100000-", "bytes=300000-"]
    assert sorted(path.name for path in tmp_path.iterdir() if "part" in path.name) == []


def test_a_later_call_goes_on_where_a_failed_one_stopped(site, get, tmp_path):
    site.break_after = [1000] * 4
    with pytest.raises(DataError, match="the download continues where it stopped"):
        get()
    assert not (tmp_path / "big").exists()
    _, target = get()
    assert target.read_bytes() == BIG
    assert site.requests[-1] == ("big", "bytes=4000-")


def test_a_server_without_ranges_starts_again(site, get):
    site.break_after, site.ranges = [100_000], False
    _, target = get()
    assert target.read_bytes() == BIG


def test_a_file_that_changed_meanwhile_is_not_mixed(site, get):
    site.break_after = [1000] * 4
    with pytest.raises(DataError):
        get()
    site.files["big"] = BIG[::-1]
    _, target = get()
    assert target.read_bytes() == BIG[::-1]


@pytest.mark.parametrize("size", [4000, 700_000], ids=["spoilt", "longer than the file"])
def test_a_wrong_part_is_thrown_away_once_and_fetched_anew(size, site, get, tmp_path):
    site.break_after = [1000] * 4
    with pytest.raises(DataError):
        get(sha(BIG))
    (tmp_path / "big.part").write_bytes(b"x" * size)
    _, target = get(sha(BIG))
    assert target.read_bytes() == BIG


@pytest.mark.parametrize(
    "state",
    ["[]", "7", "{", '{"url": 1, "version": 2}', '{"url": "URL", "version": "a\\nb"}', "\xff"],
)
def test_a_damaged_state_of_a_part_starts_again(state, site, get, tmp_path):
    (tmp_path / "big.part").write_bytes(b"x" * 4000)
    (tmp_path / "big.part.json").write_bytes(
        state.replace("URL", f"{site.url}/big").encode("latin-1")
    )
    _, target = get(sha(BIG))
    assert target.read_bytes() == BIG
    assert site.requests == [("big", None)]


def test_a_length_that_is_no_number_is_unknown(site, get):
    site.length = "many"
    reported = []
    get(sha(BIG), lambda done, total: reported.append(total))
    assert set(reported) == {None}


def test_a_wrong_checksum_leaves_nothing(site, get, tmp_path):
    with pytest.raises(DataError) as caught:
        get("0" * 64)
    assert sha(BIG) in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert not list(tmp_path.glob("big*"))


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(site, get):
    site.status = [503, 503]
    assert get()[0] == sha(BIG)
    site.requests.clear()
    site.status = [404]
    with pytest.raises(DataError, match="answers 404"):
        get()
    assert len(site.requests) == 1


def test_an_unreachable_server_is_one_sentence(site, tmp_path):
    with pytest.raises(DataError, match="check the network"):
        download.download("http://127.0.0.1:9/x", tmp_path / "x", None, lambda *_: None)


class Full(io.BytesIO):
    def write(self, _):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_one_sentence(get, monkeypatch):
    opened = Path.open
    part = lambda path, *mode, **more: (  # noqa: E731
        Full() if path.name == "big.part" else opened(path, *mode, **more)
    )
    monkeypatch.setattr(Path, "open", part)
    with pytest.raises(StoreError, match=r"No space left on device; free space"):
        get()


@pytest.mark.parametrize("card", [files_card, zip_card])
def test_fetching_gives_the_data_set_and_records_where_from(card, site, tmp_path):
    path = card(tmp_path, site)
    assert histories(load(path, fetch=True)) == EXPECTED
    assert left_over(tmp_path) == [".fetch.lock", "items.tsv", "provenance.json", "seq.txt"]
    known = provenance(tmp_path / "data" / "mine")
    assert known["seq.txt"].sha256 == sha(site.files["seq.txt"])
    assert known["seq.txt"].source.startswith(site.url)
    asked = len(site.requests)
    load(path, fetch=True)
    assert len(site.requests) == asked


def test_an_archive_replaces_no_file_of_the_users(site, tmp_path):
    own = tmp_path / "data" / "mine" / "all.zip"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"something else of that name")
    assert histories(load(zip_card(tmp_path, site), fetch=True)) == EXPECTED
    assert own.read_bytes() == b"something else of that name"


@pytest.mark.parametrize(
    "content",
    ['{"seq.txt": "x"}', '{"seq.txt": {"sha256": 5, "source": "x"}}', "[]", "7", "{", "[" * 9999],
)
def test_a_damaged_record_is_named_with_the_remedy(content, tmp_path):
    (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(StoreError, match=r"provenance.json is .*damaged .*; delete it"):
        provenance(tmp_path)


def test_without_fetch_nothing_is_asked(site, tmp_path):
    with pytest.raises(DataError, match="bench data fetch mine"):
        load(files_card(tmp_path, site))
    assert site.requests == []


def test_offline_forbids_the_network(site, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(DataError, match=r"bench run planted.*BENCH_OFFLINE forbids"):
        load(files_card(tmp_path, site), fetch=True)
    assert site.requests == []


def test_a_checksum_of_the_card_is_enforced(site, tmp_path):
    right = {"sequences": sha(site.files["seq.txt"]), "items": sha(site.files["items.tsv"])}
    wrong = files_card(tmp_path, site, **{**right, "items": "0" * 64})
    with pytest.raises(DataError, match="expected 0000"):
        load(wrong, fetch=True)
    assert "items.tsv" not in left_over(tmp_path)
    card = files_card(tmp_path, site, **right)
    assert histories(load(card, fetch=True)) == EXPECTED


def test_the_first_fetch_is_compared_on_the_second(site, tmp_path):
    card = load_card(zip_card(tmp_path, site))
    fetch_card(card, Settings.from_environment())
    fetch_card(card, Settings.from_environment(), again=True)
    before = (tmp_path / "data" / "mine" / "seq.txt").read_bytes()
    site.files["all.zip"] += b"\0"
    with pytest.raises(DataError, match="does not match the known hash"):
        fetch_card(card, Settings.from_environment(), again=True)
    assert (tmp_path / "data" / "mine" / "seq.txt").read_bytes() == before


def test_a_member_with_another_checksum_is_refused(site, tmp_path):
    card = zip_card(tmp_path, site, sha256="0" * 64)
    with pytest.raises(DataError, match=r"'inner/seq.txt' of http.* has SHA-256"):
        load(card, fetch=True)
    assert left_over(tmp_path) == [".fetch.lock"]


def test_fetching_again_keeps_the_old_files_when_the_new_ones_are_wrong(site, tmp_path):
    fetch_card(load_card(zip_card(tmp_path, site)), Settings.from_environment())
    before = {path.name: path.read_bytes() for path in (tmp_path / "data" / "mine").iterdir()}
    card = load_card(zip_card(tmp_path, site, sha256="0" * 64))
    with pytest.raises(DataError, match=r"'inner/seq.txt' of http.* has SHA-256"):
        fetch_card(card, Settings.from_environment(), again=True)
    after = {path.name: path.read_bytes() for path in (tmp_path / "data" / "mine").iterdir()}
    assert after == before


@pytest.mark.parametrize("path", ["../seq.txt", "/etc/passwd", "inner/../../x", "a\\..\\b"])
def test_a_member_that_leaves_the_archive_is_refused(path, site, tmp_path):
    with pytest.raises(DataError, match="leaves the archive"):
        load(zip_card(tmp_path, site, path=path), fetch=True)


def test_a_damaged_archive_and_a_missing_member_are_named(tmp_path):
    packed = tmp_path / "a.zip"
    packed.write_bytes(b"PK no")
    with pytest.raises(DataError, match=r"a.zip is a damaged archive"):
        extract(packed, Member(path="x"), tmp_path / "x", "a", "")
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("y", "y")
    with pytest.raises(DataError, match=r"a.zip has no member 'x'"):
        extract(packed, Member(path="x"), tmp_path / "x", "a", "")
    content = bytearray(packed.read_bytes())
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        content[content.index(mark) + (6 if mark[2] == 3 else 8)] |= 1  # the flag of encryption
    packed.write_bytes(content)
    with pytest.raises(DataError, match=r"a.zip is a damaged archive \(.*encrypted"):
        extract(packed, Member(path="y"), tmp_path / "x", "a", "")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_members_of_every_compression_are_one_sentence(method, tmp_path):
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w", method) as opened:
        opened.writestr("y", random.Random(1).randbytes(3000))
    whole, generator = packed.read_bytes(), random.Random(2)
    for _ in range(60):
        content = bytearray(whole)
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        packed.write_bytes(content)
        with contextlib.suppress(DataError):
            extract(packed, Member(path="y"), tmp_path / "y", "a", "")
            assert (tmp_path / "y").read_bytes() == random.Random(1).randbytes(3000)


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_SMALL", 1000)
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("y", b"0" * 2_000_000)
    with pytest.raises(DataError, match=r"'y' of a.zip unpacks to 2 MB, over 200 times"):
        extract(packed, Member(path="y"), tmp_path / "y", "a", "")
    assert not (tmp_path / "y").exists()


def test_the_next_form_is_tried_when_one_cannot_be_fetched(site, tmp_path):
    gone = {"url": f"{site.url}/gone", "role": "interactions"}
    path = files_card(tmp_path, site)
    card = load_card(path)
    first = card.forms[0].model_copy(
        update={
            "format": "table",
            "files": {"interactions": "gone.csv"},
            "sources": (type(card.forms[0].sources[0])(**gone),),
        }
    )
    card = card.model_copy(update={"forms": (first, *card.forms)})
    assert fetch_card(card, Settings.from_environment()).form.format == "sequences"


def test_an_unwritable_data_directory_is_one_sentence(site, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"cannot write .*; set BENCH_DATA_DIR"):
        load(files_card(tmp_path, site), fetch=True)


def fake_pip(monkeypatch, content, error=""):
    """Stand in for pip: write a wheel to the folder after ``--dest``, or fail."""
    commands = []

    def run(command, **_):
        commands.append(command)
        if content is not None:
            folder = command[command.index("--dest") + 1]
            (Path(folder) / "thing-1.0-py3-none-any.whl").write_bytes(content)
        return subprocess.CompletedProcess(command, 0 if content else 1, None, error)

    monkeypatch.setattr(archive.subprocess, "run", run)
    return commands


def wheel_card(folder, sha256):
    source = {
        "wheel": {"distribution": "thing", "version": "1.0"},
        "sha256": sha256,
        "members": {"sequences": {"path": "inner/seq.txt"}},
    }
    return write_card(folder, format="sequences", files={"sequences": "seq.txt"}, sources=[source])


def test_a_member_of_a_wheel_comes_through_pip(site, tmp_path, monkeypatch):
    content = site.files["all.zip"]
    commands = fake_pip(monkeypatch, content)
    dataset = load(wheel_card(tmp_path, sha(content)), fetch=True)
    assert histories(dataset) == EXPECTED
    assert commands[0][-1] == "thing==1.0"
    assert "--no-deps" in commands[0]
    assert left_over(tmp_path) == [".fetch.lock", "provenance.json", "seq.txt"]


def test_a_wheel_with_another_checksum_is_refused(site, tmp_path, monkeypatch):
    fake_pip(monkeypatch, site.files["all.zip"])
    with pytest.raises(DataError, match=r"thing==1.0 from the package index has SHA-256"):
        load(wheel_card(tmp_path, "0" * 64), fetch=True)
    assert left_over(tmp_path) == [".fetch.lock"]


def test_what_pip_says_is_passed_on(tmp_path, monkeypatch):
    fake_pip(monkeypatch, None, "WARNING: x\nERROR: No matching distribution\n")
    with pytest.raises(DataError, match=r"failed \(No matching distribution\); check"):
        archive.download_wheel(Wheel(distribution="thing", version="1.0"), tmp_path)


def test_verify_compares_files_with_the_record_of_the_first_fetch(site, tmp_path):
    card = load_card(files_card(tmp_path, site))
    fetch_card(card, Settings.from_environment())
    files, dataset = verify(card, Settings.from_environment())
    assert {file.authority for file in files} == {"first fetch"}
    assert dataset.n_users == 3
    path = tmp_path / "data" / "mine" / "seq.txt"
    path.write_text("u9 a b c\n")
    with pytest.raises(DataError, match=r"seq.txt has SHA-256 .*known from the first fetch"):
        verify(card, Settings.from_environment())


def test_verify_prefers_the_checksum_of_the_card(site, tmp_path):
    content = site.files["seq.txt"]
    card = load_card(zip_card(tmp_path, site, sha256=sha(content)))
    fetch_card(card, Settings.from_environment())
    files, _ = verify(card, Settings.from_environment())
    assert {file.path.name: file.authority for file in files} == {
        "seq.txt": "card",
        "items.tsv": "first fetch",
    }


def test_the_log_gets_plain_lines(site, tmp_path, capsys):
    load(files_card(tmp_path, site), fetch=True)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("seq.txt: 0.0 of 0.0 MB") for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_a_terminal_gets_a_bar(site, tmp_path, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(download, "_BLOCK", 100_000)
    site.files["seq.txt"] += b" " * 1_000_000
    load(files_card(tmp_path, site), fetch=True)
    shown = terminal.getvalue()
    assert "\u2501" in shown  # the bar's own character
    assert "seq.txt: 1.0 of 1.0 MB" in shown


@pytest.mark.network
def test_ml_100k_comes_from_the_package_index(tmp_path):
    dataset = load("ml-100k", fetch=True)
    assert (dataset.n_users, dataset.n_items, dataset.n_interactions) == (943, 1682, 100_000)
    known = json.loads((tmp_path / "data" / "ml-100k" / "provenance.json").read_text())
    assert set(known) == {"ml-100k.inter", "ml-100k.item"}
