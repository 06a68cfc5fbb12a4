"""Settings of encoders that use LLM2Vec."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from bench.plan.encoding import EncoderConfig


class LlmConfig(EncoderConfig):
    """How a language model reads a text.

    Attributes
    ----------
    bidirectional
        Whether every token attends to every other, LLM2Vec's first step, or only to earlier ones.
    pooling
        How token states become a vector: ``mean``; ``weighted_mean``, whose weights grow with the
        position; ``last_token``; ``eos_token``, after the end of text is appended.
    max_tokens
        A longer text loses its beginning: in a joined text, the oldest items.
    dtype
        Number type of the computation.
    """

    bidirectional: bool = True
    pooling: Literal["mean", "weighted_mean", "last_token", "eos_token"] = "mean"
    max_tokens: int = Field(default=512, ge=1)
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"


class Llm2VecConfig(LlmConfig):
    """The model and its adapters.

    Attributes
    ----------
    model
        A folder, or a Hugging Face id, ``owner/name`` or ``owner/name@revision``.
    adapters
        PEFT adapters, named in the same way; each is merged into the model before the next
        is loaded.
    weights
        SHA-256 of the files of model and adapters. Empty accepts any; a run fills it in, so that
        other weights under the same name make another experiment.
    """

    model: str = ""
    adapters: tuple[str, ...] = ()
    weights: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    def resolved(self, cache: Path | None = None) -> Self:
        """Fill in the hash of the weights where all of them are on this machine."""
        from bench.text.encoders.llm2vec.locate import hash_of, on_disk

        folders = [on_disk(name) for name in (self.model, *self.adapters)]
        present = [folder for folder in folders if folder is not None]
        if self.weights or len(present) < len(folders):
            return self
        return self.model_copy(update={"weights": hash_of(present, cache)})
