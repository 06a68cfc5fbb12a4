"""Train every method and encode some texts in numerics ``portable``; print checksums as JSON.

    python tests/runs/portable_checksums.py --default > tests/runs/portable.json

With ``--default`` the default comparison is run, too, which takes minutes. With ``--encoder minilm
smollm2`` their weights are fetched where the cache lacks them. The published file holds for the
torch, NumPy, SciPy and transformers that it names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench.numerics import use_numerics

CARD = """
name: portable
forms:
  - format: planted
    options: {seed: 1, users: 200, items: 300, tastes: 5, mean_length: 12, max_length: 40}
max_length: 20
"""
METHODS = ["none", "none:prefixes", "random-drop", "popularity-drop"]
METHODS += ["hsd", "ssdrec", "iadsr", "steam", "dcrec"]
ON_SASREC = {"backbones": "sasrec", "methods": METHODS, "encoders": "tfidf"}
ON_OTHERS = {"backbones": ["gru4rec", "caser"], "methods": ["none", "hsd"]}
TRAINING = {"epochs": 2, "prefixes_per_user": 2, "batch_size": 128}
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "transformers")
TEXTS = ["Toy Story (1995)", "GoldenEye", "Four Rooms", "Get Shorty and its many sequels"]
ENCODERS = ("random", "tfidf", "minilm", "smollm2")


def functions() -> dict[str, str]:
    """Return the SHA-256 of what single operations make of fixed numbers, by operation.

    Where ranks differ, these show which library is the cause.
    """
    import numpy as np
    import torch
    from torch.nn import functional

    draw = np.random.default_rng(1)
    numbers = draw.uniform(0.01, 4, 50_000).astype("<f4")  # products and sums only: no function
    x = torch.from_numpy(numbers)
    left, right = x[:32_000].view(500, 64), x[2_000:].view(64, 750)
    images, kernels = left[:480].view(30, 16, 64), x[:1_536].view(32, 16, 3)
    found = {
        **{name: getattr(torch, name)(x) for name in ("exp", "log", "tanh", "sqrt", "erf", "sin")},
        "sigmoid": torch.sigmoid(x),
        "softmax": torch.softmax(left, 1),
        "sum": left.sum(0),
        "layer_norm": functional.layer_norm(left, [64]),
        "matmul": left @ right,
        "matmul transposed": left.T @ left,
        "bmm": images @ images.transpose(1, 2),
        "conv1d": functional.conv1d(images, kernels),
        "numpy exp": torch.from_numpy(np.exp(numbers.astype("<f8"))),
        "numpy matmul": torch.from_numpy(left.numpy() @ right.numpy()),
    }
    return {name: sha256(tensor.contiguous().numpy().tobytes()) for name, tensor in found.items()}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ranks(folder: Path) -> dict[str, str]:
    """Train every method on generated data; return the SHA-256 of each experiment's ranks."""
    import bench

    folder.mkdir()
    card = folder / "card.yaml"
    card.write_text(CARD)
    settings = bench.Settings.from_environment(
        {}, store=folder, data=folder, cache=folder, numerics="portable", track=False
    )
    for given in (ON_SASREC, ON_OTHERS):
        bench.run(datasets=str(card), overrides=TRAINING, jobs=1, settings=settings, **given)
    return of_store(folder)


def default_ranks(folder: Path) -> dict[str, str]:
    """Run the default comparison; return the SHA-256 of each experiment's ranks."""
    import bench

    settings = bench.Settings.from_environment(store=folder, numerics="portable", track=False)
    bench.run(settings=settings)
    return of_store(folder)


def of_store(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the ranks of each experiment in a store."""
    from bench.runs.store import Store

    found = {}
    for stored in Store(folder).experiments():
        digest = hashlib.sha256()
        for phase in ("validation", "test"):
            for name, column in sorted(stored.ranks(phase).columns().items()):
                digest.update(name.encode() + column.astype("<i4").tobytes())
        found[stored.experiment.label] = digest.hexdigest()
    return dict(sorted(found.items()))


def vectors(names: list[str]) -> dict[str, str]:
    """Return the SHA-256 of the vectors of some texts, little-endian float32, by encoder."""
    import torch

    from bench.components import ENCODERS as KNOWN
    from bench.settings import Settings

    cpu, found = torch.device("cpu"), {}
    settings = Settings.from_environment(numerics="portable")
    for name in names:
        entry = KNOWN.get(name)
        encoder = entry.model_class()(entry.config_class()(), settings)
        encoder.open(cpu)
        encoder.fit(TEXTS)
        matrix = encoder.encode(TEXTS).astype("<f4")
        found[name] = sha256(matrix.tobytes())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", nargs="*", default=list(ENCODERS), choices=ENCODERS)
    parser.add_argument("--no-ranks", action="store_true")
    parser.add_argument("--default", action="store_true")
    options = parser.parse_args()
    use_numerics("portable")
    import torch

    from bench.training.device import configure

    configure(torch.device("cpu"), 1, "portable")
    with tempfile.TemporaryDirectory() as folder:
        content = {
            "versions": {name: version(name) for name in LIBRARIES},
            "functions": functions(),
            "ranks": {} if options.no_ranks else ranks(Path(folder, "planted")),
            "default": default_ranks(Path(folder, "default")) if options.default else {},
            "vectors": vectors(options.encoder),
        }
    json.dump(content, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
