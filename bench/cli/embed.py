"""``bench embed``: encode item texts beforehand; ``bench run`` does it by itself."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from bench.cli.options import (
    CacheDir,
    DataDir,
    Device,
    Encoders,
    NumericsName,
    Sets,
    resumable,
    with_options,
)
from bench.errors import ConfigError
from bench.numerics import use_numerics
from bench.plan.overrides import apply_overrides
from bench.plan.spec import Spec
from bench.settings import Settings

EXAMPLES = """
  bench embed ml-100k --encoder smollm2
  bench embed ml-100k beauty --encoder tfidf minilm --set texts=shuffled
  bench embed beauty --encoder llm2vec --set model=/models/llama
"""


@with_options()
def embed(
    datasets: Annotated[
        list[str], typer.Argument(help="Data sets: names, or paths of cards.", show_default=False)
    ],
    encoder: Encoders = None,
    set_: Sets = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Default: all cores, or OMP_NUM_THREADS; 1 in numerics portable.",
        ),
    ] = None,
    device: Device = "auto",
    numerics: NumericsName = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Encode item texts and keep the vectors in the cache.

    After an interruption, the same command continues where it stopped.
    """
    if not encoder:
        raise ConfigError("no encoder is given; add --encoder ('bench ls encoders' lists them)")
    given = {"name": "embed", "datasets": datasets, "encoders": encoder}
    settings = Settings.from_environment(
        data=data_dir, cache=cache_dir, device=device, threads=threads, numerics=numerics
    )
    use_numerics(settings.numerics)
    spec = apply_overrides(Spec.parse(given, "command line"), set_ or [])
    for name in spec.encoders:
        spec.encoder_config(name)

    from bench.data.load import load_dataset
    from bench.display import display_for
    from bench.plan.grid import load_datasets
    from bench.text.display import EncodingDisplay
    from bench.text.provide import embed as encode
    from bench.text.provide import request_for

    with resumable(), display_for() as lines:
        loaded = load_datasets(spec, partial(load_dataset, settings=settings, fetch=True))
        requests = [
            request_for(spec, data, name, rule)
            for data in loaded.values()
            for rule in spec.rules
            for name in spec.encoders
        ]
        encode(requests, settings, EncodingDisplay(lines), threads=threads)
