"""TF-IDF and truncated SVD of scikit-learn, fitted on the texts of a data set's items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import ConfigError
from bench.text.encoder import Encoder, Report, silent
from bench.text.encoders.tfidf.config import TfidfConfig

SEED = 0
"""Of the randomised SVD, so that everybody has the same vectors."""


class TfidfEncoder(Encoder[TfidfConfig]):
    """Weighted words, reduced."""

    name: ClassVar[str] = "tfidf"
    libraries: ClassVar[tuple[str, ...]] = ("scikit-learn",)
    fitted: ClassVar[bool] = True
    _words: Any
    _reduction: Any

    def fit(self, texts: Sequence[str]) -> None:
        """Count words and find the main directions.

        Raises
        ------
        ConfigError
            No word occurs in as many texts as the settings ask for.
        """
        self.versions()
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._words = TfidfVectorizer(
            ngram_range=(1, self.config.ngrams),
            min_df=self.config.min_items,
            token_pattern=r"\w+",  # noqa: S106 - a pattern of words
            dtype=np.float32,
        )
        try:
            counts = self._words.fit_transform(texts)
            size = min(self.config.size, *counts.shape)
            self._reduction = TruncatedSVD(size, random_state=SEED).fit(counts)
        except ValueError as error:
            raise ConfigError(
                f"encoder 'tfidf' finds too few words in the item texts ({error}); lower "
                "encoder.min_items"
            ) from None

    def encode(self, texts: Sequence[str], report: Report = silent) -> NDArray[np.float32]:
        """Turn texts into vectors; see :meth:`Encoder.encode`."""
        vectors = self._reduction.transform(self._words.transform(texts))
        report(len(texts), self.count_tokens(texts))
        return np.asarray(vectors, dtype=np.float32)
