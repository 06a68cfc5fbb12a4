"""Time parts of methods against direct ports of the published loops, in one run.

The ports are the oracles of the tests (tests/oracles); both sides get the same input, and what
they compute is compared before it is timed. A training step is losses, gradients and Adam.

    python benchmarks/parts.py
    python benchmarks/parts.py hsd ssdrec --threads 2
"""

from __future__ import annotations

import random
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import command, positive, print_table, run, seconds
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.data.load import load_dataset
from bench.data.split import Split
from bench.errors import DataError
from bench.methods.dcrec.neighbours import means, split
from bench.methods.none.config import NoneConfig
from bench.methods.none.model import BareBackbone
from bench.methods.parts.packing import pack
from bench.methods.parts.sparse import SparseMatrix
from bench.methods.ssdrec.insertion import Insertion, insert, without_insertions
from bench.methods.ssdrec.relations import RelationSettings, build_relations
from bench.methods.steam.corruption import INSERT, corrupt
from bench.model.method import Method, NextItemLoss
from bench.settings import Settings
from bench.training.losses import cross_entropy, in_batch_tanh
from bench.training.resources import peak_memory_bytes

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from oracles import dcrec, hsd, iadsr, ssdrec, steam
from oracles.ssdrec_graphs import loop_graphs

HEADERS = ("part", "published loops", "ours", "times faster", "note")
Losses = Callable[[], dict[str, Tensor]]


@dataclass(frozen=True)
class Comparison:
    """Wall seconds of the published loops and of ours for one part, on the same input.

    The note says what else was measured: memory, agreement of the two results.
    """

    part: str
    loops: float
    ours: float
    note: str

    def row(self) -> list[str]:
        """Format a table's row, in the order of :data:`HEADERS`."""
        times = (f"{1000 * value:.2f} ms" for value in (self.loops, self.ours))
        return [self.part, *times, f"{self.loops / self.ours:.1f}", self.note]


def same(equal: bool) -> str:
    """Describe whether both sides computed the same."""
    return "equal" if equal else "DIFFERENT"


def step_seconds(module: nn.Module, losses: Losses) -> float:
    """Time a training step of a module's weights."""
    optimiser = torch.optim.Adam(module.parameters(), fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses().values())).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return seconds(step)


def dcrec_parts(rows: int = 2048) -> Iterator[Comparison]:
    """Compare perturbation, neighbours' means and whole steps on Beauty's sizes."""
    train = dcrec.histories()
    error = dcrec.compare(train)
    ours = dcrec.model(train)
    loops = dcrec.Published(ours, train, dcrec.DRAWN)
    batch, padded = dcrec.some_batch(train, rows), dcrec.some_batch(train, rows, dcrec.LENGTH)
    graph, users = ours.training_graphs.transition, batch.users.tolist()
    kept = ours.perturbation.kept(batch.users, graph.edges)
    left = loops.perturbed(users)
    yield Comparison(
        f"dcrec: perturbation by {rows:,} users of {graph.edges:,} edges",
        seconds(lambda: loops.perturbed(users)),
        seconds(lambda: ours.perturbation.kept(batch.users, graph.edges)),
        same(left.weight.equal(graph.matrix.values[kept])),
    )
    views = loops.view(loops.transition).detach()
    last = batch.items[torch.arange(rows), batch.valid.sum(1) - 1]
    sides = split(graph, kept, loop_is_neighbour=True)

    def averages() -> list[Tensor]:
        return [means(graph, members, views)[last] for members in sides]

    loops.limit = None
    found = loops.read(left, last.tolist(), views)
    apart = max(float((a - b).abs().max()) for a, b in zip(averages(), found, strict=True))
    yield Comparison(
        f"dcrec: means over own and foreign neighbours of {rows:,} rows",
        seconds(lambda: loops.read(left, last.tolist(), views)),
        seconds(averages),
        f"largest difference {apart:.0e}",
    )
    loops.limit = dcrec.DRAWN
    yield Comparison(
        f"dcrec:reference: step of {rows:,} prefixes",
        step_seconds(ours, partial(loops.losses, padded)),
        step_seconds(ours, partial(ours.losses, batch)),
        f"losses {error:.0e} apart",
    )


