"""Settings that every text encoder has."""

from __future__ import annotations

from typing import Literal

from bench.config import Config


class EncoderConfig(Config):
    """What is encoded and how the vectors are kept.

    Attributes
    ----------
    reading
        ``pooled``: one vector per item, averaged over a sequence by the method; ``text``: the names
        of the items up to a position joined into one text, a vector for each position (IADSR,
        equations 4 and 5).
    texts
        ``real`` item texts; ``shuffled``: those of the data set, given to other items;
        ``random``: as many words, drawn from all words of the data set; ``none``: no item has a
        text.
    storage
        Numbers of the stored matrix; ``float16`` halves its size.
    """

    reading: Literal["pooled", "text"] = "pooled"
    texts: Literal["real", "shuffled", "random", "none"] = "real"
    storage: Literal["float32", "float16"] = "float32"

    def own(self) -> dict[str, object]:
        """Return the settings that decide the vector of a text."""
        return self.model_dump(mode="json", exclude=set(EncoderConfig.model_fields))
