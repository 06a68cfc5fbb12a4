"""Random vectors, drawn from the text itself and a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.seeds import seed_for
from bench.text.encoder import Encoder, Report, silent
from bench.text.encoders.random.config import RandomConfig


class RandomEncoder(Encoder[RandomConfig]):
    """Normal numbers of variance 1 / S: equal texts have equal vectors, others no likeness."""

    name: ClassVar[str] = "random"

    def encode(self, texts: Sequence[str], report: Report = silent) -> NDArray[np.float32]:
        """Turn texts into vectors; see :meth:`Encoder.encode`."""
        size = self.config.size
        vectors = np.empty((len(texts), size), dtype=np.float32)
        for row, text in enumerate(texts):
            generator = np.random.default_rng(seed_for("random text", self.config.seed, text))
            vectors[row] = generator.standard_normal(size, dtype=np.float32) / np.sqrt(size)
        report(len(texts), self.count_tokens(texts))
        return vectors
