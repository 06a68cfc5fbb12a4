"""T-CE: the targets with the largest losses of a batch are not learnt from."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="t-ce",
    title="T-CE",
    summary="learns nothing from the targets with the largest losses of a batch",
    config="bench.methods.t_ce.config:TCEConfig",
    model="bench.methods.t_ce.model:TCE",
    citation=(
        "Wang, Feng, He, Nie, Chua. Denoising Implicit Feedback for Recommendation. WSDM 2021."
    ),
    sampling="positions",
    either_sampling=True,
    judges_targets=True,
    cost=1.1,
    variants=(
        Variant(
            "paper",
            "T-CE (paper)",
            "drops up to 40 % of the targets, the largest published rate",
            {"rate": 0.4, "ramp": 10},
        ),
        Variant(
            "excess",
            "T-CE (excess)",
            "drops by the loss beyond what the item's popularity explains",
            {"key": "excess"},
        ),
        Variant(
            "rarity",
            "T-CE (rarity)",
            "control: drops the targets with the rarest items, at the same rate",
            {"key": "rarity"},
        ),
        Variant(
            "random",
            "T-CE (random)",
            "control: drops targets at random, at the same rate",
            {"key": "random"},
        ),
    ),
)
