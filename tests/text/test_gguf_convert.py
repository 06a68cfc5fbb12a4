"""GGUF to safetensors, on a file written here with llama.cpp's own writer."""

import gguf
import numpy as np
import pytest
import tiny_models
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from bench.errors import DataError
from bench.text.encoders.smollm2.convert import _BLOCK, convert

HEADS, KEY_HEADS = 6, 2
SIZES = {"hidden_size": 192, "intermediate_size": 64, "num_attention_heads": HEADS}


def permuted(weight, heads):
    """llama.cpp's order, as its own converter states it."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write(path, model, kind, tokenizer, pre="smollm", architecture="llama"):
    """Write a Llama as llama.cpp does."""
    settings, writer = model.config, gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(settings.hidden_size)
    writer.add_feed_forward_length(settings.intermediate_size)
    writer.add_block_count(settings.num_hidden_layers)
    writer.add_head_count(settings.num_attention_heads)
    writer.add_head_count_kv(settings.num_key_value_heads)
    writer.add_context_length(settings.max_position_embeddings)
    writer.add_layer_norm_rms_eps(settings.rms_norm_eps)
    writer.add_rope_freq_base(settings.rope_theta)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    merges = tokenizer.backend_tokenizer.to_str()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *([1] * (len(tokens) - 2))])
    writer.add_token_merges(merges_of(merges))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, tensor in tensors(model):
        plain = kind == gguf.GGMLQuantizationType.F32 or tensor.ndim == 1
        stored = tensor if plain else gguf.quants.quantize(tensor, kind)
        writer.add_tensor(name, stored, raw_dtype=None if plain else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def merges_of(text):
    import json

    pairs = json.loads(text)["model"]["merges"]
    return [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]


def tensors(model):
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    yield "output_norm.weight", weights["model.norm.weight"]
    if not model.config.tie_word_embeddings:
        yield "output.weight", weights["lm_head.weight"]
    for layer in range(model.config.num_hidden_layers):
        for short, long in _BLOCK.items():
            value = weights[f"model.layers.{layer}.{long}.weight"]
            heads = {"attn_q": HEADS, "attn_k": KEY_HEADS}.get(short)
            value = value if heads is None else permuted(value, heads)
            yield f"blk.{layer}.{short}.weight", np.ascontiguousarray(value)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(tiny_models.config(**SIZES, tie_word_embeddings=True)).eval()


@pytest.fixture(scope="module")
def plain_tokenizer():
    return tiny_models.tokenizer(begin=False)


def logits(model):
    ids = torch.arange(2, 40)[None]
    with torch.no_grad():
        return model(input_ids=ids).logits


def converted(tmp_path, model, kind, tokenizer, **fields):
    source = write(tmp_path / "model.gguf", model, kind, tokenizer, **fields)
    (tmp_path / "converted").mkdir()
    convert(source, tmp_path / "converted")
    return tmp_path / "converted"


@pytest.mark.parametrize("tied", [True, False])
def test_the_converted_model_computes_the_same(tmp_path, plain_tokenizer, tied):
    torch.manual_seed(1)
    given = LlamaForCausalLM(tiny_models.config(**SIZES, tie_word_embeddings=tied)).eval()
    kind = gguf.GGMLQuantizationType.F32
    folder = converted(tmp_path, given, kind, plain_tokenizer)
    found = LlamaForCausalLM.from_pretrained(folder).eval()
    torch.testing.assert_close(logits(found), logits(given), rtol=1e-5, atol=1e-6)


def blocks_of_q4_1(matrix):
    """De-quantised Q4_1 by its definition: 32 numbers share a step and a least value."""
    blocks = matrix.reshape(-1, 32)
    low = blocks.min(1, keepdims=True)
    step = (blocks.max(1, keepdims=True) - low) / np.float32(15)
    inverse = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
    whole = np.trunc((blocks - low) * inverse + np.float32(0.5)).clip(0, 15)
    kept = step.astype(np.float16).astype(np.float32), low.astype(np.float16).astype(np.float32)
    return (whole * kept[0] + kept[1]).reshape(matrix.shape)


def test_quantised_weights_are_what_their_definition_says(tmp_path, model, plain_tokenizer):
    kind = gguf.GGMLQuantizationType.Q4_1
    folder = converted(tmp_path, model, kind, plain_tokenizer)
    found = dict(LlamaForCausalLM.from_pretrained(folder).named_parameters())
    for name, given in model.named_parameters():
        given = given.detach().numpy()
        expected = given if given.ndim == 1 else blocks_of_q4_1(given)
        np.testing.assert_allclose(found[name].detach().numpy(), expected, atol=1e-6)


def test_the_tokenizer_splits_words_and_single_digits(tmp_path, model, plain_tokenizer):
    kind = gguf.GGMLQuantizationType.F32
    folder = converted(tmp_path, model, kind, plain_tokenizer)
    found = AutoTokenizer.from_pretrained(folder)
    words = "The Lion King"
    assert found(words)["input_ids"] == plain_tokenizer(words)["input_ids"]
    assert found.tokenize("Heat 1995")[-4:] == ["1", "9", "9", "5"]
    assert found.decode(found("Toy Story (1995)")["input_ids"]) == "Toy Story (1995)"
    assert (found.bos_token_id, found.eos_token_id, found.pad_token_id) == (0, 1, 1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"pre": "llama-bpe"}, "tokenizer is llama-bpe"), ({"architecture": "gpt2"}, "gpt2")],
)
def test_another_kind_of_file_is_refused(tmp_path, model, plain_tokenizer, fields, reason):
    kind = gguf.GGMLQuantizationType.F32
    with pytest.raises(DataError, match=reason):
        converted(tmp_path, model, kind, plain_tokenizer, **fields)
    assert list((tmp_path / "converted").iterdir()) == []


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\x07" * 200)
    with pytest.raises(DataError, match=r"model\.gguf is not a GGUF file"):
        convert(tmp_path / "model.gguf", tmp_path / "converted")
