"""Progress of an encoding on a terminal or in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from bench.display import Lines, display_for
from bench.plan.progress import duration
from bench.text.embed import EncodingEstimate, EncodingReporter
from bench.text.store import StoredVectors


class EncodingDisplay(EncodingReporter):
    """Shows one encoding after another.

    Parameters
    ----------
    display
        Bars or lines.
    """

    def __init__(self, display: Lines) -> None:
        self._display = display
        self._estimate: EncodingEstimate | None = None
        self._done = self._tokens = 0
        self._start = 0.0

    def started(self, estimate: EncodingEstimate) -> None:
        """Show the estimate before the work starts."""
        self._estimate, self._done, self._tokens = estimate, estimate.done, 0
        self._start = time.monotonic()
        resumed = f" ({estimate.done:,} done earlier)" if estimate.done else ""
        self._display.say(
            f"{estimate.label}: {estimate.texts:,} texts{resumed}, about {estimate.tokens:,} "
            f"tokens in all, about {duration(estimate.seconds)} to go"
        )
        self._display.start(estimate.label, estimate.texts, estimate.done, often=True)

    def advanced(self, texts: int, tokens: int) -> None:
        """Show that more texts are encoded."""
        if self._estimate is None:
            return
        self._done, self._tokens = self._done + texts, self._tokens + tokens
        speed = self._tokens / max(time.monotonic() - self._start, 1e-9)
        note = f"{self._done:,} of {self._estimate.texts:,} texts, {speed:,.0f} tokens/s"
        self._display.update(self._estimate.label, self._done, self._estimate.texts, note)

    def ended(self, label: str, vectors: StoredVectors, *, made: bool) -> None:
        """Show where the vectors are kept, and what they cost if they were made now."""
        self._display.stop(label)
        self._display.say(summary(label, vectors, made=made))


@contextmanager
def encoding_display(stream: TextIO | None = None) -> Iterator[EncodingDisplay]:
    """Show encodings while the block lasts.

    Parameters
    ----------
    stream
        Where to write; None is standard error.
    """
    with display_for(stream) as display:
        yield EncodingDisplay(display)


def summary(label: str, vectors: StoredVectors, *, made: bool) -> str:
    """Describe finished vectors in one line.

    Parameters
    ----------
    label
        Data set and encoder.
    vectors
        Finished.
    made
        Whether they were encoded now.
    """
    cost = vectors.metadata
    count = f"{cost['texts']:,} texts, S = {cost['size']}"
    where = f"in {vectors.folder}"
    if not made:
        return f"{label}: {count}, encoded before, {where}"
    speed = cost["tokens"] / max(cost["seconds"], 1e-9)
    return (
        f"{label}: {count}, {cost['tokens']:,} tokens, {cost['seconds']:.1f} s "
        f"({speed:,.0f} tokens/s), peak {cost['peak_memory_bytes'] / 2**20:,.0f} MiB, {where}"
    )
