"""Train RecBole's model and ours in turn, on the same data, sizes and processors.

RecBole needs older libraries than this package. Make its environment once:

    python3 -m venv recbole-env
    recbole-env/bin/pip install torch==2.13.0 recbole==1.2.1
    recbole-env/bin/pip install "numpy<2" "pandas<2.3" "scipy<1.14" "setuptools<81"

Then:

    python benchmarks/compare_recbole.py --python recbole-env/bin/python --epochs 3
    python benchmarks/compare_recbole.py --python recbole-env/bin/python --backbone gru4rec sasrec
    python benchmarks/compare_recbole.py --backbone caser --epochs 10   # our side alone
    python benchmarks/compare_recbole.py --backbone bert4rec --method none:cloze --epochs 400
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from common import command, plan, positive, print_table, run

from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.errors import BenchError, ConfigError, suggestion
from bench.evaluate.metrics import parse_metric, rank_of
from bench.plan.experiment import Experiment
from bench.plan.spec import Spec
from bench.runs.train import run_experiment
from bench.settings import Settings

PEER_MODELS = {"gru4rec": "GRU4Rec", "sasrec": "SASRec", "caser": "Caser", "bert4rec": "BERT4Rec"}
PEER_SCRIPT = Path(__file__).with_name("recbole_peer.py")
METRICS = {
    f"{ours}@{k}": f"{theirs}@{k}"
    for ours, theirs in (("HR", "hit"), ("NDCG", "ndcg"))
    for k in (5, 10, 20)
}
"""RecBole's name of each metric."""


def parser() -> ArgumentParser:
    """Describe the command line."""
    arguments = command(__doc__)
    add = arguments.add_argument
    peer = arguments.add_mutually_exclusive_group()
    peer.add_argument("--python", type=Path, help="Python of an environment with recbole==1.2.1")
    peer.add_argument("--peer", type=Path, help="what recbole_peer.py --out wrote, instead")
    add("--dataset", default="beauty", help="name or path of a data card")
    add("--backbone", nargs="+", default=sorted(PEER_MODELS), help="recommenders to train")
    add("--method", default="none", help="objective of our side, such as none:cloze")
    add("--set", nargs="+", default=[], help="settings of our side, as in bench run")
    add("--epochs", type=positive, default=1, help="most epochs of each side")
    add("--patience", type=positive, default=10, help="early stopping of each side")
    add("--peer-epochs", type=positive, help="most epochs of RecBole; the same unless given")
    add("--peer-batch", type=positive, default=2048, help="RecBole's train_batch_size")
    add("--threads", type=positive, default=torch.get_num_threads(), help="threads of each side")
    return arguments


@dataclass(frozen=True)
class Side:
    """One training run: a program, the next-item targets of an epoch, and its cost and figures.

    The seconds and the validation NDCG@10 are of each epoch, the test metrics, by our names, of
    the best weights.
    """

    name: str
    targets: int
    training_seconds: Sequence[float]
    evaluation_seconds: Sequence[float]
    validation: Sequence[float]
    test: dict[str, float]
    peak_memory_bytes: int

    @property
    def best_validation(self) -> float:
        """Best validation NDCG@10."""
        return max(self.validation)

    def epochs_to(self, figure: float) -> int | None:
        """Return the epoch in which validation NDCG@10 reached a figure; None if it never did."""
        reached = (epoch for epoch, v in enumerate(self.validation, start=1) if v >= figure)
        return next(reached, None)

    def seconds_to(self, figure: float) -> float | None:
        """Return wall seconds until validation NDCG@10 reached a figure; None if it never did."""
        epochs = self.epochs_to(figure)
        if epochs is None:
            return None
        return sum(self.training_seconds[:epochs]) + sum(self.evaluation_seconds[:epochs])

    @classmethod
    def read(cls, path: Path) -> Side:
        """Read the JSON lines that RecBole's side wrote.

        Raises
        ------
        BenchError
            The run did not come to its end.
        """
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        by_event = {row["event"]: row for row in rows}
        if "end" not in by_event:
            raise BenchError(f"{path} has no end: that run was cut off; run the benchmark again")
        epochs = [row for row in rows if row["event"] == "epoch"]
        return cls(
            "RecBole 1.2.1",
            by_event["start"]["targets"],
            [row["training_seconds"] for row in epochs],
            [row["evaluation_seconds"] for row in epochs],
            [row["validation"]["ndcg@10"] for row in epochs],
            {ours: by_event["end"]["test"][theirs] for ours, theirs in METRICS.items()},
            by_event["end"]["peak_memory_bytes"],
        )


def write_atomic_inter(dataset: Dataset, folder: Path) -> None:
    """Write a data set as RecBole's ``NAME/NAME.inter``, the place in the history as time."""
    target = folder / dataset.name / f"{dataset.name}.inter"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8") as stream:
        stream.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, items in zip(dataset.user_ids, dataset.sequences, strict=True):
            named = (dataset.item_ids[item - 1] for item in items)
            stream.writelines(f"{user}\t{item}\t{time}\n" for time, item in enumerate(named))


