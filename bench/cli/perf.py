"""``bench perf``: speed and memory, each beside a peer in the same run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import CacheDir, DataDir, Device, ManyValues, Methods, Sets, Threads
from bench.plan.overrides import apply_overrides
from bench.plan.spec import Spec
from bench.settings import Settings

app = typer.Typer(
    name="perf",
    help="Measure speed and memory beside a peer in the same run.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

EPILOG = """
\b
Make the peer's environment once:
  python -m venv recbole-env
  recbole-env/bin/pip install torch==2.13.0 recbole==1.2.1 \\
    "numpy<2" "pandas<2.3" "scipy<1.14" "setuptools<81"
\b
Examples:
  bench perf recbole --python recbole-env/bin/python --epochs 3
  bench perf recbole --python recbole-env/bin/python --dataset beauty --backbone gru4rec sasrec
"""
METHODS_EPILOG = """
\b
Examples:
  bench perf methods
  bench perf methods --dataset ml-100k --backbone gru4rec --steps 5
  bench perf methods --method none dcrec dcrec:no-contrast --set batch_size=2048
"""


@app.command(cls=ManyValues, epilog=EPILOG)
def recbole(
    python: Annotated[Path, typer.Option(help="Python of an environment with recbole==1.2.1.")],
    dataset: Annotated[str, typer.Option(help="Data set to train on.")] = "beauty",
    backbone: Annotated[list[str] | None, typer.Option(help="Backbones; default: all.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Most epochs of each side.")] = 1,
    patience: Annotated[int, typer.Option(min=1, help="Early stopping of each side.")] = 10,
    peer_epochs: Annotated[
        int, typer.Option(min=0, help="Most epochs of RecBole, ten times as long; 0 = the same.")
    ] = 0,
    peer_batch: Annotated[int, typer.Option(min=1, help="RecBole's train_batch_size.")] = 2048,
    threads: Annotated[int, typer.Option(min=0, help="Threads of each side; 0 = default.")] = 0,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Train RecBole's models and ours in turn and print both sides' figures."""
    del data_dir, cache_dir  # their callbacks have set the environment
    from bench.data.load import load_dataset
    from bench.perf.compare import PEER_MODELS, Effort, check_peer, run_ours, run_peer, table

    backbones = backbone or sorted(PEER_MODELS)
    for name in backbones:
        check_peer(name)
    data = load_dataset(dataset, Settings.from_environment())
    effort = Effort(epochs, peer_epochs or epochs, patience, peer_batch, threads)
    for name in backbones:
        with tempfile.TemporaryDirectory() as work:
            peer = run_peer(python.absolute(), data, name, effort, Path(work))
            ours = run_ours(dataset, name, effort, Path(work))
        typer.echo(f"\n{table(name, peer, ours)}")


@app.command()
def softmax(
    items: Annotated[int, typer.Option(min=2, help="Size of the catalogue.")] = 12_101,
    width: Annotated[int, typer.Option(min=1, help="Embedding size.")] = 64,
    targets: Annotated[int, typer.Option(min=1, help="Targets per step.")] = 1024,
) -> None:
    """Measure the next-item loss against the machine's matrix product."""
    from bench.perf.softmax import measure

    speed = measure(items, width, targets)
    typer.echo(f"matrix product ceiling {speed.ceiling:.0f} GFLOP/s")
    typer.echo(f"sliced softmax {speed.sliced:.0f} GFLOP/s, {speed.share:.0%} of the ceiling")
    typer.echo(f"plain cross-entropy {speed.plain:.0f} GFLOP/s")


@app.command(cls=ManyValues)
def embed(
    dataset: Annotated[str, typer.Option(help="Whose item texts.")] = "beauty",
    encoder: Annotated[str, typer.Option(help="One that goes through LLM2Vec.")] = "smollm2",
    sample: Annotated[
        int, typer.Option(min=0, help="So many texts, evenly spaced; 0 = all.")
    ] = 1000,
    repeats: Annotated[int, typer.Option(min=1, help="Passes of each side; best counts.")] = 1,
    set_: Sets = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each side.")] = 1,
    device: Device = "auto",
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Time the encoding of item texts against plain LLM2Vec.encode, with the same model."""
    del data_dir, cache_dir  # their callbacks have set the environment
    import torch
    from tabulate import tabulate

    from bench.data.load import load_dataset
    from bench.perf.embed import HEADERS, measure

    given = {"name": "perf", "datasets": [dataset], "encoders": [encoder]}
    spec = apply_overrides(Spec.parse(given, "command line"), set_ or [])
    torch.set_num_threads(threads)
    texts = list(
        dict.fromkeys(
            text for text in load_dataset(dataset, Settings.from_environment()).item_texts if text
        )
    )
    chosen = texts[:: max(len(texts) // sample, 1)] if sample else texts
    typer.echo(f"{len(chosen):,} of {len(texts):,} distinct item texts of {dataset}")
    rows = measure(encoder, spec.encoder_settings.get(encoder, {}), chosen, device, repeats)
    typer.echo(tabulate(rows, HEADERS, tablefmt="github", disable_numparse=True))


@app.command()
def parts(
    method: Annotated[
        list[str] | None, typer.Argument(help="Methods with a baseline; default: all.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each side.")] = 1,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Time vectorised parts of methods against direct ports of the published loops."""
    del data_dir, cache_dir  # their callbacks have set the environment
    import torch
    from tabulate import tabulate

    from bench.perf.parts import HEADERS, compare, known

    torch.set_num_threads(threads)
    rows = [comparison.row() for comparison in compare(method or known())]
    typer.echo(tabulate(rows, HEADERS, tablefmt="github", disable_numparse=True))


@app.command(cls=ManyValues, epilog=METHODS_EPILOG)
def methods(
    dataset: Annotated[str, typer.Option(metavar="NAME", help="Data card.")] = "beauty",
    backbone: Annotated[str | None, typer.Option(metavar="NAME", help="Recommender.")] = None,
    method: Methods = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="Text encoder.")] = None,
    set_: Sets = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each method.")] = 10,
    threads: Threads = 1,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Time optimiser steps of methods and say where the time goes.

    Shares are of a step: in the backbone's calls, in the next-item loss, in Adam; the rest is the
    method's own. Seconds of an epoch follow from its number of steps, without validation.
    """
    del data_dir, cache_dir  # their callbacks have set the environment
    from tabulate import tabulate

    from bench.components import METHODS
    from bench.data.load import load_dataset
    from bench.perf.steps import BACKBONE, ENCODER, HEADERS, measure

    chosen = Spec(
        name="perf",
        datasets=(dataset,),
        backbones=(backbone or BACKBONE,),
        methods=tuple(method or METHODS.names()),
        encoders=(encoder or ENCODER,),
    )
    chosen = apply_overrides(chosen, set_ or [])
    chosen.check()
    data = load_dataset(dataset, Settings.from_environment())
    rows = [cost.row() for cost in measure(chosen, data, steps, threads)]
    attached = f"{data.name}, {threads} thread, attached to {backbone or BACKBONE}"
    typer.echo(f"{attached}, batches of {chosen.training.batch_size}:\n")
    typer.echo(tabulate(rows, HEADERS, tablefmt="github", disable_numparse=True))
