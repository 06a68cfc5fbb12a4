"""Tiny, randomly initialised models in folders, as transformers and PEFT save them."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXTS = [
    "Toy Story (1995)",
    "The Lion King",
    "M",
    "A very long title of a film that hardly anybody has ever seen: part two",
    "Four Weddings and a Funeral",
    "Heat",
]


def tokenizer(begin=True):
    """Byte-level BPE of 300 tokens; with ``begin`` it puts a mark before every text."""
    whole = Tokenizer(BPE())
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>"]
    trainer = BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    whole.train_from_iterator(TEXTS, trainer)
    if begin:
        mark = [("<s>", whole.token_to_id("<s>"))]
        whole.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=mark)
    return PreTrainedTokenizerFast(
        tokenizer_object=whole,
        bos_token="<s>",
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def config(**changes):
    sizes = {
        "vocab_size": 300,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    return LlamaConfig(**{**sizes, **changes})


def llama(folder, seed=0, **changes):
    """Save a random Llama with its tokenizer and give the folder."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config(initializer_range=0.3, **changes))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def adapter(base, folder, seed):
    """Save a random LoRA adapter of a model's query and value matrices."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model = LlamaForCausalLM.from_pretrained(base).model
    settings = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"])
    wrapped = get_peft_model(model, settings)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    wrapped.save_pretrained(folder)
    return folder


def merged_by_hand(base, adapters, folder):
    """Add each adapter's ``B A * alpha / r`` to the matrices, without PEFT."""
    from safetensors.torch import load_file

    model = LlamaForCausalLM.from_pretrained(base)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for place in adapters:
            parts = load_file(place / "adapter_model.safetensors")
            for name in [key for key in parts if "lora_A" in key]:
                owner = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                product = parts[name.replace("lora_A", "lora_B")] @ parts[name]
                weights[f"model.{owner}.weight"] += product * 6 / 3
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