def hsd_parts() -> Iterator[Comparison]:
    """Compare packing and whole steps on Beauty's sizes."""
    rows, length = hsd.BATCH, hsd.LENGTH
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, hsd.ITEMS + 1, (rows, length), generator=generator)
    keep = torch.rand(rows, length, generator=generator) < 0.75
    x = torch.randn(rows, length, hsd.WIDTH, generator=generator)

    def packed() -> tuple[Tensor, Tensor]:
        packing = pack(keep)
        return packing.gather(ids), packing.gather(x)

    pairs = zip(hsd.loop_packing(ids, x, keep), packed(), strict=True)
    yield Comparison(
        f"hsd: packing of {rows} rows of {length}",
        seconds(lambda: hsd.loop_packing(ids, x, keep)),
        seconds(packed),
        same(all(a[:, : b.shape[1]].equal(b) and not a[:, b.shape[1] :].any() for a, b in pairs)),
    )
    error = hsd.compare()
    for full in (False, True):
        batch = hsd.some_batch(full=full)
        ours, compat = hsd.model("hsd", "sasrec"), hsd.model("hsd:compat", "sasrec")
        port = hsd.Published(compat)
        draws = compat.core.draw(batch.valid.shape, batch.targets.sum(1), hsd.ITEMS)
        kind = f"all of {length} items" if full else "as long as Beauty's"
        yield Comparison(
            f"hsd with SASRec: step of {rows} prefixes {kind}",
            step_seconds(port, partial(port.losses, batch, draws)),
            step_seconds(ours, partial(ours.losses, batch)),
            f"losses of the port and hsd:compat {error:.0e} apart",
        )


def iadsr_parts() -> Iterator[Comparison]:
    """Compare steps per 32 users, at our best batch size, and with the bare backbone."""
    given, users = iadsr.Input.make(), iadsr.BATCH
    error = iadsr.compare(given)
    published: dict[str, object] = {"theta": -1.0, "progressive": "none"}
    model = iadsr.method(given, in_batch_tanh, **published)
    [batch] = given.batches(users, 1)
    port, noise = iadsr.Loops(model, given, users), torch.rand(int(batch.valid.sum()))
    loops = step_seconds(model, lambda: {"all": port.losses(batch, noise)})
    regimes: dict[str, tuple[NextItemLoss, dict[str, object]]] = {
        "the published regime": (in_batch_tanh, published),
        "full softmax, recomputed masks": (cross_entropy, {}),
    }
    for name, (loss, settings) in regimes.items():
        found = [
            (_step_of(iadsr.method(given, loss, **settings), given, size) / size, size)
            for size in (256, 512, 1024, 2048, 4096)
        ]
        best, size = min(found)
        note = f"batch {size}; losses {error:.0e} apart"
        yield Comparison(f"iadsr: step per {users} users, {name}", loops, users * best, note)
    data = iadsr.training_data(given, cross_entropy)
    bare = BareBackbone(NoneConfig(), data, iadsr.backbone())
    yield Comparison(
        "step of 512 pairs, bare backbone (left) against iadsr",
        _step_of(bare, given, 512),
        _step_of(iadsr.method(given, cross_entropy), given, 512),
        "below 1: what the denoiser costs",
    )


def _step_of(method: Method, given: iadsr.Input, size: int) -> float:
    [batch] = given.batches(size, 1)
    return step_seconds(method, partial(method.losses, batch))


def ssdrec_parts() -> Iterator[Comparison]:
    """Compare graphs, products with them, insertion and whole steps."""
    settings = RelationSettings(max_length=ssdrec.LENGTH, c_min=1, hot_items=0.2, hot_users=0.1)
    yield some_relations(settings)
    yield from relations_of_beauty(settings)
    yield insertions()
    train = ssdrec.histories(943, ssdrec.ITEMS, 100.0)  # ML-100K's sizes
    error = ssdrec.compare(train, 51)
    for rows in (51, 255, 510):
        batch = ssdrec.some_batch(train, rows)
        ours, compat = (ssdrec.model(m, "sasrec", train) for m in ("ssdrec", "ssdrec:compat"))
        port = ssdrec.Published(compat)
        yield Comparison(
            f"ssdrec with SASRec: step of {rows} users of ML-100K's sizes",
            step_seconds(port, partial(port.losses, batch)),
            step_seconds(ours, partial(ours.losses, batch)),
            f"losses of the port and ssdrec:compat {error:.0e} apart",
        )


def some_relations(settings: RelationSettings, users: int = 400) -> Comparison:
    """Compare the mining of the relations of a few hundred users."""
    train = ssdrec.histories(users, ssdrec.ITEMS, 6.0)
    ours = build_relations(train, ssdrec.ITEMS, settings)
    loops = loop_graphs(train, ssdrec.ITEMS, settings)
    error = max(float(np.abs(ours[name].toarray() - loops[name]).max()) for name in loops)
    return Comparison(
        f"ssdrec: relations of {users} users and {ssdrec.ITEMS:,} items",
        seconds(lambda: loop_graphs(train, ssdrec.ITEMS, settings)),
        seconds(lambda: build_relations(train, ssdrec.ITEMS, settings)),
        f"largest difference {error:.0e}",
    )


