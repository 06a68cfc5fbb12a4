"""R-CE: targets with large losses weigh less."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="r-ce",
    title="R-CE",
    summary="weights targets by a power of their probability",
    config="bench.methods.r_ce.config:RCEConfig",
    model="bench.methods.r_ce.model:RCE",
    citation=(
        "Wang, Feng, He, Nie, Chua. Denoising Implicit Feedback for Recommendation. WSDM 2021."
    ),
    sampling="positions",
    either_sampling=True,
    judges_targets=True,
    cost=1.2,
    variants=(
        Variant(
            "paper",
            "R-CE (paper)",
            "a published exponent, and weights that are not normalised",
            {"beta": 0.25, "normalise": "none"},
        ),
        Variant(
            "excess",
            "R-CE (excess)",
            "weights by the loss beyond what the item's popularity explains",
            {"key": "excess"},
        ),
        Variant(
            "rarity",
            "R-CE (rarity)",
            "control: weights by the popularity of the targets' items",
            {"key": "rarity"},
        ),
        Variant(
            "random",
            "R-CE (random)",
            "control: deals the weights of a batch to its targets at random",
            {"key": "random"},
        ),
    ),
)
