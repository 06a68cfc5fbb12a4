"""Progress of an encoding on a terminal or in a log."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.display import Lines, SafeStream
from bench.plan.progress import duration
from bench.text.store import StoredVectors


@dataclass(frozen=True)
class EncodingEstimate:
    """Amount of work to encode the distinct texts of a data set with an encoder.

    ``done`` were encoded before an interruption; tokens are of all texts, seconds of what is left.
    """

    label: str
    texts: int
    done: int
    tokens: int
    seconds: float


class EncodingDisplay:
    """Show one encoding after another; without a display, show nothing."""

    def __init__(self, display: Lines | None = None) -> None:
        self._display = display or Lines(SafeStream(None))
        self._label, self._texts = "", 0
        self._done = self._tokens = 0
        self._start = 0.0

    def started(self, estimate: EncodingEstimate) -> None:
        """Show the estimate before the work starts."""
        self._label, self._texts = estimate.label, estimate.texts
        self._done, self._tokens = estimate.done, 0
        self._start = time.monotonic()
        resumed = f" ({estimate.done:,} done earlier)" if estimate.done else ""
        self._display.say(
            f"{estimate.label}: {estimate.texts:,} texts{resumed}, about {estimate.tokens:,} "
            f"tokens in all, about {duration(estimate.seconds)} to go"
        )
        self._display.start(estimate.label, estimate.texts, estimate.done, often=True)

    def advanced(self, texts: int, tokens: int) -> None:
        """Show that more texts are encoded."""
        self._done, self._tokens = self._done + texts, self._tokens + tokens
        speed = self._tokens / max(time.monotonic() - self._start, 1e-9)
        note = f"{self._done:,} of {self._texts:,} texts, {speed:,.0f} tokens/s"
        self._display.update(self._label, self._done, self._texts, note)

    def ended(self, label: str, vectors: StoredVectors, *, made: bool) -> None:
        """Show where the vectors are kept and, if they were computed now, what they cost."""
        self._display.stop(label)
        cost = vectors.metadata
        done = "encoded before"
        if made:
            speed = cost["tokens"] / max(cost["seconds"], 1e-9)
            memory = cost["peak_memory_bytes"] / 2**20
            done = (
                f"{cost['tokens']:,} tokens, {cost['seconds']:.1f} s ({speed:,.0f} tokens/s), "
                f"peak {memory:,.0f} MiB"
            )
        self._display.say(
            f"{label}: {cost['texts']:,} texts, S = {cost['size']}, {done}, in {vectors.folder}"
        )
