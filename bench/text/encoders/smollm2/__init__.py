"""SmolLM2-135M-Instruct, a small language model that the package index carries."""

from bench.components import EncoderEntry

ENCODER = EncoderEntry(
    name="smollm2",
    title="SmolLM2-135M-Instruct",
    summary="a language model of 135M weights through LLM2Vec; from the package index (93 MB)",
    config="bench.text.encoders.llm2vec.config:LlmConfig",
    model="bench.text.encoders.smollm2.model:SmolLM2Encoder",
    citation=(
        "Ben Allal et al. SmolLM2: When Smol Goes Big - Data-Centric Training of a Small "
        "Language Model. 2025. arXiv 2502.02737."
    ),
)
