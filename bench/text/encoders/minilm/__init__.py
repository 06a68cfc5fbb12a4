"""all-MiniLM-L6-v2, a small sentence encoder that the package index carries."""

from bench.components import EncoderEntry

ENCODER = EncoderEntry(
    name="minilm",
    title="all-MiniLM-L6-v2",
    summary="a sentence encoder of 22M weights; from the package index (84 MB)",
    config="bench.text.encoders.minilm.config:MiniLMConfig",
    model="bench.text.encoders.minilm.model:MiniLMEncoder",
    citation=(
        "Reimers, Gurevych. Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks. "
        "EMNLP 2019. Wang et al. MiniLM: Deep Self-Attention Distillation. NeurIPS 2020."
    ),
)
