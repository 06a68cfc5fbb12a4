"""Run RecBole and ours in turn on the same data, sizes and processors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from bench.data.dataset import Dataset
from bench.errors import BenchError, ConfigError, suggestion
from bench.perf.side import Side

PEER_MODELS = {"gru4rec": "GRU4Rec", "sasrec": "SASRec", "caser": "Caser"}
PEER_SCRIPT = Path(__file__).with_name("recbole_peer.py")


@dataclass(frozen=True)
class Effort:
    """How long both sides train.

    Attributes
    ----------
    epochs, peer_epochs
        Most of ours and of the peer, which may be cut off earlier: its best is then a lower bound.
    patience
        The same for both sides.
    peer_batch
        Samples per step of the peer; RecBole's default is 2048.
    threads
        Of both sides; 0 leaves each its default.
    """

    epochs: int
    peer_epochs: int
    patience: int
    peer_batch: int
    threads: int


def check_peer(backbone: str) -> None:
    """Refuse a backbone that the peer lacks, before anything is trained.

    Raises
    ------
    ConfigError
        It has no such model.
    """
    if backbone not in PEER_MODELS:
        raise ConfigError(f"RecBole has no '{backbone}' here{suggestion(backbone, PEER_MODELS)}")


def write_atomic_inter(dataset: Dataset, folder: Path) -> None:
    """Write a data set as RecBole's ``NAME/NAME.inter``, the place in the history as time."""
    target = folder / dataset.name / f"{dataset.name}.inter"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8") as stream:
        stream.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, items in enumerate(dataset.sequences):
            stream.writelines(f"{user}\t{item}\t{time}\n" for time, item in enumerate(items))


def run_peer(python: Path, dataset: Dataset, backbone: str, effort: Effort, work: Path) -> Side:
    """Train RecBole's model in its own environment.

    Raises
    ------
    BenchError
        The environment cannot run it.
    """
    write_atomic_inter(dataset, work)
    out = work / f"recbole-{backbone}.jsonl"
    options = {
        "--model": PEER_MODELS[backbone],
        "--data": work,
        "--name": dataset.name,
        "--max-length": dataset.max_length,
        "--epochs": effort.peer_epochs,
        "--patience": effort.patience,
        "--batch": effort.peer_batch,
        "--threads": effort.threads,
        "--out": out,
    }
    _run([str(python), str(PEER_SCRIPT)], options, work)
    return Side.read("RecBole 1.2.1", out)


def run_ours(name: str, backbone: str, effort: Effort, work: Path) -> Side:
    """Train our bare backbone in a process of its own."""
    out = work / f"ours-{backbone}.jsonl"
    options = {
        "--dataset": name,
        "--backbone": backbone,
        "--epochs": effort.epochs,
        "--patience": effort.patience,
        "--threads": effort.threads,
        "--out": out,
    }
    _run([sys.executable, "-m", "bench.perf.ours"], options, Path.cwd())
    return Side.read("this project", out)


def _run(program: list[str], options: dict[str, object], folder: Path) -> None:
    words = [str(word) for pair in options.items() for word in pair]
    try:
        done = subprocess.run(  # noqa: S603 - the user names the interpreter
            [*program, *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BenchError(
            f"cannot start {program[0]} ({error.strerror}); correct --python"
        ) from None
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise BenchError(
            f"{program[0]} could not run its side of the benchmark ({last}); see 'bench perf "
            "recbole --help' for how to make the peer's environment"
        )


def table(backbone: str, peer: Side, ours: Side) -> str:
    """Render both sides and their ratios as Markdown."""
    goal = peer.best_validation
    rows = [
        _row("seconds per epoch", peer.seconds_per_epoch, ours.seconds_per_epoch),
        _row("seconds per full ranking", peer.seconds_per_evaluation, ours.seconds_per_evaluation),
        _row("seconds to the peer's best validation", peer.seconds_to(goal), ours.seconds_to(goal)),
        _row("epochs to it", peer.epochs_to(goal), ours.epochs_to(goal)),
        _row("peak memory, MiB", peer.peak_memory_bytes / 2**20, ours.peak_memory_bytes / 2**20),
        _row("best validation NDCG@10", peer.best_validation, ours.best_validation),
        *(_row(f"test {name}", peer.test[name], ours.test[name]) for name in sorted(ours.test)),
    ]
    headers: Sequence[str] = [f"{backbone}, {ours.targets} targets", peer.name, ours.name, "ratio"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _row(what: str, theirs: float | None, ours: float | None) -> list[str]:
    ratio = f"{theirs / ours:.2f}" if theirs and ours else "-"
    return [what, _figure(theirs), _figure(ours), ratio]


def _figure(value: float | None) -> str:
    if value is None:
        return "not reached"
    return f"{value:.4f}" if value < 1 else f"{value:.1f}"
