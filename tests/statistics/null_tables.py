"""Tables in which nothing differs: how often is something starred all the same?

Run it to print the rates that ``docs/statistics.md`` shows::

    python tests/statistics/null_tables.py
"""

import numpy as np

from bench.evaluate.metrics import NDCG, HitRatio
from bench.reports.tables.contrasts import ABOVE, Base, BlockValues, Contrasts
from bench.statistics.nested import Nested

METRICS = (HitRatio(5), HitRatio(20), NDCG(10))
NAMES = [metric.name for metric in METRICS]


def hit_rates(rng, users, mean):
    """Chance that each user's item comes first, for every model; a few users are easy."""
    return np.clip(rng.gamma(0.5, mean / 0.5, users), 1e-4, 0.9)


def figures(rng, rates, seeds, seed_effect=0.0, user_effect=0.0):
    """Figures by metric and seed of a model that is neither better nor worse than the rates.

    ``seed_effect`` is the relative scatter of its seeds, the same for all users;
    ``user_effect`` is that of its users, the same for all seeds.
    """
    seen = []
    own = (
        rates * np.exp(user_effect * rng.normal(size=len(rates)) - user_effect**2 / 2)
        if user_effect
        else rates
    )
    for _ in range(seeds):
        scale = max(0.05, 1 + seed_effect * rng.normal())
        ranks = rng.geometric(np.clip(scale * own, 1e-4, 0.95)).astype(float)
        seen.append({metric.name: metric.gains(ranks) for metric in METRICS})
    return {name: [one[name] for one in seen] for name in NAMES}


def null_block(rng, users, mean, methods=3, backbones=2, better=1.0, seeds=2, **scatter):
    """A block of bare backbones and methods, none better than another.

    But for ``better``: how many times the others' chance the first method of each backbone has.
    """
    rates = hit_rates(rng, users, mean)
    size = backbones * (methods + 1)
    rows = [
        {n: Nested.of(v) for n, v in figures(rng, skill * rates, seeds, **scatter).items()}
        for skill in backbones * [1.0, better, *[1.0] * (methods - 1)]
    ]
    places = [n - n % (methods + 1) for n in range(size)]
    bases = [Base("self") if n == p else Base("matched", p) for n, p in enumerate(places)]
    return BlockValues(rows, bases)


def tally(tables, seed=0, **settings):
    """Count signs in tables and figures, and comparisons with a raw p below 0.05."""
    rng = np.random.default_rng(seed)
    any_sign = signed = raw = figures_seen = comparisons = covered = 0
    for _ in range(tables):
        block = null_block(rng, **settings)
        found = Contrasts.of([block], NAMES)
        signs = [found.signs(0, name, row) for name in NAMES for row in range(len(block.rows))]
        signed += sum(bool(sign) for sign in signs)
        figures_seen += len(signs)
        any_sign += any(signs)
        raw += sum(test.p < 0.05 for test in found.tested.values())
        to_base = [
            found.against_base(0, NAMES[-1], row)
            for row, base in enumerate(block.bases)
            if base.place is not None
        ]
        covered += sum(test.low <= 0 <= test.high for test in to_base)
        comparisons += len(found.tested)
    return {
        "tables": tables,
        "with a sign": any_sign,
        "figures": figures_seen,
        "signed": signed,
        "comparisons": comparisons,
        "raw p < 0.05": raw,
        "intervals": len(to_base) * tables,
        "covered": covered,
    }


def seed_effect_alone(pairs, users, mean, seeds, seed_effect, seed=0):
    """Compare two models that differ by their seeds alone; count signs."""
    rng = np.random.default_rng(seed)
    signed = 0
    for _ in range(pairs):
        rates = hit_rates(rng, users, mean)
        two = [Nested.of(figures(rng, rates, seeds, seed_effect)["NDCG@10"]) for _ in range(2)]
        block = BlockValues([{"x": one} for one in two], [Base("self"), Base("matched", 0)])
        signed += bool(Contrasts.of([block], ["x"]).signs(0, "x", 1))
    return {"pairs": pairs, "signed": signed}


def found_rate(tables, seed=0, **settings):
    """Count how often the better methods' NDCG@10 is signed."""
    rng = np.random.default_rng(seed)
    signs = []
    for _ in range(tables):
        block = null_block(rng, **settings)
        found = Contrasts.of([block], NAMES)
        better = sorted({base.place + 1 for base in block.bases if base.place is not None})
        signs += [found.signs(0, "NDCG@10", row) for row in better]
    return {"better methods": len(signs), "signed": sum(ABOVE in sign for sign in signs)}


SETTINGS = (
    {"users": 300, "mean": 0.03, "seeds": 1, "methods": 1, "backbones": 1},
    {"users": 600, "mean": 0.004},
    {"users": 943, "mean": 0.03},
    {"users": 943, "mean": 0.03, "seeds": 5, "methods": 6, "backbones": 3},
    {"users": 5000, "mean": 0.03},
    {"users": 5000, "mean": 0.03, "seed_effect": 0.1},
    {"users": 5000, "mean": 0.03, "seeds": 3, "seed_effect": 0.1},
    {"users": 5000, "mean": 0.03, "seeds": 5, "seed_effect": 0.03},
    {"users": 5000, "mean": 0.03, "seeds": 5, "seed_effect": 0.1},
    {"users": 5000, "mean": 0.03, "seeds": 5, "seed_effect": 0.03, "user_effect": 1.0},
)
BETTER = tuple(
    {"users": users, "mean": 0.03, "seeds": seeds, "seed_effect": 0.02, "better": better}
    for users in (943, 5000)
    for better in (1.15, 1.3)
    for seeds in (2, 3, 5, 10)
)


def main():
    for settings in SETTINGS:
        print(settings, tally(150, **settings), flush=True)  # noqa: T201
    for settings in BETTER:
        print(settings, found_rate(30, **settings), flush=True)  # noqa: T201
    for seed_effect in (0.0, 0.03, 0.1):
        for users in (943, 20_000):
            found = seed_effect_alone(200, users, 0.03, 5, seed_effect)
            print({"users": users, "seeds": 5, "seed_effect": seed_effect}, found, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
