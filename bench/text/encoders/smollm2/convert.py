"""From a GGUF file of llama.cpp to a folder that transformers reads.

transformers 4.44 cannot de-quantise Q4_1; the ``gguf`` package can. Tensors are renamed, and
the rows of the query and key matrices put back into the order of transformers: llama.cpp turns
pairs of neighbouring rows by the rotary embedding, transformers pairs half a head apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_SPECIAL = 3
"""Type of a token that is never part of a text."""
_PRE_TOKENIZER = "smollm"


def convert(source: Path, target: Path) -> None:
    """Write a Llama model and its tokenizer as safetensors and JSON to an existing folder.

    Raise a DataError if the source is no GGUF file of the ``llama`` architecture with SmolLM's
    tokenizer.
    """
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    try:
        reader = GGUFReader(source)
        fields = dict(reader.fields.items())
        settings = _settings(fields)
        heads = {"attn_q": settings["num_attention_heads"]}
        heads["attn_k"] = settings["num_key_value_heads"]
        tokenizer = _tokenizer(fields)
        tensors = dict(_tensor(tensor, heads) for tensor in reader.tensors)
        save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
        _config(settings, tied="lm_head.weight" not in tensors).save_pretrained(target)
        tokenizer.save_pretrained(target)
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(
            f"{source} is not a GGUF file of a Llama model with SmolLM's tokenizer ({error}); "
            "delete it and run again"
        ) from error


def _tensor(tensor: Any, heads: dict[str, int]) -> tuple[str, NDArray[np.float32]]:
    from gguf.quants import dequantize

    values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
    if tensor.name in _WHOLE:
        return _WHOLE[tensor.name], values
    _, layer, part, kind = tensor.name.split(".")
    if part in heads:
        values = unpermuted(values, heads[part])
    return f"model.layers.{layer}.{_BLOCK[part]}.{kind}", values


def unpermuted(matrix: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo llama.cpp's order of the rows of a query or key matrix, float32 ``[heads * d, width]``.

    In each head, row ``2 i`` was turned with row ``2 i + 1``, and row ``i`` is with ``i + d / 2``.

    Examples
    --------
    >>> unpermuted(np.arange(8, dtype=np.float32)[:, None], heads=2).ravel().astype(int).tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    pairs = matrix.reshape(heads, -1, 2, matrix.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(matrix.shape))


def _settings(fields: dict[str, Any]) -> dict[str, Any]:
    """Sizes, in the words of transformers."""

    def field(name: str) -> Any:
        return fields[name].contents()

    if field("general.architecture") != "llama":
        raise ValueError(f"the architecture is {field('general.architecture')}")
    return {
        "hidden_size": field("llama.embedding_length"),
        "intermediate_size": field("llama.feed_forward_length"),
        "num_hidden_layers": field("llama.block_count"),
        "num_attention_heads": field("llama.attention.head_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"),
        "max_position_embeddings": field("llama.context_length"),
        "rms_norm_eps": field("llama.attention.layer_norm_rms_epsilon"),
        "rope_theta": field("llama.rope.freq_base"),
        "vocab_size": len(fields["tokenizer.ggml.tokens"].data),
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
    }


def _config(settings: dict[str, Any], *, tied: bool) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        **settings,
        tie_word_embeddings=tied,
        torch_dtype="float32",
        architectures=["LlamaForCausalLM"],
    )


def _tokenizer(fields: dict[str, Any]) -> Any:
    """Build SmolLM's tokenizer: byte-level BPE, every digit a token of its own."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    kind = fields["tokenizer.ggml.pre"].contents()
    if kind != _PRE_TOKENIZER:
        raise ValueError(f"the tokenizer is {kind}")
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    whole = Tokenizer(BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    whole.decoder = decoders.ByteLevel()
    special = [token for token, type_ in zip(tokens, types, strict=True) if type_ == _SPECIAL]
    whole.add_special_tokens([AddedToken(token, special=True) for token in special])
    begin, end = (tokens[fields[f"tokenizer.ggml.{n}_token_id"].contents()] for n in ("bos", "eos"))
    return PreTrainedTokenizerFast(
        tokenizer_object=whole,
        bos_token=begin,
        eos_token=end,
        pad_token=end,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
