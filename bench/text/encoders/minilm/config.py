"""Settings of the sentence encoder."""

from __future__ import annotations

from pydantic import Field

from bench.plan.encoding import EncoderConfig


class MiniLMConfig(EncoderConfig):
    """How a text is cut.

    Attributes
    ----------
    max_tokens
        A longer text loses its beginning: in a joined text, the oldest items. 256 is the
        model's own.
    """

    max_tokens: int = Field(default=256, ge=3, le=512)
