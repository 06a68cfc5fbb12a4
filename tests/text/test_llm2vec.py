"""LLM2Vec on tiny models, through the real loading path."""

import subprocess
import sys

import numpy as np
import pytest
import tiny_models
import torch
from tiny_models import TEXTS

from bench.components import ENCODERS
from bench.errors import BenchError, ConfigError, DataError
from bench.settings import Settings
from bench.text.encoders.llm2vec.config import Llm2VecConfig
from bench.text.encoders.llm2vec.model import Llm2VecEncoder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("models") / "base")


def configured(model, adapters=(), **settings):
    return Llm2VecConfig(model=str(model), adapters=tuple(map(str, adapters)), **settings)


def opened(model, **settings):
    encoder = Llm2VecEncoder(configured(model, **settings), Settings.from_environment())
    encoder.open(CPU)
    return encoder


@pytest.fixture(scope="module")
def exact(base):
    """Vectors of the plain model."""
    return opened(base).encode(TEXTS)


def states(model, text, *, causal):
    """Last states of one text, computed with a mask of our own: ``[tokens, H]``."""
    from transformers import LlamaModel

    plain = LlamaModel.from_pretrained(model, attn_implementation="eager").eval()
    ids = torch.tensor([tiny_models.tokenizer()(text)["input_ids"]])
    count = ids.shape[1]
    hidden = torch.full((count, count), torch.finfo(torch.float32).min).triu(1) * causal
    with torch.no_grad():
        found = plain(ids, attention_mask=hidden[None, None])
    return found.last_hidden_state[0]


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_vector_is_the_mean_state_of_the_texts_own_tokens(base, bidirectional):
    found = opened(base, bidirectional=bidirectional).encode(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        # The mark of beginning is attended to, and no part of the mean.
        expected = states(base, text, causal=not bidirectional)[1:].mean(0)
        np.testing.assert_allclose(vector, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "weighted_mean", "last_token", "eos_token"])
def test_batches_give_what_plain_encode_gives(base, pooling):
    encoder = opened(base, pooling=pooling)
    encoder.tokens_per_batch = 30
    expected = encoder.model.encode(TEXTS, batch_size=2, show_progress_bar=False, device="cpu")
    np.testing.assert_allclose(encoder.encode(TEXTS), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_a_text_has_the_same_vector_in_any_batch(base):
    encoder = opened(base)
    whole = encoder.encode(TEXTS)
    encoder.tokens_per_batch = 1
    for text, vector in zip(TEXTS, whole, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], vector, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_adapters_are_merged_in_turn(base, exact, tmp_path, count):
    adapters = [tiny_models.adapter(base, tmp_path / f"a{n}", seed=n) for n in range(count)]
    by_hand = tiny_models.merged_by_hand(base, adapters, tmp_path / "merged")
    found = opened(base, adapters=adapters).encode(TEXTS)
    np.testing.assert_allclose(found, opened(by_hand).encode(TEXTS), rtol=1e-3, atol=1e-4)
    assert np.abs(found - exact).max() > 0.01


@pytest.mark.process
def test_adapters_load_in_a_process_that_has_imported_nothing_else(base, tmp_path):
    # PEFT's own saving, in this process, imports what its loading expects to be imported.
    adapters = [tiny_models.adapter(base, tmp_path / f"a{n}", seed=n) for n in range(2)]
    script = (
        "import sys; import numpy as np, torch\n"
        "from bench.settings import Settings\n"
        "from bench.text.encoders.llm2vec.config import Llm2VecConfig\n"
        "from bench.text.encoders.llm2vec.model import Llm2VecEncoder\n"
        "config = Llm2VecConfig(model=sys.argv[1], adapters=tuple(sys.argv[3:]))\n"
        "encoder = Llm2VecEncoder(config, Settings.from_environment())\n"
        "encoder.open(torch.device('cpu'))\n"
        "np.save(sys.argv[2], encoder.encode(['Heat', 'M']))"
    )
    arguments = [str(path) for path in (base, tmp_path / "found.npy", *adapters)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True)
    expected = opened(base, adapters=adapters).encode(["Heat", "M"])
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, rtol=1e-4, atol=1e-5)


def test_adapters_are_safetensors_of_that_name_only(base, tmp_path):
    folder = tiny_models.adapter(base, tmp_path / "adapter", seed=1)
    (folder / "adapter_model.safetensors").rename(folder / "decoy.safetensors")
    with pytest.raises(DataError, match=r"has no file adapter_model.safetensors; pickled"):
        opened(base, adapters=[folder])
    (folder / "decoy.safetensors").rename(folder / "adapter_model.safetensors")
    torch.save({}, folder / "adapter_model.bin")
    with pytest.raises(DataError, match=r"adapter_model.bin is pickled and not read; delete it"):
        opened(base, adapters=[folder])


