"""Texts to vectors through the LLM2Vec class, in batches without waste.

``LLM2Vec.encode`` sorts texts by characters, tokenizes every text twice and one by one, and
batches by number of texts. Here all texts of a shard are tokenized at once and batched by
tokens; the model's forward pass and pooling are LLM2Vec's own, so the vectors are the same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor

from bench.errors import ConfigError
from bench.settings import expanded
from bench.text.encoders.llm2vec.config import Llm2VecConfig, LlmConfig
from bench.text.encoders.llm2vec.locate import fetched, hash_of
from bench.text.encoders.tokens import TokenEncoder, padded

_UNLOADABLE = (
    *(OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError),
    SafetensorError,
)
C = TypeVar("C", bound=LlmConfig)
MARK = "!@#$%^&*()"
"""What LLM2Vec puts before a text, after its instruction; it is never shown to the model."""


@dataclass(frozen=True)
class Tokens:
    """One tokenized text.

    Attributes
    ----------
    ids
        Of the whole prompt.
    pooled
        How many of its last tokens are the text; the rest is prompt, attended to only.
    """

    ids: list[int]
    pooled: int

    def __len__(self) -> int:
        return len(self.ids)


class LlmEncoder(TokenEncoder[C]):
    """A language model from folders on this machine."""

    libraries: ClassVar[tuple[str, ...]] = ("llm2vec", "transformers", "peft")

    @abstractmethod
    def folders(self) -> list[Path]:
        """Return the folders of the model and of its adapters, fetched if they are missing."""

    def load(self, device: torch.device) -> None:
        """Load the model, merge its adapters in turn and set the pooling."""
        base, *adapters = self.folders()
        try:
            self.model = self._loaded(base, adapters).to(device).eval()
        except _UNLOADABLE as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ConfigError(
                f"encoder '{self.name}': LLM2Vec cannot load {base} ({reason}); check the folder "
                "and its adapters"
            ) from error
        self.tokenizer = self.model.tokenizer
        self.tokenizer.truncation_side = "left"

    def _loaded(self, base: Path, adapters: Sequence[Path]) -> Any:
        if torch.distributed.is_available():
            from torch.distributed import tensor  # noqa: F401 - PEFT 0.21 expects it imported
        from llm2vec import LLM2Vec
        from peft import PeftModel

        model = LLM2Vec.from_pretrained(
            str(base),
            peft_model_name_or_path=str(adapters[0]) if adapters else None,
            merge_peft=True,
            enable_bidirectional=self.config.bidirectional,
            pooling_mode=self.config.pooling,
            max_length=self.config.max_tokens,
            doc_max_length=self.config.max_tokens,
            skip_instruction=True,
            torch_dtype=getattr(torch, self.config.dtype),
            low_cpu_mem_usage=True,
            use_safetensors=True,
        )
        for adapter in adapters[1:]:
            model.model = PeftModel.from_pretrained(model.model, str(adapter)).merge_and_unload()
        return model

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize as ``LLM2Vec.tokenize`` does, all texts at once."""
        prompts = [self.model.prepare_for_tokenization(MARK + text) for text in texts]
        parts = [prompt.split(MARK) for prompt in prompts]
        limit = {"truncation": True, "max_length": self.config.max_tokens}
        whole = self.tokenizer(["".join(part) for part in parts], **limit)["input_ids"]
        own = self.tokenizer([part[1] for part in parts], add_special_tokens=False, **limit)
        pairs = zip(whole, own["input_ids"], strict=True)
        return [Tokens(ids, min(len(text), len(ids))) for ids, text in pairs]

    def forward(self, rows: Sequence[Tokens]) -> Tensor:
        """Run LLM2Vec's own forward pass and pooling on left-padded rows, ``[rows, S]``."""
        batch = {
            "input_ids": padded([row.ids for row in rows], self.tokenizer.pad_token_id, left=True),
            "attention_mask": padded([[1] * len(row) for row in rows], 0, left=True),
            "embed_mask": padded([[1] * row.pooled for row in rows], 0, left=True),
        }
        width = batch["input_ids"].shape[1] - batch["embed_mask"].shape[1]
        batch["embed_mask"] = torch.nn.functional.pad(batch["embed_mask"], (width, 0))
        found: Tensor = self.model({key: value.to(self.device) for key, value in batch.items()})
        return found


class Llm2VecEncoder(LlmEncoder[Llm2VecConfig]):
    """A model of the user's choice."""

    name: ClassVar[str] = "llm2vec"

    def folders(self) -> list[Path]:
        """Return the folders of the model and of its adapters; see :func:`.locate.fetched`."""
        fetch = partial(fetched, encoder=self.name, offline=self.settings.offline)
        model = fetch(self.config.model)
        return [model, *(fetch(name, is_adapter=True) for name in self.config.adapters)]

    @cached_property
    def _found(self) -> str:
        return hash_of(self.folders(), self.settings.cache)

    def weights(self) -> str:
        """Return the SHA-256 of the files.

        Raises
        ------
        ConfigError
            They are not those that the settings name.
        """
        if self.config.weights not in {"", self._found}:
            raise ConfigError(
                f"encoder '{self.name}': the files of {self.config.model} and its adapters have "
                f"SHA-256 {self._found}, the settings say {self.config.weights}; bring the files "
                "back, or leave encoder.weights out"
            )
        return self._found

    def _loaded(self, base: Path, adapters: Sequence[Path]) -> Any:
        """Load, and pass LLM2Vec the id, by which it chooses the prompt of some models."""
        model = super()._loaded(base, adapters)
        if not expanded(self.config.model).is_dir():
            model.model.config._name_or_path = self.config.model.partition("@")[0]  # noqa: SLF001
        return model
