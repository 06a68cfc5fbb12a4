"""Time what a CPU computes on real tokens alone against a library's call on padded frames.

Both sides are those of the package: a CPU takes the first, a GPU the second (docs/kernels.md). Each
is timed forward and backward on the batches of a data set, whose lengths decide which is faster.

    python benchmarks/kernels.py
    python benchmarks/kernels.py --dataset ml-100k --threads 2
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial

import torch
from common import command, positive, print_table, run, seconds
from torch import Generator, Tensor, nn

from bench.components import BACKBONES
from bench.data.load import load_dataset
from bench.data.split import Split
from bench.methods.parts.bilstm import BiLSTM
from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.packing import pack
from bench.model.backbone import Sizes
from bench.model.batch import Batch, SequenceData
from bench.model.samples import batches, prefixes
from bench.model.shapes import static_shapes
from bench.settings import Settings
from bench.training.losses import cross_entropy

WIDTH = 64
HEADERS = ("data set", "real positions", "what", "own", "library", "times")
Call = Callable[[], Tensor]


def parser() -> ArgumentParser:
    """Describe the command line."""
    arguments = command(__doc__)
    add = arguments.add_argument
    add("--dataset", nargs="+", default=["beauty", "ml-100k"], help="names or paths of data cards")
    add("--rows", type=positive, default=512, help="rows of a batch")
    add("--length", type=positive, default=50, help="most positions of a row")
    add("--threads", type=positive, default=1, help="threads of the arithmetic")
    return arguments


def calls(batch: Batch, sizes: Sizes) -> Iterator[tuple[str, Call, nn.Module]]:
    """Yield what is computed: its name, the call, and the module that holds the weights."""
    valid, n_items = batch.valid, sizes.n_items
    x = torch.randn(*valid.shape, WIDTH) * valid[..., None]
    lstm = BiLSTM(WIDTH, WIDTH)
    yield "bidirectional LSTM", lambda: torch.stack(lstm(x, valid)), lstm
    for name in ("gru4rec", "sasrec", "caser"):
        entry = BACKBONES.get(name)
        backbone = entry.model_class()(entry.config_class()(), sizes)
        yield f"{name}, all states", partial(backbone.encode, x, valid), backbone
    table, given = nn.Embedding(n_items, WIDTH), torch.randn(len(valid), WIDTH)
    targets = 1 + torch.randint(n_items, (len(valid),))
    yield "softmax of one target a row", lambda: cross_entropy(given, table.weight, targets), table
    layer, keep = nn.Linear(WIDTH, WIDTH), valid & (torch.rand(valid.shape) < 0.7)
    yield "packing of what is kept", lambda: pack(keep).gather(layer(x)), layer
    yield "dropout of a frame", lambda: fast_dropout(layer(x), 0.5), layer


def timed(call: Call, module: nn.Module) -> float:
    """Time a call and its gradient."""

    def step() -> None:
        module.zero_grad(set_to_none=True)
        call().sum().backward()  # type: ignore[no-untyped-call]

    return seconds(step)


def measure(name: str, options: Namespace) -> Iterator[list[str]]:
    """Yield a row for each kernel on the batches of a data set."""
    dataset = load_dataset(name, Settings.from_environment())
    data = SequenceData(Split.of(dataset).train)
    generator = Generator().manual_seed(0)
    torch.manual_seed(0)
    rows = batches(prefixes(data, options.length, 1, generator), options.rows, generator)[0]
    batch = data.gather(rows)
    share = f"{batch.size / batch.valid.numel():.0%} of {len(rows)} x {batch.valid.shape[1]}"
    for what, call, module in calls(batch, Sizes(dataset.n_users, dataset.n_items, options.length)):
        own = timed(call, module)
        with static_shapes():
            library = timed(call, module)
        cells = (f"{1000 * own:.1f} ms", f"{1000 * library:.1f} ms", f"{library / own:.1f}")
        yield [dataset.name, share, what, *cells]


def main(options: Namespace) -> None:
    """Print a row for each kernel and data set."""
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    print_table(HEADERS, [row for name in options.dataset for row in measure(name, options)])


if __name__ == "__main__":
    run(parser(), main)