def relations_of_beauty(settings: RelationSettings) -> Iterator[Comparison]:
    """Time the mining of Beauty, and products with its largest relation; nothing without it."""
    try:
        data = load_dataset("beauty", Settings.from_environment())
    except DataError as error:
        sys.stderr.write(f"Beauty is left out: {error}\n")
        return
    train = Split.of(data).train
    graphs = build_relations(train, data.n_items, settings)
    mining = seconds(lambda: build_relations(train, data.n_items, settings))
    edges = sum(graph.nnz for graph in graphs.values())
    largest = graphs["incompatible"]
    x, bags = torch.randn(largest.shape[1], ssdrec.WIDTH), SparseMatrix(largest)
    rows = torch.sparse_csr_tensor(
        bags.starts, bags.columns, bags.values, bags.shape, check_invariants=False
    )
    apart = float((bags(x) - rows @ x).abs().max())
    yield Comparison(
        f"ssdrec: product with {largest.nnz:,} edges of Beauty (left: torch's sparse rows)",
        seconds(lambda: rows @ x),
        seconds(lambda: bags(x)),
        f"largest difference {apart:.0e}; mining {edges:,} edges takes {mining:.1f} s",
    )


def insertions(rows: int = 256) -> Comparison:
    """Compare the insertion of two items into each row."""
    length = ssdrec.LENGTH
    batch = ssdrec.some_batch(ssdrec.histories(rows, ssdrec.ITEMS, 20.0), rows)
    x = torch.randn(rows, length, ssdrec.WIDTH)
    lengths = batch.valid.sum(1)
    chosen = Insertion(
        rows=lengths <= length - 2,
        position=(torch.rand(rows) * lengths).long(),
        items=torch.randint(1, ssdrec.ITEMS + 1, (2, rows)),
        vectors=torch.randn(2, rows, ssdrec.WIDTH),
        gate=torch.ones(rows),
    )
    whole, hot = without_insertions(batch.items, x), one_hot(chosen.position, length).float()
    ours, loops = insert(whole, chosen), ssdrec.loop_insertion(batch.items, x, chosen, hot)
    equal = ours.items[:, :length].equal(loops[0]) and ours.x[:, :length].equal(loops[1])
    return Comparison(
        f"ssdrec: insertion into {rows} rows of {length}",
        seconds(lambda: ssdrec.loop_insertion(batch.items, x, chosen, hot)),
        seconds(lambda: insert(whole, chosen)),
        same(equal),
    )


def steam_parts(rows: int = 256, corrected: int = 64, loop_rows: int = 8) -> Iterator[Comparison]:
    """Compare corruption, correction and a training step.

    At 256 users a step of the loops needs more memory than most machines have, so that it is
    timed at fewer and scaled.
    """
    given = steam.Input.make()
    model = given.model()
    items, loops = given.histories(rows), steam.Loops(model)
    lists = [[item for item in row if item] for row in items.tolist()]
    chance = random.Random(0)  # noqa: S311
    labels = [label for row in loops.corrupt(lists, chance) for label in row]
    made = corrupt(items, model.rates, model.noise)
    share = float((made.operations[made.items > 0] == INSERT).double().mean())
    yield Comparison(
        f"steam: corruption of {rows} histories",
        seconds(lambda: loops.corrupt(lists, chance)),
        seconds(lambda: corrupt(items, model.rates, model.noise)),
        f"insert labels {labels.count(INSERT) / len(labels):.2f} and {share:.2f}",
    )
    items = given.histories(corrected)
    wide = steam.wide(items, model.length)
    theirs = [row[1 - model.length :] for row in loops.correct(wide)]
    ours = [[item for item in row if item] for row in model.correct(items).items.tolist()]
    yield Comparison(
        f"steam: correction of {corrected} histories",
        seconds(lambda: loops.correct(wide)),
        seconds(lambda: model.correct(items)),
        same(theirs == ours),
    )
    batch, small = given.segments(rows), given.segments(loop_rows)
    trained = given.model().train()
    own = step_seconds(trained, partial(trained.losses, batch))
    peak = peak_memory_bytes() / 2**20
    still = given.model(dropout=0.0)
    port, draws = steam.Loops(still), still.draw(small.items)
    error = steam.compare(given, loop_rows)
    yield Comparison(
        f"steam: step of {rows} users",
        step_seconds(still, partial(port.losses, small.items, draws)) * rows / loop_rows,
        own,
        f"loops: {loop_rows} users, scaled; losses {error:.0e} apart; peak {peak:.0f} MiB",
    )


PARTS: dict[str, Callable[[], Iterator[Comparison]]] = {
    "dcrec": dcrec_parts,
    "hsd": hsd_parts,
    "iadsr": iadsr_parts,
    "ssdrec": ssdrec_parts,
    "steam": steam_parts,
}


def parser() -> ArgumentParser:
    """Describe the command line."""
    arguments = command(__doc__)
    arguments.add_argument("method", nargs="*", choices=[*PARTS, []], help="methods; all if none")
    arguments.add_argument("--threads", type=positive, default=1, help="threads of each side")
    return arguments


def main(options: Namespace) -> None:
    """Print a table of all comparisons."""
    torch.set_num_threads(options.threads)
    names = options.method or PARTS
    print_table(HEADERS, [comparison.row() for name in names for comparison in PARTS[name]()])


if __name__ == "__main__":
    run(parser(), main)
