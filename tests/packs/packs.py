"""Stores whose experiments are made up, fit to be packed."""

from dataclasses import replace

import numpy as np
from made_up_store import make_decisions, make_experiment, make_metadata, make_ranks, save

from bench.evaluate.metrics import NDCG, rank_of
from bench.runs.store import Store

USERS = 40
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def ranks(seed=0, users=USERS):
    """Plausible ranks of some users, who have seen 100 of the 1,000 items."""
    rng = np.random.default_rng(seed)
    places = rng.integers(1, 300, users)
    unseen = np.maximum(places - rng.integers(0, 40, users), 1)
    made = make_ranks(places, unseen_ranks=unseen)
    return replace(made, history_length=np.full(users, 150, dtype=np.int32))


def decisions(seed=0, size=500):
    rng = np.random.default_rng(seed)
    return make_decisions(
        user=np.sort(rng.integers(0, USERS, size)),
        item=rng.integers(1, 1000, size),
        item_count=rng.integers(1, 60, size),
        keep=rng.random(size) < 0.7,
        score=rng.random(size),
    )


def finish(root, method="none", seed=1, **changes):
    """Write a made-up experiment whose metadata and curve agree with its ranks."""
    own = ranks(seed + 10 * len(method))
    best = NDCG(10).mean(rank_of(own, "all", "pessimistic"))
    curve = [best / 2, best, *(best / 3 for _ in range(10))]  # until the patience ends
    metadata = make_metadata(
        best_epoch=1,
        epochs=len(curve),
        best_metric=best,
        processor="AMD EPYC",
        versions={"torch": "2.13.0", "numpy": "2.4.6"},
    )
    kept = {} if method == "none" else {part: decisions() for part in ("train", "test")}
    experiment = make_experiment(method, seed=seed, **changes)
    save(root, experiment, own, metadata, curve, decisions=kept)
    return Store(root).load(experiment.key)
