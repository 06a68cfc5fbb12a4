"""Any large language model as a text encoder, through LLM2Vec."""

from bench.components import EncoderEntry, Variant

ENCODER = EncoderEntry(
    name="llm2vec",
    title="LLM2Vec",
    summary="any Llama, Mistral, Gemma or Qwen2 model from a folder or hub id, with adapters",
    config="bench.text.encoders.llm2vec.config:Llm2VecConfig",
    model="bench.text.encoders.llm2vec.model:Llm2VecEncoder",
    citation=(
        "BehnamGhader, Adlakha, Mosbach, Bahdanau, Chapados, Reddy. LLM2Vec: Large Language "
        "Models Are Secretly Powerful Text Encoders. COLM 2024."
    ),
    variants=(
        Variant(
            name="llama-3.1-8b",
            title="Llama-3.1-8B-Instruct",
            summary="IADSR's encoder: Llama 3.1 8B Instruct with LLM2Vec's published adapters",
            settings={
                "model": "meta-llama/Llama-3.1-8B-Instruct",
                "adapters": [
                    "McGill-NLP/LLM2Vec-Meta-Llama-31-8B-Instruct-mntp",
                    "McGill-NLP/LLM2Vec-Meta-Llama-31-8B-Instruct-mntp-supervised",
                ],
                "dtype": "bfloat16",
                "storage": "float16",
            },
        ),
    ),
)
