"""Time the encoding of item texts against plain LLM2Vec.encode, with the same model.

LLM2Vec.encode takes a number of texts a batch; it gets the one by which its batches hold as many
tokens as ours on average, padding aside. It is run on batches in the order of the catalogue, and
on all texts at once, where it sorts by characters.

    python benchmarks/embed.py --dataset beauty --sample 200
    python benchmarks/embed.py --encoder llm2vec --set llm2vec.model=PATH --device cuda
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from common import command, positive, print_table, run
from numpy.typing import NDArray
from torch.utils.benchmark import timer

from bench.components import ENCODERS
from bench.data.load import load_dataset
from bench.errors import ConfigError
from bench.plan.overrides import apply_overrides
from bench.plan.spec import Spec
from bench.settings import Settings
from bench.text.encoders.llm2vec.model import LlmEncoder
from bench.training.device import select_device

HEADERS = ("side", "batches", "tokens", "seconds", "tokens/s", "ratio", "difference", "of length")
"""The last two: largest difference of a number from ours, and of a vector as a share of its
length. Float32 sums in another order differ by parts of a million."""
Vectors = NDArray[np.float32]


def parser() -> ArgumentParser:
    """Describe the command line."""
    arguments = command(__doc__)
    add = arguments.add_argument
    add("--dataset", default="beauty", help="name or path of a data card with item texts")
    add("--encoder", default="smollm2", help="one that goes through LLM2Vec")
    add("--sample", type=int, default=1000, help="texts, evenly spaced; 0 = all")
    add("--repeats", type=positive, default=1, help="passes of each side; the fastest counts")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of the encoder")
    add("--threads", type=positive, default=1, help="threads of each side")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return arguments


@dataclass(frozen=True)
class Side:
    """One way to encode the texts: what its batches hold, seconds, vectors ``[texts, S]``."""

    batches: str
    seconds: float
    vectors: Vectors


def measure(
    encoder: str, settings: dict[str, Any], texts: Sequence[str], device: str, repeats: int
) -> list[list[str]]:
    """Encode the same texts in three ways, in turn, and return a table's rows.

    The fastest of the repeats counts.

    Raises
    ------
    ConfigError
        The encoder does not go through LLM2Vec, or cannot run here.
    """
    entry = ENCODERS.get(encoder)
    config = entry.parse({encoder: settings}, "command line")
    ours = entry.model_class()(config, Settings.from_environment())
    if not isinstance(ours, LlmEncoder):
        raise ConfigError(f"encoder '{encoder}' does not go through LLM2Vec; name one that does")
    ours.open(select_device(device))
    tokens = sum(len(row) for row in ours.tokenize(texts))
    size = max(1, round(ours.tokens_per_batch * len(texts) / tokens))

    def plain(part: Sequence[str]) -> Vectors:
        found: Vectors = ours.model.encode(
            list(part), batch_size=size, show_progress_bar=False, device=str(ours.device)
        ).numpy()
        return found

    def in_order() -> Vectors:
        return np.concatenate([plain(texts[i : i + size]) for i in range(0, len(texts), size)])

    ways: dict[str, tuple[str, Callable[[], Vectors]]] = {
        "LLM2Vec.encode, arrival order": (f"{size} texts", in_order),
        "LLM2Vec.encode, its own order": (f"{size} texts", lambda: plain(texts)),
        "ours": (f"{ours.tokens_per_batch} tokens", lambda: ours.encode(texts)),
    }
    sides: dict[str, Side] = {}
    for _ in range(repeats):
        for name, (batches, encode) in ways.items():
            start = timer()  # waits for a GPU to finish
            vectors = encode()
            side = Side(batches, timer() - start, vectors)
            sides[name] = min(sides.get(name, side), side, key=lambda found: found.seconds)
    return rows(sides, tokens)


def rows(sides: dict[str, Side], tokens: int) -> list[list[str]]:
    """Format each side beside the first and, for vectors, the last one."""
    first, *_, last = sides.values()
    return [
        [
            name,
            side.batches,
            f"{tokens:,}",
            f"{side.seconds:.1f}",
            f"{tokens / side.seconds:,.0f}",
            f"{first.seconds / side.seconds:.2f}",
            f"{np.abs(side.vectors - last.vectors).max():.1e}",
            f"{relative_difference(side.vectors, last.vectors):.1e}",
        ]
        for name, side in sides.items()
    ]


def relative_difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest distance of two vectors of the same text, as a share of their length.

    Examples
    --------
    >>> relative_difference(np.array([[3, 4.5], [1, 0]]), np.array([[3.0, 4], [1, 0]]))
    0.1
    """
    distance = np.linalg.norm(found - expected, axis=1)
    return float((distance / np.linalg.norm(expected, axis=1)).max())


def main(options: Namespace) -> None:
    """Print a row for each way to encode."""
    spec = Spec(name="embed", datasets=(options.dataset,), encoders=(options.encoder,))
    spec = apply_overrides(spec, options.set)
    torch.set_num_threads(options.threads)
    data = load_dataset(options.dataset, Settings.from_environment())
    texts = list(dict.fromkeys(text for text in data.item_texts if text))
    chosen = texts[:: max(len(texts) // options.sample, 1)] if options.sample else texts
    print(f"{len(chosen):,} of {len(texts):,} distinct item texts of {options.dataset}")
    settings = spec.encoder_settings.get(options.encoder, {})
    print_table(
        HEADERS, measure(options.encoder, settings, chosen, options.device, options.repeats)
    )


if __name__ == "__main__":
    run(parser(), main)
