"""Where a model lies: a folder, the hub client's cache, or nowhere; never a silent download."""

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

from bench.errors import ConfigError, DataError
from bench.text.encoders.llm2vec import locate
from bench.text.encoders.llm2vec.config import Llm2VecConfig
from bench.text.encoders.llm2vec.locate import hash_of, on_disk


class Hub:
    """Stands in for the hub: some models in the client's cache, some to be fetched."""

    def __init__(self, folder):
        self.folder = folder
        self.cached = set()
        self.served = set()
        self.asked = []

    def add(self, name, *, cached):
        folder = self.folder / name.replace("/", "--")
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes(name.encode())
        (self.cached if cached else self.served).add(name)
        return folder

    def snapshot_download(self, name, revision, local_files_only, **patterns):
        self.asked.append((name, revision, local_files_only))
        assert "*.bin" not in patterns["allow_patterns"]
        if name in self.cached or (name in self.served and not local_files_only):
            return str(self.folder / name.replace("/", "--"))
        if local_files_only:
            raise LocalEntryNotFoundError("not cached")
        raise GatedRepoError("accept the licence first", response=Response())


class Response:
    headers = {}
    request = None
    status_code = 403


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.delenv("BENCH_OFFLINE", raising=False)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    hub = Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    return hub


def fetched(name, *, offline=False):
    return locate.fetched(name, "llm2vec", offline=offline)


def test_a_folder_is_asked_of_nobody(hub, tmp_path):
    folder = hub.add("a/b", cached=False)
    assert on_disk(str(folder)) == fetched(str(folder)) == folder
    assert hub.asked == []


def test_what_is_cached_is_not_fetched(hub):
    folder = hub.add("a/b", cached=True)
    assert fetched("a/b@main") == folder
    assert hub.asked == [("a/b", "main", True)]


def test_what_is_missing_is_fetched_when_asked_for_only(hub):
    folder = hub.add("a/b", cached=False)
    assert on_disk("a/b") is None
    assert fetched("a/b") == folder
    assert [local for *_, local in hub.asked] == [True, True, False]


def test_offline_fetches_nothing(hub):
    hub.add("a/b", cached=False)
    with pytest.raises(DataError, match="only the Hugging Face hub offers"):
        fetched("a/b", offline=True)
    assert all(local for *_, local in hub.asked)


def test_a_refusal_says_how_to_bring_the_files(hub):
    with pytest.raises(DataError, match=r"huggingface-cli download a/gated --local-dir.*licence"):
        fetched("a/gated@main")


@pytest.mark.parametrize("name", ["plain", "../x", "a/b/c", "a/b@", "a b/c"])
def test_other_names_are_refused_without_asking(hub, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a name may be that of a folder which lies where tests are run
    assert on_disk(name) is None
    with pytest.raises(ConfigError, match="neither a folder nor a hub id"):
        fetched(name)
    assert hub.asked == []


def test_settings_are_completed_only_when_every_part_is_here(hub):
    base, adapter = hub.add("a/base", cached=True), "a/adapter"
    settings = Llm2VecConfig(model="a/base", adapters=(adapter,))
    assert settings.resolved().weights == ""
    place = hub.add(adapter, cached=True)
    assert (
        settings.resolved().weights
        == hash_of([base, place], None)
        != (hash_of([place, base], None))
    )
