"""Encoding speed: plain ``LLM2Vec.encode`` beside ours, same model, same batch tokens, one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.components import ENCODERS
from bench.errors import ConfigError
from bench.settings import Settings
from bench.text.encoders.llm2vec.model import LlmEncoder
from bench.training.device import select_device

HEADERS = ("side", "batches", "tokens", "seconds", "tokens/s", "ratio", "difference", "of length")
"""The last two: largest difference of a number from ours, and of a vector as a share of its
length. Float32 sums in another order differ by parts of a million."""
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """One way to encode the same texts.

    Attributes
    ----------
    name
        For people.
    batches
        How many, and of what.
    seconds
        Of its faster pass.
    vectors
        float32 ``[texts, S]``.
    """

    name: str
    batches: str
    seconds: float
    vectors: Vectors


def measure(
    encoder: str, settings: dict[str, Any], texts: Sequence[str], device: str, repeats: int
) -> list[tuple[str, ...]]:
    """Encode the same texts in three ways, in turn, and give a table's rows.

    ``LLM2Vec.encode`` takes a number of texts a batch; it is given the one by which its batches
    hold as many tokens as ours on average, padding aside. It is run on batches in arrival order
    and on all texts at once, where it sorts by characters.

    Parameters
    ----------
    encoder
        Registered name of one that goes through LLM2Vec.
    settings
        Of the encoder, by its name.
    texts
        Distinct, in the order of the catalogue.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    repeats
        Passes of each side; the fastest counts.

    Raises
    ------
    ConfigError
        The encoder does not go through LLM2Vec, or cannot run here.
    """
    entry = ENCODERS.get(encoder)
    ours = entry.model_class()(
        entry.parse({encoder: settings}, "command line"), Settings.from_environment()
    )
    if not isinstance(ours, LlmEncoder):
        raise ConfigError(f"encoder '{encoder}' does not go through LLM2Vec; name one that does")
    ours.open(select_device(device))
    lengths = [len(row) for row in ours.tokenize(texts)]
    together = max(1, round(ours.tokens_per_batch * len(texts) / sum(lengths)))
    work: dict[str, tuple[str, Callable[[], Vectors]]] = {
        "LLM2Vec.encode, arrival order": (
            f"{together} texts",
            lambda: np.concatenate(
                [_plain(ours, part, together) for part in _cut(texts, together)]
            ),
        ),
        "LLM2Vec.encode, its own order": (
            f"{together} texts",
            lambda: _plain(ours, texts, together),
        ),
        "ours": (f"{ours.tokens_per_batch} tokens", lambda: ours.encode(texts)),
    }
    best: dict[str, Side] = {}
    for _ in range(repeats):
        for name, (batches, encode) in work.items():
            side = _timed(name, batches, encode)
            if name not in best or side.seconds < best[name].seconds:
                best[name] = side
    return _rows(list(best.values()), sum(lengths))


def _plain(ours: LlmEncoder[Any], texts: Sequence[str], together: int) -> Vectors:
    found = ours.model.encode(
        list(texts), batch_size=together, show_progress_bar=False, device=str(ours.device)
    )
    vectors: Vectors = found.numpy()
    return vectors


def _cut(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))


def _timed(name: str, batches: str, encode: Callable[[], Vectors]) -> Side:
    start = time.perf_counter()
    vectors = encode()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Side(name, batches, time.perf_counter() - start, vectors)


def _rows(sides: Sequence[Side], tokens: int) -> list[tuple[str, ...]]:
    first, ours = sides[0], sides[-1]
    return [
        (
            side.name,
            side.batches,
            f"{tokens:,}",
            f"{side.seconds:.1f}",
            f"{tokens / side.seconds:,.0f}",
            f"{first.seconds / side.seconds:.2f}",
            f"{np.abs(side.vectors - ours.vectors).max():.1e}",
            f"{relative_difference(side.vectors, ours.vectors):.1e}",
        )
        for side in sides
    ]


def relative_difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest distance of two vectors of the same text, as a share of their length.

    Examples
    --------
    >>> relative_difference(np.array([[3, 4.5], [1, 0]]), np.array([[3.0, 4], [1, 0]]))
    0.1
    """
    distance = np.linalg.norm(found - expected, axis=1)
    return float((distance / np.linalg.norm(expected, axis=1)).max())