def run_peer(options: Namespace, dataset: Dataset, backbone: str, max_length: int) -> Side:
    """Train RecBole's model in its own environment, on the last ``max_length`` interactions.

    Raises
    ------
    BenchError
        The environment cannot run it.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_atomic_inter(dataset, work)
        flags = {
            "--model": PEER_MODELS[backbone],
            "--data": work,
            "--name": dataset.name,
            "--max-length": max_length,
            "--epochs": options.peer_epochs or options.epochs,
            "--patience": options.patience,
            "--batch": options.peer_batch,
            "--threads": options.threads,
            "--out": work / "out.jsonl",
        }
        words = [str(word) for pair in flags.items() for word in pair]
        # A link must stay one: it is how Python finds its environment.
        python = options.python.absolute()
        try:
            done = subprocess.run(  # noqa: S603 - the user names the interpreter
                [python, PEER_SCRIPT, *words], cwd=work, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise BenchError(
                f"cannot start {python} ({error.strerror}); correct --python"
            ) from None
        if done.returncode:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise BenchError(
                f"{python} could not run RecBole ({last}); --help shows how to make its environment"
            )
        return Side.read(work / "out.jsonl")


def read_peer(path: Path, dataset: Dataset, backbone: str, max_length: int) -> Side:
    """Read what RecBole's side wrote before.

    Raises
    ------
    BenchError
        The file cannot be read, or the run did not come to its end or was of another model, data
        set or maximum length.
    """
    try:
        side = Side.read(path)
        with path.open(encoding="utf-8") as stream:
            start = json.loads(stream.readline())
        found = start["model"], side.targets, start["settings"]["MAX_ITEM_LIST_LENGTH"]
    except OSError as error:
        raise BenchError(f"cannot read {path} ({error.strerror}); correct --peer") from None
    except (ValueError, KeyError, TypeError):
        raise BenchError(
            f"{path} is not what recbole_peer.py --out writes; correct --peer"
        ) from None
    targets = sum(max(0, len(sequence) - 3) for sequence in dataset.sequences)
    wanted = PEER_MODELS[backbone], targets, max_length
    if found != wanted:
        shown = [
            f"{m} of {n} targets with a maximum length of {length}"
            for m, n, length in (found, wanted)
        ]
        raise BenchError(f"{path} is {shown[0]} instead of {shown[1]}; train RecBole's side again")
    return side


def our_experiment(options: Namespace, backbone: str, dataset: Dataset) -> Experiment:
    """Fix our side's experiment; see :func:`common.plan`."""
    spec = Spec.parse(
        {
            "name": "recbole",
            "datasets": [options.dataset],
            "backbones": [backbone],
            "methods": [options.method],
            "training": {"epochs": options.epochs, "patience": options.patience},
        },
        "command line",
    )
    [experiment] = plan(spec, options.set, dataset)
    return experiment


def run_ours(experiment: Experiment, dataset: str, threads: int) -> Side:
    """Train our side in this process."""
    settings = Settings.from_environment(device="cpu", threads=threads)
    data = load_dataset(dataset, settings)
    with tempfile.TemporaryDirectory() as work:
        result = run_experiment(experiment, data, Path(work), settings)
    protocol = experiment.protocol
    ranks = rank_of(result.ranks["test"], protocol.candidates, protocol.ties)
    return Side(
        "this project",
        result.metadata.targets_per_epoch or 0,
        [epoch.seconds - epoch.validation_seconds for epoch in result.curve],
        [epoch.validation_seconds for epoch in result.curve],
        [epoch.metric for epoch in result.curve],
        {metric: parse_metric(metric).mean(ranks) for metric in METRICS},
        result.metadata.peak_memory_bytes or 0,
    )


def table(sides: Sequence[Side]) -> list[list[str]]:
    """Format a table's rows: a figure of each side and, of two, the first over the second."""
    best = sides[0].best_validation
    mib = 2**20
    rows: dict[str, Iterable[float | None]] = {
        "seconds per epoch": [statistics.median(side.training_seconds) for side in sides],
        "seconds per full ranking": [statistics.median(s.evaluation_seconds) for s in sides],
        f"seconds to {sides[0].name}'s best validation": [side.seconds_to(best) for side in sides],
        "epochs to it": [side.epochs_to(best) for side in sides],
        "peak memory, MiB": [side.peak_memory_bytes / mib for side in sides],
        "best validation NDCG@10": [side.best_validation for side in sides],
        **{f"test {metric}": [side.test[metric] for side in sides] for metric in METRICS},
    }
    return [_row(what, list(figures)) for what, figures in rows.items()]


def _row(what: str, figures: Sequence[float | None]) -> list[str]:
    row = [what, *map(_figure, figures)]
    if len(figures) == 1:
        return row
    theirs, ours = figures
    return [*row, f"{theirs / ours:.2f}" if theirs and ours else "-"]


def _figure(value: float | None) -> str:
    if value is None:
        return "not reached"
    return f"{value:.4f}" if value < 1 else f"{value:.1f}"


def main(options: Namespace) -> None:
    """Print a table for each backbone."""
    for backbone in options.backbone:
        if backbone not in PEER_MODELS:
            close = suggestion(backbone, PEER_MODELS)
            raise ConfigError(f"RecBole has no '{backbone}' here{close}")
    if options.peer is not None and len(options.backbone) > 1:
        raise ConfigError(f"{options.peer} is of one model; name it with --backbone")
    data = load_dataset(options.dataset, Settings.from_environment())
    for backbone in options.backbone:
        experiment = our_experiment(options, backbone, data)
        sides: list[Side] = []
        if options.peer is not None:
            sides.append(read_peer(options.peer, data, backbone, experiment.protocol.max_length))
        elif options.python is not None:
            sides.append(run_peer(options, data, backbone, experiment.protocol.max_length))
        # A process of its own, so that its peak memory is that of this run.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            given = experiment, options.dataset, options.threads
            sides.append(pool.submit(run_ours, *given).result())
        print()
        headers = [f"{backbone}, {sides[-1].targets} targets", *(side.name for side in sides)]
        print_table([*headers, "ratio"][: 2 * len(sides)], table(sides))


if __name__ == "__main__":
    run(parser(), main)