def test_tokens_and_progress_are_counted(base):
    encoder, told = opened(base), []
    encoder.encode(TEXTS, lambda texts, tokens: told.append((texts, tokens)))
    tokens = sum(len(tiny_models.tokenizer()(text)["input_ids"]) for text in TEXTS)
    assert [sum(column) for column in zip(*told, strict=True)] == [len(TEXTS), tokens]
    assert encoder.count_tokens(TEXTS) == tokens


def test_a_long_text_loses_its_beginning(base):
    encoder = opened(base, max_tokens=6)
    whole = tiny_models.tokenizer()(TEXTS[3], add_special_tokens=False)["input_ids"]
    [row] = encoder.tokenize([TEXTS[3]])
    assert row.ids[1:] == whole[-5:]
    assert len(row) == 6


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision_is_near(base, exact, dtype):
    rough = opened(base, dtype=dtype).encode(TEXTS)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.2


def test_the_fingerprint_sees_weights_adapters_and_settings(base, tmp_path):
    def fingerprint(model, **settings):
        config = configured(model, **settings)
        return Llm2VecEncoder(config, Settings.from_environment()).fingerprint

    other = tiny_models.llama(tmp_path / "other", seed=1)
    copied = tiny_models.llama(tmp_path / "copied")
    adapter = [tiny_models.adapter(base, tmp_path / "adapter", seed=3)]
    plain = fingerprint(base)
    assert plain == fingerprint(base, texts="shuffled", reading="text", storage="float16")
    changed = [fingerprint(other), fingerprint(base, adapters=adapter)]
    changed += [fingerprint(base, pooling="last_token"), fingerprint(base, dtype="bfloat16")]
    assert len({plain, *changed}) == 5
    # What is in the files counts, not where they lie.
    assert configured(copied).resolved().weights == configured(base).resolved().weights


def test_a_cell_names_the_weights_and_refuses_others(base, tmp_path):
    settings = configured(base).resolved()
    assert len(settings.weights) == 64
    assert settings.resolved() == settings
    changed = settings.model_copy(
        update={"model": str(tiny_models.llama(tmp_path / "other", seed=1))}
    )
    with pytest.raises(ConfigError, match="bring the files back"):
        _ = Llm2VecEncoder(changed, Settings.from_environment()).fingerprint


def without(folder, pattern):
    for path in folder.glob(pattern):
        path.unlink()
    return folder


def test_pickled_weights_are_not_read(tmp_path):
    folder = without(tiny_models.llama(tmp_path / "model"), "*.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="pickled weights are not read"):
        opened(folder)


@pytest.mark.parametrize("pattern", ["config.json", "tokenizer*"])
def test_a_folder_that_lacks_something_is_named(tmp_path, pattern):
    folder = without(tiny_models.llama(tmp_path / "model"), pattern)
    with pytest.raises(ConfigError, match=rf"LLM2Vec cannot load {folder}"):
        opened(folder)


def test_damaged_weights_are_named(tmp_path):
    folder = tiny_models.llama(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"\x00" * 99)
    with pytest.raises(ConfigError, match="cannot load"):
        opened(folder)


def preset(**settings):
    entry = ENCODERS.get("llm2vec:llama-3.1-8b")
    config = entry.parse({entry.name: settings}, "here")
    return entry.model_class()(config, Settings.from_environment())


def test_the_preset_says_what_it_cannot_do_and_how_to_bring_the_weights(monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(DataError) as caught:
        preset().open(CPU)
    said = str(caught.value)
    assert "meta-llama/Llama-3.1-8B-Instruct, which is not on this machine" in said
    assert "huggingface-cli download meta-llama/Llama-3.1-8B-Instruct --local-dir FOLDER" in said


def test_the_preset_takes_folders_in_place_of_ids(base, tmp_path):
    adapters = [tiny_models.adapter(base, tmp_path / f"a{n}", seed=n) for n in range(2)]
    own = {"model": str(base), "adapters": [str(path) for path in adapters], "dtype": "float32"}
    encoder = preset(**own)
    encoder.open(CPU)
    expected = opened(base, adapters=adapters).encode(TEXTS)
    np.testing.assert_array_equal(encoder.encode(TEXTS), expected)
    assert encoder.config.storage == "float16"


def test_a_missing_library_is_one_sentence(base, monkeypatch):
    monkeypatch.setattr(Llm2VecEncoder, "libraries", ("no-such-distribution",))
    with pytest.raises(BenchError, match=r"pip install 'seqrec-denoise-bench\[semantic\]'"):
        opened(base)
