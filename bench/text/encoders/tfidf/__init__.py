"""TF-IDF of words, reduced by a truncated SVD."""

from bench.components import EncoderEntry

ENCODER = EncoderEntry(
    name="tfidf",
    title="TF-IDF + SVD",
    summary="weighted words of the data set's item texts, reduced; no pre-trained weights",
    config="bench.text.encoders.tfidf.config:TfidfConfig",
    model="bench.text.encoders.tfidf.model:TfidfEncoder",
    citation=(
        "Deerwester, Dumais, Furnas, Landauer, Harshman. Indexing by Latent Semantic Analysis. "
        "JASIS 1990."
    ),
)
